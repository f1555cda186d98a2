"""The published protocol on models whose answers are known: what it finds, and what its choices do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ace.extract import extract_core, head_sensitivities
from ace.families.modular_addition import as_published
from ace.families.modular_addition.as_published import Published, by_published_protocol
from ace.families.modular_addition.scans import HeldOut
from ace.rank import Full
from ace.rotation import distinct_modes
from ace.tasks import ModularAddition
from ace.tasks.base import HELD_OUT
from invariants.properties.strategies import seeds

TASK, WIDTH, MODULUS = ModularAddition(13, 0.4), 9, 13


def turning(sizes: dict[int, float], shift: float = 0.0, seed: int = 0) -> HeldOut:
    """States that turn with the answer by frequencies of some sizes, and a head that reads them.

    Args:
        shift: how much one more direction, in which states vary at random, adds to all logits alike.
        seed: turns the state space.
    """
    rng = np.random.default_rng(seed)
    frame = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    angles = 2 * np.pi * np.outer(np.arange(MODULUS), list(sizes)) / MODULUS
    circles = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)  # (p, 2 f)
    scale = np.tile(list(sizes.values()), 2)
    weight = np.concatenate([circles, np.full((MODULUS, 1), shift)], axis=1)
    weight = weight @ frame[: weight.shape[1]]
    batches = tuple(TASK.draw(split, TASK.size(split)) for split in HELD_OUT)
    states = []
    for batch in batches:
        turned = circles[batch.targets[:, -1]] * scale
        states.append(np.concatenate([turned, shift * rng.standard_normal((len(turned), 1))], axis=1))
    parts = tuple(torch.from_numpy(part @ frame[: part.shape[1]]) for part in states)
    head = torch.from_numpy(weight)
    cores = tuple(extract_core(part, head_sensitivities(head), rank=Full()) for part in parts)
    return HeldOut(batches, parts, head, torch.zeros(MODULUS, dtype=torch.float64), cores)


@given(seed=seeds, frequencies=st.lists(st.integers(1, MODULUS // 2), min_size=2, max_size=3, unique=True))
def test_circles_are_found_to_turn_and_to_be_as_many_as_there_are(seed: int, frequencies: list[int]) -> None:
    model = by_published_protocol(turning(dict.fromkeys(frequencies, 1.0), seed=seed))
    assert model.rank == 2 * len(frequencies)
    assert model.scan.base == 1.0
    assert model.kept == 0.0
    assert model.removed <= model.bound
    assert as_published.ring_share(model) == 1.0
    assert as_published.grid_distance(model) == pytest.approx(0.0, abs=1e-6)
    assert as_published.operator_r2(model) == pytest.approx(1.0)
    assert distinct_modes(model.eigenvalues, MODULUS) == 1 + len(frequencies)


def test_r_nec_is_not_looked_for_below_the_rank_of_the_energy_rule() -> None:
    # The second circle is so small that the answers hang on the first alone; 99 % of the energy takes both.
    model = by_published_protocol(turning({1: 1.0, 2: 0.2}))
    assert model.rank == 4
    assert float(model.scan.remove[1]) > model.bound  # the small circle answers where the large one is gone
    assert model.necessary == 4
    assert model.sufficient == 2


def test_what_is_reached_at_no_rank_counts_as_one_more_than_all() -> None:
    known = by_published_protocol(turning({1: 1.0, 2: 0.2}))
    answered = torch.ones_like(known.scan.remove_hits)
    scan = type(known.scan)(known.scan.base_hits, ~answered, answered)
    never = Published(known.core, known.rank, scan, known.means)
    assert never.necessary == never.sufficient == len(scan.keep) + 1


def test_a_shift_of_all_logits_counts_as_an_output_there_and_not_with_us() -> None:
    pairs = turning({1: 1.0, 2: 1.0}, shift=1.0)
    assert by_published_protocol(pairs).core.dimension == 5
    assert {core.dimension for core in pairs.cores} == {4}
