"""Random subspaces in a core's place: the one engine that draws them, for every family."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ace.check import check_choice, check_count
from ace.core import Core
from ace.errors import InputError
from ace.linalg import random_frames, weighted_frames

HAAR, COVARIANCE, REST = "random, Haar", "random, covariance", "the rest"
KINDS = (HAAR, COVARIANCE)  # beside which claims are verified today


def random_subspaces(
    core: Core, kind: str, draws: int, *, seed: int, states: Callable[[], Tensor] | None = None
) -> Tensor:
    """(draws, d, r) random orthonormal bases of the core's rank at the core's site, float64.

    Args:
        kind: "random, Haar": every direction alike. "random, covariance": as the states vary, which contains the core
            wherever the core is what varies most. "the rest": as the states vary outside the core, orthogonal to it.
        seed: of the draws; the same seed gives the same bases.
        states: gives (n, d) extraction states; not called for "random, Haar".

    Raises:
        InputError: another kind, no draws, or no states where the kind needs them.
    """
    check_choice("kind", kind, (HAAR, COVARIANCE, REST))
    check_count("draws", draws)
    generator = torch.Generator().manual_seed(seed)
    if kind == HAAR:
        return random_frames(core.width, core.dimension, draws, generator)
    if states is None:
        raise InputError(f"states: expected with every kind but {HAAR!r}, got none with {kind!r}")
    centred = states().double().cpu() - core.mean
    if kind == COVARIANCE:
        return weighted_frames(centred, core.dimension, draws, generator)
    return weighted_frames(centred - centred @ core.basis @ core.basis.T, core.dimension, draws, generator)
