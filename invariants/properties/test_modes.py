"""Properties of how many modes energy is spread over, and the interval of its growth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ace import rotation
from ace.arrays import Array
from ace.families.modular_addition.modes import EffectiveModes, effective_modes
from ace.stats import Estimate
from invariants.properties.strategies import seeds

MODULUS, WIDTH, PAIRS, TRIALS = 53, 10, 9, 300
ANSWERS = np.repeat(np.arange(MODULUS), PAIRS)


def waves(frequencies: list[int], sizes: list[float]) -> Array:
    """(p, 2 f) cosines and sines of each frequency, by its size."""
    angles = 2 * np.pi * np.arange(MODULUS)[:, None] * np.array(frequencies) / MODULUS
    return np.concatenate([np.cos(angles) * sizes, np.sin(angles) * sizes], axis=1)


@given(count=st.integers(1, MODULUS // 2))
def test_modes_of_equal_energy_all_count(count: int) -> None:
    means = waves(list(range(1, count + 1)), [2.0] * count)
    assert float(effective_modes(rotation.mode_energy(means))) == pytest.approx(count)


@given(seed=seeds)
def test_effective_modes_know_no_basis_no_scale_and_no_place(seed: int) -> None:
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((MODULUS, WIDTH))
    turned = 3.0 * means @ np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0] + rng.standard_normal(WIDTH)
    wanted = float(effective_modes(rotation.mode_energy(means)))
    for same in (turned, np.roll(means, 7, axis=0)):
        assert float(effective_modes(rotation.mode_energy(same))) == pytest.approx(wanted)
        assert 1.0 <= wanted <= MODULUS // 2


def drawn(means: Array, noise: float, rng: np.random.Generator) -> EffectiveModes:
    values = means[ANSWERS] + noise * rng.standard_normal((len(ANSWERS), means.shape[1]))
    return EffectiveModes.of(values, ANSWERS, MODULUS, rng)


def test_the_interval_of_their_growth_covers_where_that_of_raw_energies_does_not() -> None:
    rng = np.random.default_rng(0)
    frequencies = [3, 7, 11, 20, 25]
    early, late = waves(frequencies, [1.0, 0.9, 0.8, 0.5, 0.4]), waves(frequencies, [1.0] * 5)
    truth = float(effective_modes(rotation.mode_energy(late)) / effective_modes(rotation.mode_energy(early)))
    covered = {"corrected": 0, "raw": 0}
    for _ in range(TRIALS):
        after, before = drawn(late, 0.1, rng), drawn(early, 0.5, rng)
        value = after.raw / before.raw
        estimates = {
            "corrected": after.over(before, "0"),
            "raw": Estimate("0", value, value * (after.drawn / after.raw) / (before.drawn / before.raw)),
        }
        for name, estimate in estimates.items():
            low, high = estimate.interval()
            covered[name] += low <= truth <= high
    assert 0.91 <= covered["corrected"] / TRIALS <= 0.985
    assert covered["raw"] / TRIALS <= 0.8
