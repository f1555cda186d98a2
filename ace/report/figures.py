"""Figures, drawn from results alone: a stored record redraws them without any model. Needs matplotlib.

Which figures there are the families say: each names a module with `FIGURES`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import matplotlib as mpl

from ace.errors import ArtifactError
from ace.families.family import families
from ace.families.style import STYLE, Drawing, Result, Results, Words
from ace.report.stems import file_stem
from ace.report.table import progress

SVG: Any = {"svg.hashsalt": "ace"}  # the same figure gives the same file
NOT_DATED: Any = {"Date": None, "Creator": None}


@dataclass(frozen=True)
class Drawn:
    """A figure as it was drawn.

    Attributes:
        name: of its file.
        png: the file's content.
        svg: the same as SVG, with letters as outlines: sharp at every size, and larger where there are many points.
        subject: what it is about, as results name it.
        claims: ids of those whose results it shows.
        words: what stands in its place and below it.
    """

    name: str
    png: bytes
    svg: bytes
    subject: str
    claims: tuple[str, ...]
    words: Words


def family_figures() -> tuple[Drawing, ...]:
    """The figures of all families, family by family."""
    modules = [import_module(family.figures) for family in families() if family.figures]
    return tuple(figure for module in modules for figure in module.FIGURES)


def drawings(results: Sequence[Mapping[str, Any]]) -> Iterator[Drawn]:
    """Each figure for each subject that it suits: whose claims were measured, and its data kept.

    Raises:
        ArtifactError: results that lack what a figure shows, as those of another version may.
    """
    by_subject: dict[str, dict[str, Result]] = {}
    for result in results:
        by_subject.setdefault(result["subject"], {})[result["claim"]] = result
    for subject, measured in by_subject.items():
        suited = [drawing for drawing in family_figures() if drawing.suits(measured)]
        for count, drawing in enumerate(suited, start=1):
            ending = drawing.ending or (str(count) if count > 1 else "")
            name = "-".join(filter(None, [file_stem(subject), ending])) + ".png"
            try:
                drawn = _drawn(drawing, measured, subject, name)
            except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
                raise ArtifactError(
                    f"results of {subject}: expected what a figure of {drawing.claims[0]} needs, got {error!r}"
                ) from error
            if drawn is not None:
                yield drawn


def _heading(subject: str, results: Sequence[Result]) -> str:
    """The subject as matplotlib shows it, and how far its training went where that is not to the end."""
    notes = dict.fromkeys(note for note in map(progress, results) if note)
    return " ".join([subject, *(f"({note})" for note in notes)]).replace("$", r"\$")


def _drawn(drawing: Drawing, measured: Results, subject: str, name: str) -> Drawn | None:
    png, svg = io.BytesIO(), io.BytesIO()
    shown = [measured[claim] for claim in drawing.claims]
    with mpl.rc_context({**STYLE, **SVG}):
        figure = drawing.draw(measured, _heading(subject, shown))
        if figure is None:
            return None
        figure.savefig(png, format="png")
        figure.set_layout_engine("none")  # panels stay where they are: to place them takes as long as to draw them
        figure.savefig(svg, format="svg", metadata=NOT_DATED)
    words = drawing.describe(measured) if drawing.describe else _plain_words(shown)
    return Drawn(name, png.getvalue(), svg.getvalue(), subject, drawing.claims, words)


def _plain_words(results: Sequence[Result]) -> Words:
    """Of a figure whose family says nothing: the sentences that it is about."""
    return Words(f"Figure of {', '.join(result['claim'] for result in results)}.", _sentences(results))


def _sentences(results: Sequence[Result]) -> str:
    return " ".join(f"{result['statement']} {result['verdict']}." for result in results)
