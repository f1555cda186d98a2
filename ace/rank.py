"""The rules that choose a core's rank, from its spectrum or from a curve of performance. Numbers only, no models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import torch
from torch import Tensor

from ace.check import as_finite, check_count, check_fraction, check_rank
from ace.errors import InputError


@dataclass(frozen=True)
class RankChoice:
    """How many dimensions a rule chose, and why.

    Attributes:
        value: the rank, or None for "not reached": the rule's condition is met at no rank.
        rule: the rule in words, parameters included.
        evidence: the numbers that the choice rests on.
    """

    value: int | None
    rule: str
    evidence: Mapping[str, float] = field(default_factory=dict)


class Spectrum(Protocol):
    """What a rank rule may look at.

    Attributes:
        sigma: (k) Hankel singular values, in falling order.
        numerical_rank: how many of them are above rounding.
        null: called as null(draws, generator), gives (draws) largest singular values after the states have been turned
            at random against the sensitivities.
    """

    @property
    def sigma(self) -> Tensor: ...  # noqa: D102
    @property
    def numerical_rank(self) -> int: ...  # noqa: D102
    @property
    def null(self) -> Callable[[int, torch.Generator], Tensor]: ...  # noqa: D102

    def reaches(self, rank: int) -> bool:
        """Whether the numerical rank is at least `rank`; a rule that asks no more spares most of a decomposition."""
        ...


@dataclass(frozen=True, eq=False)
class GivenSpectrum:
    """A `Spectrum` whose values are known."""

    sigma: Tensor
    numerical_rank: int
    null: Callable[[int, torch.Generator], Tensor]

    def reaches(self, rank: int) -> bool:
        """Whether the numerical rank is at least `rank`."""
        return rank <= self.numerical_rank


class RankRule(Protocol):
    """A rule that turns a spectrum into a rank."""

    def choose(self, spectrum: Spectrum) -> RankChoice:
        """The rank for this spectrum, with the evidence."""
        ...


def check_rule(name: str, rule: object) -> RankRule:
    """Return `rule` if it is a rank rule, or raise `InputError`."""
    if not callable(getattr(rule, "choose", None)):
        raise InputError(f"{name}: expected a rank rule such as Fixed(3), got {rule!r}")
    return cast(RankRule, rule)


@dataclass(frozen=True)
class Energy:
    """Smallest rank that holds at least `threshold` of the cumulative energy, the sum of sigma^2 (the paper's rule)."""

    threshold: float = 0.99

    def __post_init__(self) -> None:
        check_fraction("threshold", self.threshold)

    def choose(self, spectrum: Spectrum) -> RankChoice:
        """Rank 0 where there is no energy at all."""
        energy = _energy(spectrum.sigma)
        if energy is None or spectrum.numerical_rank == 0:
            return RankChoice(0, f"energy {self.threshold:g}", {"energy": 0.0})
        # The comparison allows for rounding of the running sum, so that a threshold met exactly counts as met.
        reached = energy >= self.threshold * (1 - 8 * torch.finfo(energy.dtype).eps)
        rank = min(int((~reached).sum()) + 1, spectrum.numerical_rank)
        return RankChoice(rank, f"energy {self.threshold:g}", {"energy": float(energy[rank - 1])})


@dataclass(frozen=True)
class Gap:
    """Rank before the largest relative gap sigma_(k+1) / sigma_k. The ratio is of sigma itself, never of a power.

    Only sigma above rounding are compared: how many zeros follow depends on how many rows stand for the same Gramian,
    and the step down to them would always be the largest.
    """

    def choose(self, spectrum: Spectrum) -> RankChoice:
        """No gap among the non-zero values, because there is one or all are of equal size, chooses all of them."""
        kept = spectrum.numerical_rank
        sigma = spectrum.sigma[:kept]
        ratios = sigma[1:] / sigma[:-1]
        if kept < 2 or float(ratios.min()) > 1 - 64 * kept * torch.finfo(sigma.dtype).eps:
            return RankChoice(kept, "gap", {"ratio": 1.0})
        rank = int(torch.argmin(ratios)) + 1
        return RankChoice(rank, "gap", {"ratio": float(ratios[rank - 1])})


@dataclass(frozen=True)
class Fixed:
    """Exactly `rank` dimensions; an error where the spectrum has fewer."""

    rank: int

    def __post_init__(self) -> None:
        check_count("rank", self.rank)

    def choose(self, spectrum: Spectrum) -> RankChoice:
        """The given rank.

        Raises:
            InputError: the numerical rank is smaller.
        """
        if not spectrum.reaches(self.rank):
            check_rank("rank", self.rank, spectrum.numerical_rank)
        return RankChoice(self.rank, f"fixed {self.rank}", {})


@dataclass(frozen=True)
class Full:
    """Every dimension above rounding."""

    def choose(self, spectrum: Spectrum) -> RankChoice:
        """The numerical rank."""
        return RankChoice(spectrum.numerical_rank, "full", {})


@dataclass(frozen=True)
class Null:
    """How many sigma exceed the `quantile` of the largest sigma under random relative orientation.

    The null turns the sensitivities by a Haar-random rotation against the states: it keeps both spectra and destroys
    their alignment. (Permuting whole rows of J cannot serve as a null: J^T J, and with it every sigma, stays the same.)
    """

    quantile: float = 0.999
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_fraction("quantile", self.quantile)
        check_count("draws", self.draws)

    def choose(self, spectrum: Spectrum) -> RankChoice:
        """Rank 0 where no sigma stands out."""
        draws = spectrum.null(self.draws, torch.Generator().manual_seed(self.seed))
        bound = float(torch.quantile(draws, self.quantile))
        # Where turning changes nothing (isotropic states, one dimension) sigma and bound differ by rounding alone.
        rounding = 64 * len(spectrum.sigma) * torch.finfo(spectrum.sigma.dtype).eps
        rank = int((spectrum.sigma[: spectrum.numerical_rank] > bound * (1 + rounding)).sum())
        return RankChoice(rank, f"null {self.quantile:g} of {self.draws}", {"null sigma": bound})


def sufficient_rank(kept: Sequence[float] | Tensor, base: float, tolerance: float) -> RankChoice:
    """r_suf: smallest rank at which keeping the core performs within `tolerance` of `base`.

    Args:
        kept: performance of keep at ranks 1, 2, ..., in the units of `base` (higher is better).
    """
    curve = as_finite("kept", kept).flatten()
    as_finite("base", base)
    as_finite("tolerance", tolerance)
    return _first(curve >= base - tolerance, curve, f"r_suf: keep >= base - {tolerance:g}")


def necessary_rank(removed: Sequence[float] | Tensor, bound: float) -> RankChoice:
    """r_nec: smallest rank whose removal performs at most `bound` (chance and its allowance).

    Args:
        removed: performance of remove at ranks 1, 2, ..., in the units of `bound` (higher is better).
    """
    curve = as_finite("removed", removed).flatten()
    as_finite("bound", bound)
    return _first(curve <= bound, curve, f"r_nec: remove <= {bound:g}")


def _first(met: Tensor, curve: Tensor, rule: str) -> RankChoice:
    if not bool(met.any()):
        return RankChoice(None, rule, {"closest": float(curve[-1])} if len(curve) else {})
    rank = int(met.to(torch.int8).argmax()) + 1
    return RankChoice(rank, rule, {"performance": float(curve[rank - 1])})


def _energy(sigma: Tensor) -> Tensor | None:
    if len(sigma) == 0 or float(sigma[0]) == 0.0:
        return None
    scaled = (sigma / sigma[0]) ** 2
    running = torch.cumsum(scaled, dim=0)
    return running / running[-1]
