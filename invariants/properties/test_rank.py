"""Properties of the rules that choose a core's rank."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ace.errors import InputError
from ace.extract import extract_core
from ace.linalg import random_frames
from ace.rank import Energy, Fixed, Gap, GivenSpectrum, Null, RankRule, necessary_rank, sufficient_rank
from invariants.properties.strategies import (
    Problem,
    centred_frame,
    every_rule,
    frame,
    gaussian,
    problems,
    rounding,
    seeds,
)

thresholds = st.floats(0.01, 0.999)
spectra = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8).map(lambda values: sorted(values, reverse=True))
curves = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8)


def spectrum(values: list[float], zeros: int = 0) -> GivenSpectrum:
    """A spectrum of given non-zero values, followed by zeros, whose null is a single draw of 0."""
    sigma = torch.tensor(values + [0.0] * zeros, dtype=torch.float64)
    return GivenSpectrum(sigma, len(values), lambda draws, generator: torch.zeros(draws, dtype=torch.float64))


@given(values=spectra, first=thresholds, second=thresholds)
def test_the_energy_rank_grows_with_the_threshold(values: list[float], first: float, second: float) -> None:
    low, high = (Energy(value).choose(spectrum(values)).value for value in sorted((first, second)))
    assert low is not None
    assert high is not None
    assert 1 <= low <= high <= len(values)


@given(values=spectra, threshold=thresholds)
def test_the_energy_rank_is_the_smallest_that_reaches_the_threshold(values: list[float], threshold: float) -> None:
    rank = Energy(threshold).choose(spectrum(values)).value
    energy = torch.tensor(values, dtype=torch.float64).square()
    assert rank is not None
    slack = rounding(len(values))
    assert float(energy[:rank].sum() / energy.sum()) >= threshold - slack
    assert float(energy[: rank - 1].sum() / energy.sum()) < threshold + slack


@given(values=st.lists(st.floats(0.1, 1.0), min_size=2, max_size=8), data=st.data())
def test_a_threshold_that_is_met_exactly_counts_as_met(values: list[float], data: st.DataObject) -> None:
    # The share that the leading ones hold, summed in another order, is the same number but for rounding.
    ordered = sorted(values, reverse=True)
    rank = data.draw(st.integers(1, len(values) - 1))
    tail, head = sum(value**2 for value in ordered[rank:]), sum(value**2 for value in ordered[:rank][::-1])
    assert Energy(head / (tail + head)).choose(spectrum(ordered)).value == rank


@given(values=st.lists(st.floats(1.0, 2.0), min_size=2, max_size=7), gap=st.floats(2.5, 1e6), data=st.data())
def test_the_gap_rule_finds_a_gap_wider_than_all_others(values: list[float], gap: float, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(values) - 1))
    # Ratios within each group are at least 1/2, the one between them at most 2/5; differences could mislead.
    head, tail = sorted(values[:rank], reverse=True), sorted(values[rank:], reverse=True)
    chosen = Gap().choose(spectrum(head + [value / (2 * gap) for value in tail]))
    assert chosen.value == rank
    # Of sigma itself: of its square, as it is sometimes reported, a gap looks twice as wide.
    assert chosen.evidence["ratio"] == pytest.approx(tail[0] / (2 * gap) / head[-1])


@given(values=spectra, scale=st.floats(1e-12, 1e12), zeros=st.integers(0, 3))
def test_the_gap_rule_ignores_scale_and_trailing_zeros(values: list[float], scale: float, zeros: int) -> None:
    # How many zeros follow depends on how many rows stand for the same Gramian, and so is no property of the system.
    plain = Gap().choose(spectrum(values))
    scaled = Gap().choose(spectrum([value * scale for value in values], zeros))
    assert scaled.evidence["ratio"] == pytest.approx(plain.evidence["ratio"], rel=1e-12)
    # Two gaps that tie to rounding may be told apart either way; the size of the gap may not change.


@given(count=st.integers(1, 8), value=st.floats(1e-6, 1e6), zeros=st.integers(0, 3))
def test_equal_values_have_no_gap_and_keep_all(count: int, value: float, zeros: int) -> None:
    assert Gap().choose(spectrum([value] * count, zeros)).value == count


@every_rule
@given(zeros=st.integers(0, 4))
def test_every_rule_chooses_nothing_where_there_is_nothing(rule: RankRule, zeros: int) -> None:
    assert rule.choose(spectrum([], zeros)).value == 0


@given(values=spectra, rank=st.integers(1, 12))
def test_a_fixed_rank_is_given_or_refused(values: list[float], rank: int) -> None:
    if rank <= len(values):
        assert Fixed(rank).choose(spectrum(values)).value == rank
    else:
        with pytest.raises(InputError, match="rank"):
            Fixed(rank).choose(spectrum(values))


@given(values=spectra, bound=st.floats(1e-6, 1.0))
def test_the_null_rank_counts_what_exceeds_a_constant_null(values: list[float], bound: float) -> None:
    sigma = torch.tensor(values, dtype=torch.float64)
    constant = GivenSpectrum(
        sigma, len(values), lambda draws, generator: torch.full((draws,), bound, dtype=torch.float64)
    )
    # A null of no width leaves only the values that exceed it by more than rounding.
    assert Null(draws=5).choose(constant).value == int((sigma > bound * (1 + rounding(len(values)))).sum())


@given(seed=seeds, width=st.integers(1, 6))
def test_the_null_rank_of_isotropic_states_is_zero(seed: int, width: int) -> None:
    # Turning white states changes no Gramian, so whatever is read of them cannot be aligned with them.
    states = centred_frame(seed, 2 * width + 4, width)
    assert extract_core(states, gaussian(seed, 9, width), rank=Null(draws=20)).dimension == 0


@given(seed=seeds, width=st.integers(2, 6), base=st.floats(1.5, 4.0))
def test_the_null_rank_of_opposed_gramians_is_zero(seed: int, width: int, base: float) -> None:
    # sigma_1(A G B^T) >= a_i b_(d+1-i) for every rotation G, with equality where the strongest meets the weakest.
    sizes = base ** torch.arange(width, dtype=torch.float64)
    axes = frame(seed, width, width)
    states = centred_frame(seed + 1, width + 5, width) * sizes @ axes.T
    sensitivities = frame(seed + 2, width + 5, width) * sizes.flip(0) @ axes.T
    assert extract_core(states, sensitivities, rank=Null(quantile=0.5, draws=20)).dimension == 0


@given(seed=seeds, rank=st.integers(1, 3), extra=st.integers(9, 14))
def test_the_null_rank_of_an_aligned_system_is_the_planted_one(seed: int, rank: int, extra: int) -> None:
    # Of equal sizes, turned subspaces carry sigma times a cosine, below 1 unless they coincide; the noise stays below.
    width = rank + extra
    sizes = torch.cat([torch.ones(rank), torch.full((extra,), 1e-3)]).double()
    axes = frame(seed, width, width)
    states = centred_frame(seed + 1, width + 5, width) * sizes @ axes.T
    sensitivities = frame(seed + 2, width + 5, width) * sizes @ axes.T
    assert extract_core(states, sensitivities, rank=Null(draws=50)).dimension == rank


@settings(max_examples=5)  # each example is hundreds of extractions
@given(seed=seeds)
def test_the_null_rule_rejects_random_orientations_at_its_level(seed: int) -> None:
    # The observed orientation is itself Haar, so it exceeds the median of 99 others half of the time and their 0.98
    # quantile about thrice in a hundred. Over 40 pairs chance leaves the bounds below once in 1e7 runs.
    sizes = 2.0 ** torch.arange(5, dtype=torch.float64)
    turns = random_frames(5, 5, 40, torch.Generator().manual_seed(seed))
    states = centred_frame(seed, 12, 5) * sizes
    found = dict.fromkeys((0.5, 0.98), 0)
    for index, turn in enumerate(turns):
        for level in found:
            rule = Null(quantile=level, draws=99, seed=index)
            found[level] += extract_core(states, sizes[:, None] * turn, rank=rule).dimension > 0
    assert found[0.98] < 12
    assert 4 < found[0.5] < 36


@given(problem=problems, seed=seeds)
def test_the_null_rank_is_fixed_by_its_seed(problem: Problem, seed: int) -> None:
    rule = Null(quantile=0.5, draws=10, seed=seed)
    first, second = (extract_core(problem.states, problem.sensitivities, rank=rule).rank for _ in range(2))
    assert first == second


@given(curve=curves, base=st.floats(0.0, 1.0), first=st.floats(0.0, 0.5), second=st.floats(0.0, 0.5))
def test_the_sufficient_rank_falls_with_the_tolerance(
    curve: list[float], base: float, first: float, second: float
) -> None:
    strict, lenient = (sufficient_rank(curve, base, value).value for value in sorted((first, second)))
    # "Not reached" is a value of its own: past the largest rank, never equal to it.
    assert (lenient or len(curve) + 1) <= (strict or len(curve) + 1)
    if strict is not None:
        assert curve[strict - 1] >= base - min(first, second)
        assert all(value < base - min(first, second) for value in curve[: strict - 1])
    else:
        assert max(curve) < base - min(first, second)


@given(curve=curves, above=st.floats(1e-9, 1.0))
def test_the_best_rank_suffices_for_its_own_performance_and_none_for_more(curve: list[float], above: float) -> None:
    # Exact in float64: a curve that passed through float32 on the way would miss its own maximum.
    best = max(curve)
    assert sufficient_rank(curve, best, 0.0).value == curve.index(best) + 1
    assert sufficient_rank(curve, best + above, 0.0).value is None


@given(curve=curves, bound=st.floats(0.0, 1.0))
def test_the_necessary_rank_is_the_sufficient_rank_of_the_mirrored_curve(curve: list[float], bound: float) -> None:
    mirrored = sufficient_rank([-value for value in curve], -bound, 0.0)
    assert necessary_rank(curve, bound).value == mirrored.value
