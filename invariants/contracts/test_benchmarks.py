"""The commands of the benchmarks: which work they time, and words that they do not know."""

from __future__ import annotations

import pytest

from invariants.bench import ratios, sweeps


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what would have been timed."""
    names: list[str] = []
    monkeypatch.setattr(ratios, "compare", lambda name, *others: names.append(name))
    return names


def test_one_kind_of_work_is_timed_alone(timed: list[str]) -> None:
    ratios.main(["sweep"])
    assert timed == ["sweep"]


def test_by_default_every_kind_is_timed(timed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    noted = {name: (lambda name=name: timed.append(name)) for name in ratios.WORKS}
    monkeypatch.setattr(ratios, "WORKS", noted)
    ratios.main([])
    assert timed == ["small", "sweep", "whole-sweep", "language"]


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
