"""The commands of the benchmarks: which work they time, words that they do not know, and what they keep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ace.machine import processor
from invariants.bench import ratios, sweeps
from invariants.bench.compared import Compared, recorded


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kinds of work that would have been timed."""
    kinds: list[str] = []

    def noted(kind: str) -> Iterator[Compared]:
        kinds.append(kind)
        yield Compared(f"{kind}, {len(kinds)}", {"fast": (0.001, 0.002, 0.004), "naive": (0.004, 0.004, 0.008)})

    works = {kind: (lambda kind=kind: noted(kind)) for kind in ratios.WORKS}
    monkeypatch.setattr(ratios, "WORKS", works)
    return kinds


def test_one_kind_of_work_is_timed_alone(timed: list[str]) -> None:
    ratios.main(["sweep"])
    assert timed == ["sweep"]


def test_by_default_every_kind_is_timed(timed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    ratios.main([])
    assert timed == ["small", "sweep", "whole-sweep", "language"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split() == ["small,", "1", "naive", "4.0", "ms", "2.0"]
    assert len(printed) == 1 + 2 * len(timed)


def test_every_way_is_run_in_turn_and_once_before() -> None:
    done: list[str] = []
    found = ratios.compare("work", {"fast": lambda: done.append("fast"), "naive": lambda: done.append("naive")}, 3)
    assert done == ["fast", "naive"] * 4
    assert [len(taken) for taken in found.seconds.values()] == [3, 3]
    assert not found.processor_time


def test_a_kind_that_is_timed_again_takes_the_place_of_its_earlier_rows(timed: list[str], tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    ratios.main(["sweep", "--record", str(file)])
    ratios.main(["small", "--record", str(file)])
    ratios.main(["sweep", "--record", str(file)])
    assert [row.work for row, _ in recorded(file)] == ["small, 2", "sweep, 3"]
    assert {where for _, where in recorded(file)} == {processor()}
    assert timed == ["sweep", "small", "sweep"]


def test_an_unknown_kind_of_work_is_refused_before_anything_is_timed(
    timed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        ratios.main(["languages"])
    assert left.value.code == 2
    assert "invalid choice: 'languages'" in capsys.readouterr().err
    assert timed == []


def test_ways_of_a_sweep_have_names_that_are_known_before_its_recipe_is_read() -> None:
    assert tuple(sweeps.ways()) == sweeps.WAYS
