"""The page out of a record and its figures: a template with its style and script in it, figures as data URIs.

Whatever a record holds is text: the template escapes all of it, and the page's own policy (a `Content-Security-Policy`)
lets nothing run or load but the style and the script that are written here, which it knows by their digests.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from ace.report.compared import GATE, changes, comparison_of, counted
from ace.report.methods import methods_groups
from ace.report.page.view import WORST_FIRST, anchor, by_subject, counts, row_of, surroundings_of
from ace.report.replication import HEADINGS as REPLICATION_HEADINGS
from ace.report.replication import replication_rows
from ace.report.table import number, unfinished
from ace.study.claim import KINDS
from ace.verdict import MEANINGS

if TYPE_CHECKING:
    from ace.report.figures import Drawn

NARROW = 1000  # pixels of a picture that is not drawn wider than a column of text


@dataclass(frozen=True)
class Picture:
    """A figure in the page: its data URI and size in pixels, what stands in its place, below it, and what it is of."""

    source: str
    width: int
    height: int
    alt: str
    caption: str
    claims: tuple[tuple[str, str, str], ...]

    @property
    def is_narrow(self) -> bool:
        """Whether it is not as wide as the page."""
        return self.width <= NARROW


def page(document: Mapping[str, Any], figures: Sequence[Drawn] = (), note: str = "") -> str:
    """The page as HTML, the same for the same record.

    Args:
        document: a record, with its comparison with a baseline where it holds one.
        figures: those of its results.
        note: why there are none, or fewer, where that is so.

    Raises:
        ArtifactError: a comparison in the record that cannot be read.
    """
    results = document["results"]
    listed = [row_of(result) for result in results]
    verdicts = {(row.claim, row.subject): row.verdict for row in listed}
    style, script = (_own(name) for name in ("page.css", "page.js"))
    subjects = by_subject(results)
    compared = comparison_of(document)
    return _template().render(
        style=Markup(style),
        script=Markup(script),
        style_digest=_digest(style),
        script_digest=_digest(script),
        title=_title(len(listed), [subject for subject, _ in subjects]),
        rows=listed,
        counts=counts(results),
        order=WORST_FIRST,
        meanings=MEANINGS,
        kinds=KINDS,
        subjects=subjects,
        families=list(dict.fromkeys(row.family for row in listed)),
        news=[row for row in listed if row.is_news],
        compared=compared,
        changes=changes(compared) if compared else [],
        counted=counted(compared) if compared else "",
        gate=GATE,
        anchors={(row.claim, row.subject): row.anchor for row in listed},
        unfinished=unfinished(results),
        pictures=[
            (subject, [_picture(figure, verdicts) for figure in group])
            for subject, group in groupby(figures, key=lambda figure: figure.subject)
        ],
        note=note,
        replication_headings=REPLICATION_HEADINGS,
        replications=replication_rows(results),
        methods=methods_groups(results),
        environment=surroundings_of(document),
    )


def _title(count: int, subjects: Sequence[str]) -> str:
    about = ", ".join(subjects) if len(subjects) <= 3 else f"{len(subjects)} subjects"
    return f"{count} verdict{'s' if count != 1 else ''} on {about}"


def _picture(figure: Drawn, verdicts: Mapping[tuple[str, str], str]) -> Picture:
    """Of its two forms the smaller one."""
    kind, content = min(("svg+xml", figure.svg), ("png", figure.png), key=lambda form: len(form[1]))
    width, height = (int.from_bytes(figure.png[start : start + 4], "big") for start in (16, 20))  # a PNG begins so
    return Picture(
        source=f"data:image/{kind};base64,{b64encode(content).decode()}",
        width=width,
        height=height,
        alt=figure.words.alt,
        caption=figure.words.caption,
        claims=tuple(
            (claim, anchor(claim, figure.subject), verdicts[claim, figure.subject]) for claim in figure.claims
        ),
    )


def _digest(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _own(name: str) -> str:
    """A file of this package."""
    return (files("ace.report.page") / name).read_text(encoding="utf-8").rstrip("\n")


@cache
def _template() -> Template:
    surroundings = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    surroundings.filters["number"] = number
    return surroundings.from_string(_own("page.html"))
