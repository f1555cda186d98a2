"""Every calibration with few trials: bounds leave room for Monte Carlo error, seeds are fixed."""

from __future__ import annotations

import numpy as np
import pytest

from ace.stats import Estimate, exact
from invariants.calibration.coverage import CONSERVATIVE, PLAIN, Tally, coverage, simulate
from invariants.calibration.registry import SECTIONS
from invariants.calibration.section import Entry, Section
from invariants.calibration.table import page

TRIALS = 120  # of an entry of cost 1

ENTRIES = [(section, entry) for section in SECTIONS for entry in section.entries]
QUICK = [(section, entry) for section, entry in ENTRIES if not entry.thorough]


@pytest.mark.parametrize(("section", "entry"), QUICK, ids=[f"{s.title}: {e.name}" for s, e in QUICK])
def test_a_calibration_is_as_it_should_be(section: Section, entry: Entry) -> None:
    rows = entry.quick(TRIALS)
    assert [row.amiss for row in rows] == [""] * len(rows)
    assert {len(row.cells) for row in rows} == {len(section.columns)}


def test_names_are_distinct() -> None:
    assert len({(section.title, entry.name) for section, entry in ENTRIES}) == len(ENTRIES)


def percentiles(rng: np.random.Generator) -> dict[str, Estimate]:
    """Plain percentiles of the replicates of a mean of eight values."""
    values = rng.exponential(size=8)
    drawn = rng.choice(values, (500, 8)).mean(axis=1)

    def limits(confidence: float) -> tuple[float, float]:
        low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
        return float(low), float(high)

    return {"mean": Estimate("", float(values.mean()), limits=limits)}


def test_an_interval_that_does_not_cover_is_found_with_few_trials() -> None:
    [row] = coverage("8 values", percentiles, {"mean": 1.0}).quick(TRIALS)
    assert "covers" in row.amiss
    assert "lies below in" in row.amiss


def test_an_interval_that_always_covers_is_found_where_it_should_not() -> None:
    def wide(rng: np.random.Generator) -> dict[str, Estimate]:
        return {"mean": Estimate("", 0.0, limits=lambda confidence: (-1.0, 1.0))}

    assert "covers 100.0%, limit 97%" in coverage("nothing", wide, {"mean": 0.0}).run(400)[0].amiss
    assert coverage("nothing", wide, {"mean": 0.0}, CONSERVATIVE).run(400)[0].amiss == ""


def test_a_tally_counts_what_lies_on_the_truth_as_holding() -> None:
    # An interval that ends on the bound lies inside it.
    assert Tally().count(exact("", 1.0), 1.0) == Tally(1, covered=1, below=1, above=1, strict=0)
    assert Tally().count(exact("", 1.0), 2.0) == Tally(1, covered=0, below=1, above=0, strict=1)
    assert Tally(1000, covered=950, below=25, above=25).amiss(PLAIN) == ""
    assert "lies above in 10.0%" in Tally(1000, covered=950, below=0, above=100).amiss(PLAIN)


def test_trials_are_the_same_whatever_their_number() -> None:
    drawn: list[float] = []

    def draw(rng: np.random.Generator) -> dict[str, Estimate]:
        drawn.append(float(rng.standard_normal()))
        return {"x": exact("", drawn[-1])}

    simulate("name", draw, {"x": 0.0}, 3)
    simulate("name", draw, {"x": 0.0}, 2)
    assert drawn[:2] == drawn[3:]
    assert len(set(drawn[:3])) == 3


def test_the_page_names_its_command_and_marks_what_is_amiss() -> None:
    section = Section("Title", "Text.", ("a", "b"), ())
    text = page("the command", [(section, [*coverage("8 values", percentiles, {"mean": 1.0}).run(100)])])
    assert "the command" in text
    assert "## Title\n\nText.\n\n| a | b |\n| --- | --- |\n| mean | 1 | 8 values | 100 |" in text
    assert "0 of 1 rows are as they should be" in text
