"""The figures beside documented verdicts are those of the stored records: written by hand, they went out of date."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EMBEDDED, REAL = ROOT / "fixtures/verdicts.json", ROOT / "fixtures/models/real-models.json"
PAIRS = [
    (ROOT / "invariants/expected.toml", EMBEDDED),
    *((path, REAL) for path in sorted((ROOT / "ace/zoo/documented").glob("*.toml"))),
]
DECIMAL = re.compile(r"(?<![\w.])(\d*\.\d+)(?![\w.]*\d)(?! ?%)")  # no percentage: those say how a bound was set
ELSEWHERE = "elsewhere:"  # what comes after it was measured on other models, or on another machine


def numbers(value: Any) -> Iterator[float]:
    """All numbers in a part of a record."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield abs(float(value))


def strangers(figures: str, results: list[Any]) -> list[str]:
    """Decimals in the figures that no number of the results rounds to."""
    known = list(numbers(results))
    said = DECIMAL.findall(figures.partition(ELSEWHERE)[0])
    return [
        text
        for text in said
        if not any(abs(number - float(text)) <= 0.501 * 10.0 ** -len(text.partition(".")[2]) for number in known)
    ]


def entries() -> Iterator[Any]:
    for documented, record in PAIRS:
        for entry in tomllib.loads(documented.read_text(encoding="utf-8"))["expected"]:
            if "figures" in entry:
                subjects = entry["subject"] if isinstance(entry["subject"], list) else [entry["subject"]]
                yield pytest.param(entry, subjects, record, id=f"{entry['claim']}-{subjects[0]}")


@pytest.mark.parametrize(("entry", "subjects", "record"), list(entries()))
def test_every_figure_is_one_of_the_record(entry: Any, subjects: list[str], record: Path) -> None:
    results = [
        result
        for result in json.loads(record.read_text(encoding="utf-8"))["results"]
        if result["claim"] == entry["claim"] and result["subject"] in subjects
    ]
    assert results
    assert strangers(entry["figures"], results) == []


def test_a_figure_that_no_number_rounds_to_is_told() -> None:
    results = [{"values": [-0.987, 0.06], "details": {"x": {"y": 2.0}}}]
    assert strangers("separation -.99 to .06, bound 2.0; elsewhere: .5 on another machine", results) == []
    assert strangers("separation -.98 and .11, 99.9 % of draws", results) == [".98", ".11"]
