"""Figures, drawn from results alone: a stored record redraws them without any model. Needs matplotlib.

Which figures there are the families say: each names a module with `FIGURES`.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from ace.errors import ArtifactError
from ace.families.family import families
from ace.families.style import STYLE, Result, Results
from ace.report.table import progress

LONGEST = 100  # characters of a subject's name that a file name keeps
Draw = Callable[[Results, str], Figure | None]
Drawing = tuple[Sequence[str], Draw] | tuple[Sequence[str], Draw, str]


def family_figures() -> tuple[Drawing, ...]:
    """Ids of the claims that a figure needs, all of one subject, and the function that draws it, family by family.

    A third entry is what its file is called beside the subject's name.
    """
    modules = [import_module(family.figures) for family in families() if family.figures]
    return tuple(figure for module in modules for figure in module.FIGURES)


def file_stem(subject: str) -> str:
    """A subject's name as a file name without its ending, different for different subjects.

    A name of letters, digits and the characters . _ + - that starts with a letter or digit stays as it is. In any
    other, such as a path, the rest is replaced, it is cut to its last characters, and a digest of it is added.
    """
    if re.fullmatch(r"[A-Za-z0-9][\w.+-]*", subject, re.ASCII) and len(subject) <= LONGEST:
        return subject
    plain = re.sub(r"[^\w.+-]+", "_", subject, flags=re.ASCII)[-LONGEST:].strip("._+-")
    return f"{plain or 'subject'}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}"


def drawings(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """(file name, PNG) of each figure for each subject of which its claims were all measured, and its data kept.

    Raises:
        ArtifactError: results that lack what a figure shows, as those of another version may.
    """
    by_subject: dict[str, dict[str, Result]] = {}
    for result in results:
        by_subject.setdefault(result["subject"], {})[result["claim"]] = result
    for subject, measured in by_subject.items():
        suited = [
            drawing
            for drawing in family_figures()
            if all(claim in measured and measured[claim].get("values") for claim in drawing[0])
        ]
        for count, drawing in enumerate(suited, start=1):
            claims, draw = drawing[0], drawing[1]
            ending = drawing[2] if len(drawing) == 3 else str(count) if count > 1 else ""
            heading = _heading(subject, [measured[claim] for claim in claims])
            try:
                content = _png(draw, measured, heading)
            except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
                raise ArtifactError(
                    f"results of {subject}: expected what a figure of {claims[0]} needs, got {error!r}"
                ) from error
            if content is not None:
                yield "-".join(filter(None, [file_stem(subject), ending])) + ".png", content


def _heading(subject: str, results: Sequence[Result]) -> str:
    """The subject as matplotlib shows it, and how far its training went where that is not to the end."""
    notes = dict.fromkeys(note for note in map(progress, results) if note)
    return " ".join([subject, *(f"({note})" for note in notes)]).replace("$", r"\$")


def _png(draw: Draw, results: Results, heading: str) -> bytes | None:
    content = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure = draw(results, heading)
        if figure is None:
            return None
        figure.savefig(content, format="png")
    return content.getvalue()
