"""A baseline, read so that a run can be compared with it: what is not as it was written is refused before the run.

This module imports neither numpy nor torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from ace.errors import ArtifactError
from ace.report.record import COMPARED, read_document

READ = COMPARED | {"reason", "bound_upper", "bound_rule", "seeds", "values", "intervals", "confidences", "rest"}
READ |= {"controls", "control_values", "control_intervals", "control_places"}


@dataclass(frozen=True)
class Kind:
    """What an entry must be: in words, and as a test."""

    words: str
    fits: Callable[[Any], bool]


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _list_of(one: Kind) -> Kind:
    return Kind(f"a list, each {one.words}", lambda value: isinstance(value, list) and all(map(one.fits, value)))


def _object_of(one: Kind) -> Kind:
    return Kind(
        f"an object, each entry {one.words}",
        lambda value: isinstance(value, dict) and all(map(one.fits, value.values())),
    )


TEXT = Kind("a text", lambda value: isinstance(value, str))
NUMBER = Kind("a finite number or null", lambda value: value is None or _finite(value))
ENDS = Kind("two ends", lambda value: isinstance(value, list) and len(value) == 2 and all(map(NUMBER.fits, value)))
SHARE = Kind("a number between 0 and 1", lambda value: _finite(value) and 0 < value < 1)
RANK = Kind(
    "an object with texts `control` and `seed` and whole numbers `as good` <= `draws`",
    lambda value: (
        isinstance(value, dict)
        and all(isinstance(value.get(name), str) for name in ("control", "seed"))
        and all(type(value.get(name)) is int for name in ("as good", "draws"))
        and 0 <= value["as good"] <= value["draws"]
    ),
)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))

# What a comparison reads of a result of the baseline; of the bound only whether it is the run's.
RESULT = {
    **dict.fromkeys(("claim", "subject"), TEXT),
    **dict.fromkeys(("estimate", "low", "high"), NUMBER),
    "seeds": _list_of(TEXT),
    "values": _list_of(NUMBER),
    "intervals": _list_of(ENDS),
    "confidences": _list_of(SHARE),
    "rest": _list_of(RANK),
    "controls": _object_of(NUMBER),
    "control_values": _object_of(_list_of(NUMBER)),
    "control_intervals": _object_of(_list_of(ENDS)),
    "control_places": _object_of(TEXT),
}


def read_baseline(path: Path) -> dict[str, Any]:
    """A document that a run is to be compared with, without what nothing is compared by, such as the points of figures.

    Raises:
        ArtifactError: it cannot be read, or an entry that is compared is of another kind than a run writes.
    """
    document = read_document(path)
    for name, kind, value in _entries(document):
        if not kind.fits(value):
            raise ArtifactError(f"{path}: {name}: expected {kind.words}, got {shortened(value)}")
    rows = [{name: value for name, value in result.items() if name in READ} for result in document["results"]]
    return {**document, "results": rows}


def _entries(document: dict[str, Any]) -> Iterator[tuple[str, Kind, Any]]:
    """Name, kind and value of every entry that is compared; what older versions did not write may be missing."""
    yield "environment.versions", OBJECT, document.get("environment", {}).get("versions", {})
    yield "run.because", _list_of(TEXT), document.get("run", {}).get("because", [])
    yield "subjects", _object_of(OBJECT), document.get("subjects", {})
    for index, result in enumerate(document["results"]):
        for name in RESULT:
            if name in result:
                yield f"results[{index}].{name}", RESULT[name], result[name]
