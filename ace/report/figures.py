"""Figures, drawn from a document's results alone: a stored record redraws them without any model.

python -m ace.report.figures results.json FOLDER
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import matplotlib as mpl

from ace.errors import AceError
from ace.families.agreement import figure as agreement_figure
from ace.families.markov import figure as markov_figure
from ace.families.modular_addition import figure as grokking_figure
from ace.families.style import STYLE, Result
from ace.report.record import read_document

FIGURES = (
    (markov_figure.CLAIMS, markov_figure.markov_figure),
    (grokking_figure.CLAIMS, grokking_figure.grokking_figure),
    (agreement_figure.CLAIMS, agreement_figure.agreement_figure),
    (agreement_figure.FAMILY_CLAIMS, agreement_figure.scales_figure),
)


def draw_all(folder: Path, results: Sequence[Mapping[str, Any]]) -> list[Path]:
    """A figure for each subject of which a figure's claims were all measured; returns the paths written."""
    by_subject: dict[str, dict[str, Result]] = {}
    for result in results:
        by_subject.setdefault(result["subject"], {})[result["claim"]] = result
    written = []
    for subject, found in by_subject.items():
        for claims, draw in FIGURES:
            if all(claim in found and found[claim]["values"] for claim in claims):
                path = folder / f"{file_name(subject)}.png"
                folder.mkdir(parents=True, exist_ok=True)
                with mpl.rc_context(STYLE):
                    draw(found, subject).savefig(path)
                written.append(path)
    return written


def file_name(subject: str) -> str:
    """A subject's name as that of a file, without suffix. The subject may be a path; other paths have other names."""
    plain = re.sub(r"[^\w.-]+", "-", subject).strip("-.")
    return plain if plain == subject else f"{plain}-{sha256(subject.encode()).hexdigest()[:6]}"


def main(arguments: Sequence[str]) -> int:
    """Redraw the figures of a stored document."""
    if len(arguments) != 2:
        sys.stderr.write("expected: python -m ace.report.figures results.json FOLDER\n")
        return 2
    try:
        document = read_document(Path(arguments[0]))
    except AceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for path in draw_all(Path(arguments[1]), document["results"]):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
