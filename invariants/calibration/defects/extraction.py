"""Defects of extraction: another subspace, other readers, another rank, another reference point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ace.core import Core
from ace.extract import Extractor, extract_core, head_sensitivities
from ace.linalg import random_frames
from ace.rank import Energy, Fixed, Full, Gap, GivenSpectrum, Null, RankChoice, RankRule, Spectrum
from invariants.calibration.defects.record import Defect, by_property
from invariants.controls import planted
from invariants.properties import test_balance, test_extract, test_rank

JITTER = 1e-3


def changed(change: Callable[[Core], Core]) -> Extractor:
    """The project's own extractor with its result changed."""

    def extract(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
        core = extract_core(states, sensitivities, rank=rank)
        return change(core) if core.dimension else core

    return extract


def of_other_data(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Extractor:
    """The project's own extractor on other states and sensitivities."""

    def extract(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
        return extract_core(*change(states, sensitivities), rank=rank)

    return extract


def gradients_alone(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """What is read, whether states vary there or not."""
    core = extract_core(states, sensitivities, rank=rank)
    axes = torch.linalg.svd(sensitivities.double(), full_matrices=False).Vh
    return core.with_basis(axes[: core.dimension].T) if core.dimension else core


def formed_gramians(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """Both Gramians formed, with eigenvalues of their product in the place of singular values of a factor's."""
    core = extract_core(states, sensitivities, rank=Fixed(1))
    centred = states.double() - states.double().mean(dim=0)
    reach = centred.T @ centred / (len(states) - 1)
    values, vectors = torch.linalg.eig(reach @ sensitivities.double().T @ sensitivities.double() / len(sensitivities))
    order = torch.argsort(values.real, descending=True)
    sigma = values.real[order].clamp_min(0).sqrt()
    above = int((sigma > 1e-12 * sigma[0]).sum())
    choice = rank.choose(GivenSpectrum(sigma, above, lambda draws, generator: sigma[:1]))
    basis = torch.linalg.qr(vectors.real[:, order[: choice.value or 0]]).Q
    return replace(core.with_basis(basis), rank=choice, hankel=sigma)


def with_jitter(states: Tensor, sensitivities: Tensor) -> tuple[Tensor, Tensor]:
    """States as if a thousandth of the identity were added to their covariance."""
    rows, width = states.shape
    size = (JITTER * (rows - 1) / 2) ** 0.5
    added = size * torch.eye(width, dtype=torch.float64)
    mean = states.double().mean(dim=0)
    more = torch.cat([states.double(), mean + added, mean - added])
    return mean + (more - mean) * ((len(more) - 1) / (rows - 1)) ** 0.5, sensitivities


def mean_of_half(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """The reference point from another split than the rest of the core."""
    core = extract_core(states, sensitivities, rank=rank)
    return replace(core, mean=states[: len(states) // 2].double().mean(dim=0))


def reversed_order(core: Core) -> Core:
    """The least dimension first."""
    return Core.from_basis(core.directions.flip(1), core.mean)


def one_more(core: Core) -> Core:
    """A dimension that has nothing to do with it."""
    if core.dimension == core.width:
        return core
    more = random_frames(core.width, 1, 1, torch.Generator().manual_seed(0))[0]
    return core.with_basis(torch.linalg.qr(torch.cat([core.basis, more], dim=1)).Q)


def one_less(core: Core) -> Core:
    """Without the last dimension."""
    basis = core.basis[:, : core.dimension - 1]
    return replace(core, basis=basis, directions=basis, readers=basis.T, hankel=None)


def absolute_rank(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """What counts as zero has a fixed size."""
    core = extract_core(states, sensitivities, rank=rank)
    kept = int((core.sigma[: core.dimension] > 1e-6).sum())
    return core.truncated(kept) if kept else replace(core.with_basis(core.basis[:, :0]), hankel=core.sigma)


def squared_gap(self: Gap, spectrum: Spectrum) -> RankChoice:
    """The gap of sigma squared, as the published code reports it."""
    sigma = spectrum.sigma[: spectrum.numerical_rank]
    ratios = (sigma[1:] / sigma[:-1]) ** 2
    rank = int(torch.argmin(ratios)) + 1
    return RankChoice(rank, "gap", {"ratio": float(ratios[rank - 1])})


def energy_of_sigma(self: Energy, spectrum: Spectrum) -> RankChoice:
    """Shares of the sum of sigma in the place of its squares."""
    share = spectrum.sigma.cumsum(dim=0) / spectrum.sigma.sum()
    return RankChoice(int((share < self.threshold).sum()) + 1, "energy", {})


def permuted_null(self: Null, spectrum: Spectrum) -> RankChoice:
    """A null of permuted rows: no Gramian changes, so the largest sigma is its own null."""
    return RankChoice(int((spectrum.sigma > spectrum.sigma[0]).sum()), "null", {})


def uncentred_head(weight: Tensor) -> Tensor:
    """A head's weight as it is: what moves all logits alike counts as read."""
    return weight.double()


def one_class_negated(weight: Tensor) -> Tensor:
    """The first class read with the other sign."""
    signed = weight.double().clone()
    signed[0] *= -1
    return head_sensitivities(signed)


def _extractor(kind: str, name: str, extractor: Extractor, test: Callable[..., object], **more: object) -> Defect:
    argument = "balanced_extractor" if test.__module__ == test_balance.__name__ else "extractor"
    return by_property(kind, name, test, planted={argument: extractor, **more}, sound={argument: extract_core, **more})


SPAN, READ, RANK, MIDDLE, DIGITS = "wrong core", "wrong readers", "wrong rank", "mis-centred", "arithmetic"

DEFECTS = (
    _extractor(SPAN, "a random subspace", planted.random_basis, test_extract.test_known_spans_are_recovered),
    _extractor(
        SPAN,
        "what is read in the place of what is reached",
        planted.swapped_gramians,
        test_extract.test_spans_are_equivariant_under_invertible_maps,
    ),
    _extractor(
        SPAN,
        "unbalanced: principal components",
        planted.principal_components,
        test_extract.test_spans_are_equivariant_under_invertible_maps,
    ),
    _extractor(
        SPAN,
        "unbalanced: principal components with the right readers of their span",
        planted.read_principal_components,
        test_extract.test_known_spans_are_recovered,
    ),
    _extractor(SPAN, "unbalanced: gradients alone", gradients_alone, test_extract.test_known_spans_are_recovered),
    _extractor(
        SPAN,
        "the least direction first",
        changed(reversed_order),
        test_extract.test_the_leading_columns_of_a_core_span_the_smaller_core,
    ),
    _extractor(
        SPAN,
        "a basis that is not orthonormal",
        changed(lambda core: replace(core, basis=core.directions)),
        test_extract.test_the_basis_is_orthonormal,
    ),
    _extractor(
        READ,
        "readers of outputs that are weighted otherwise",
        planted.misread,
        test_balance.test_known_oblique_projectors_are_recovered,
    ),
    _extractor(
        READ,
        "readers of the other sign than directions",
        changed(lambda core: replace(core, readers=-core.readers)),
        test_extract.test_the_oblique_projector_is_idempotent_and_of_rank_r,
    ),
    _extractor(
        READ,
        "readers of unit length, not dual to directions",
        changed(lambda core: replace(core, readers=core.readers / core.readers.norm(dim=1, keepdim=True))),
        test_extract.test_the_oblique_projector_is_idempotent_and_of_rank_r,
    ),
    _extractor(
        READ,
        "directions and readers transposed",
        changed(lambda core: replace(core, directions=core.readers.T, readers=core.directions.T)),
        test_extract.test_basis_and_directions_span_the_same,
    ),
    _extractor(
        READ,
        "the orthogonal projector where the oblique one is said",
        changed(lambda core: replace(core, directions=core.basis, readers=core.basis.T)),
        test_balance.test_the_oblique_projector_is_covariant_under_invertible_maps,
    ),
    by_property(
        READ,
        "a head's rows not centred over classes",
        test_extract.test_shifting_all_logits_changes_no_sensitivity,
        patches=((test_extract, "head_sensitivities", uncentred_head),),
    ),
    by_property(
        READ,
        "the sign of one class",
        test_extract.test_a_full_core_of_a_linear_head_spans_what_concept_erasure_removes,
        planted={"extractor": extract_core},
        sound={"extractor": extract_core},
        patches=((test_extract, "head_sensitivities", one_class_negated),),
    ),
    _extractor(
        RANK, "one dimension too many", changed(one_more), test_extract.test_the_full_rank_is_that_of_the_system
    ),
    _extractor(RANK, "one dimension too few", changed(one_less), test_extract.test_the_full_rank_is_that_of_the_system),
    _extractor(
        RANK, "an absolute tolerance", absolute_rank, test_extract.test_scaling_leaves_rank_and_span, rule=Full()
    ),
    by_property(
        RANK,
        "the gap of sigma squared",
        test_rank.test_the_gap_rule_finds_a_gap_wider_than_all_others,
        patches=((Gap, "choose", squared_gap),),
    ),
    by_property(
        RANK,
        "the energy of sigma, not of its square",
        test_rank.test_the_energy_rank_is_the_smallest_that_reaches_the_threshold,
        patches=((Energy, "choose", energy_of_sigma),),
    ),
    by_property(
        RANK,
        "a null of permuted rows",
        test_rank.test_the_null_rank_of_an_aligned_system_is_the_planted_one,
        patches=((Null, "choose", permuted_null),),
    ),
    _extractor(
        MIDDLE,
        "reachability about zero, not about the mean",
        planted.uncentred,
        test_extract.test_translating_the_states_moves_only_the_mean,
    ),
    _extractor(
        MIDDLE,
        "the mean of half of the states",
        mean_of_half,
        test_extract.test_the_reference_point_is_the_mean_of_the_states,
    ),
    _extractor(
        MIDDLE,
        "zero as the reference point",
        changed(lambda core: replace(core, mean=torch.zeros_like(core.mean))),
        test_extract.test_the_reference_point_is_the_mean_of_the_states,
    ),
    _extractor(
        DIGITS,
        "states in float16",
        of_other_data(lambda states, rows: (states.half().double(), rows)),
        test_extract.test_known_spans_are_recovered,
    ),
    _extractor(
        DIGITS,
        "a covariance with jitter",
        of_other_data(with_jitter),
        test_balance.test_known_hankel_singular_values_are_recovered,
    ),
    _extractor(
        DIGITS,
        "Gramians formed, which squares the condition number",
        formed_gramians,
        test_extract.test_a_sigma_whose_square_is_lost_in_a_gramian_counts_in_the_rank,
    ),
    _extractor(
        DIGITS,
        "sigma squared in the place of sigma",
        changed(lambda core: replace(core, hankel=core.sigma**2)),
        test_balance.test_known_hankel_singular_values_are_recovered,
    ),
    _extractor(
        DIGITS,
        "the last states left out",
        of_other_data(lambda states, rows: (states[: max(2, len(states) - 2)], rows)),
        test_extract.test_the_order_of_the_states_is_immaterial,
    ),
    _extractor(
        DIGITS,
        "duplicated states counted once",
        of_other_data(lambda states, rows: (torch.unique(states, dim=0), rows)),
        test_balance.test_duplicating_rows_scales_sigma_by_a_known_factor,
        rule=Full(),
    ),
)
