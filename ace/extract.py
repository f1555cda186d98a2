"""Active Core Extraction by factors: (states, sensitivities) -> Core.

Reachability C = H_c^T H_c / (n - 1) says what the states reach, observability O = J^T J / m what the output reads. ACE
balances the two (square-root balanced truncation): sigma^2 are the eigenvalues of C O. Neither is ever formed.
Source: arXiv 2602.22600, section on extraction; the factor form is Laub, Heath, Paige and Ward 1987.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from typing import Any, Protocol

from torch import Tensor

from ace.arrays import Ints
from ace.check import as_matrix
from ace.core import Core, Deferred
from ace.core_arrays import ARRAYS, array_fault
from ace.errors import ExtractorError, Inapplicable, InputError
from ace.linalg import RowFactor, row_factor, stream_factor
from ace.rank import Energy, RankRule, check_rule
from ace.spectrum import FactorSpectrum


class Extractor(Protocol):
    """What can stand in for `extract_core`: the project's own, or a user's through `--ace-extractor`.

    A user's own needs a basis, by whatever method, with the leading column first; `Core.from_basis` does the rest: it
    takes the columns that the rank rule asks for, and finds the readers of the oblique projector within their span.

        def extract(states, sensitivities, *, rank):
            H, J = states.double() - states.double().mean(dim=0), sensitivities.double()
            samples, _, _ = torch.linalg.svd(H @ J.T, full_matrices=False)
            basis = H.T @ samples
            return ace.Core.from_basis(basis, states=states, sensitivities=sensitivities, rank=rank)

    A method that finds a subspace and no readers leaves the sensitivities out, and the rank is its own to choose: its
    core has the orthogonal projector for both, and properties of balanced readers do not speak about it.

    One with a parameter `labels` is given the class of each state as well, (n) integers, where claims are verified: see
    `extracted`.
    """

    def __call__(self, states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
        """Core of states (n, d) and sensitivities (m, d)."""
        ...


def extract_core(
    states: Tensor,
    sensitivities: Tensor,
    *,
    rank: RankRule | None = None,
    site: str = "",
    task: str = "",
    split: str = "",
) -> Core:
    """Core of states H (n, d) and sensitivities J (m, d), both of any real dtype, computed in float64.

    Args:
        states: hidden states, one a row, n >= 2; centred here.
        sensitivities: gradients of the task's outputs with respect to the state, one a row, m >= 1; not centred.
        rank: the rule that chooses r; `Energy(0.99)` by default.
        site, task, split: provenance, copied to the core.

    Raises:
        InputError: wrong shape, fewer than two states, different widths, NaN or infinity.
    """
    columns = as_matrix("states", states, minimum_rows=2)
    rows = as_matrix("sensitivities", sensitivities, width=columns.shape[1])
    return extract_factors(
        row_factor(columns, centred=True), row_factor(rows, centred=False), rank=rank, site=site, task=task, split=split
    )


def extract_stream(
    states: Iterable[Tensor],
    sensitivities: Iterable[Tensor],
    *,
    rank: RankRule | None = None,
    site: str = "",
    task: str = "",
    split: str = "",
) -> Core:
    """`extract_core` over chunks (n_i, d) and (m_i, d) read once: memory O(d^2) whatever n and m.

    Raises:
        InputError: as `extract_core`, and for no chunk at all.
    """
    return extract_factors(
        stream_factor(states, centred=True, name="states"),
        stream_factor(sensitivities, centred=False, name="sensitivities"),
        rank=rank,
        site=site,
        task=task,
        split=split,
    )


def extract_factors(
    states: RowFactor,
    sensitivities: RowFactor,
    *,
    rank: RankRule | None = None,
    site: str = "",
    task: str = "",
    split: str = "",
) -> Core:
    """Core of two row factors of equal width; the common end of `extract_core` and `extract_stream`.

    Raises:
        InputError: fewer than two states, different widths, factors centred the wrong way round, or a rank that is no
            rule, or that exceeds the numerical rank.
    """
    if states.rows < 2:
        raise InputError(f"states: expected at least 2 rows, got {states.rows}")
    if not states.centred or sensitivities.centred:
        raise InputError("factors: expected centred states and uncentred sensitivities")
    rule = Energy() if rank is None else check_rule("rank", rank)
    spectrum = FactorSpectrum(states, sensitivities)
    choice = rule.choose(spectrum)
    span = spectrum.leading(choice.value or 0)
    return Core(
        mean=states.mean,
        directions=span.directions,
        readers=span.readers,
        basis=span.basis,
        rank=choice,
        samples=states.rows,
        site=site,
        task=task,
        split=split,
        hankel=Deferred(span.sigma),
    )


def checked(extractor: Extractor) -> Extractor:
    """An extractor whose results are checked: a `Core` of the states' width, whole, with an orthonormal basis.

    Raises (when called):
        ExtractorError: what came is no such core.
    """

    @wraps(extractor)  # so that its parameters can be seen
    def call(states: Tensor, sensitivities: Tensor, *, rank: RankRule, **labels: Any) -> Core:
        core = extractor(states, sensitivities, rank=rank, **labels)
        if not isinstance(core, Core):
            raise ExtractorError(f"extractor: expected an ace.Core, got {type(core).__name__}")
        if core.basis.ndim != 2 or core.width != states.shape[1]:
            raise ExtractorError(f"extractor: expected a basis ({states.shape[1]}, r), got {tuple(core.basis.shape)}")
        fault = array_fault({name: getattr(core, name) for name in ARRAYS})
        if fault:
            raise ExtractorError(f"extractor: {fault}")
        return core

    return call


def wants_labels(extractor: Extractor) -> bool:
    """Whether an extractor has a parameter `labels`."""
    try:
        return "labels" in signature(extractor).parameters
    except (TypeError, ValueError):  # a compiled function need not say what it takes
        return False


def extracted(
    extractor: Extractor,
    states: Tensor,
    sensitivities: Tensor,
    *,
    rank: RankRule,
    labels: Callable[[], Ints | None],
) -> Core:
    """What an extractor finds; one with a parameter `labels` gets the class of each state.

    Args:
        labels: gives the classes (n), or None where there are none; called only if they are asked for.

    Raises:
        Inapplicable: labels are asked for where there are none.
    """
    if not wants_labels(extractor):
        return extractor(states, sensitivities, rank=rank)
    classes = labels()
    if classes is None:
        raise Inapplicable("the extractor asks for labels, and what the task has for targets are no classes")
    labelled: Any = extractor
    core: Core = labelled(states, sensitivities, rank=rank, labels=classes)
    return core


def head_sensitivities(weight: Tensor) -> Tensor:
    """Exact sensitivities (classes, d) of logits through a linear head: its weight, centred over classes.

    A linear head has one Jacobian for every sample, so none is sampled. Logits are defined up to a shift, so the mean
    over classes is no output: W - mean(W). Its rank is at most classes - 1.

    Raises:
        InputError: not a matrix (classes >= 2, d).
    """
    matrix = as_matrix("weight", weight, minimum_rows=2)
    return matrix - matrix.mean(dim=0)
