"""What alternatives are found from, and how each becomes a core with directions and readers.

A method finds either directions, which states are moved along, or readers, which tell the classes apart. An edit takes
both, so a reader w gets the direction C w / (w' C w): the pattern that what it reads leaves in states of covariance C
(Haufe et al. 2014, NeuroImage 87, 96-110). Balancing gives its readers the same, so that alternatives differ from a
core in what they find, not in how they edit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ace.arrays import EPS, Ints
from ace.check import as_finite, as_matrix, check_count
from ace.core import Core
from ace.core_arrays import DUAL, independent_columns
from ace.errors import InputError
from ace.linalg import row_factor
from ace.rank import RankChoice


@dataclass(frozen=True, eq=False)
class Evidence:
    """States of several classes at one site, and what the outputs read of them.

    Attributes:
        states: H (n, d) float64, one a row.
        sensitivities: J (m, d) float64, gradients of the task's outputs with respect to the state.
        labels: (n) class of each, any integers; None where there are no classes.
        mean: (d) float64, the reference point of the cores; the mean of the states by default.

    Raises:
        InputError: shapes that do not fit, NaN or infinity, labels that are no integers, or one class only.
    """

    states: Tensor
    sensitivities: Tensor
    labels: Ints | None = None
    mean: Tensor | None = None

    def __post_init__(self) -> None:
        states = as_matrix("states", self.states, minimum_rows=2)
        if self.labels is not None:
            object.__setattr__(self, "labels", _labels(self.labels, len(states)))
        mean = states.mean(dim=0) if self.mean is None else as_finite("mean", self.mean)
        if mean.shape != (states.shape[1],):
            raise InputError(f"mean: expected shape ({states.shape[1]},), got {tuple(mean.shape)}")
        object.__setattr__(self, "states", states)
        object.__setattr__(self, "sensitivities", as_matrix("sensitivities", self.sensitivities, width=states.shape[1]))
        object.__setattr__(self, "mean", mean)

    @cached_property
    def spread(self) -> Tensor:
        """(k, d) factor of the states' covariance C: spread^T spread = C, about their own mean."""
        return row_factor(self.states, centred=True).factor / (len(self.states) - 1) ** 0.5

    @property
    def classes(self) -> Ints:
        """(n) class of each state, where there are any.

        Raises:
            InputError: there are none.
        """
        if self.labels is None:
            raise InputError("labels: expected a class of each state for a method that tells classes apart, got none")
        return self.labels

    @cached_property
    def within(self) -> Tensor:
        """(n, d) states less the mean of their class."""
        places, means = self._class_means
        return self.states - means[places]

    @cached_property
    def class_offsets(self) -> Tensor:
        """(c, d) mean of each class less that of all states, times the root of the class's share of the rows.

        The products of these rows add up to the between-class covariance.

        Raises:
            InputError: all classes have the same mean, to rounding.
        """
        places, means = self._class_means
        shares = places.bincount() / len(places)
        offsets = (means - self.states.mean(dim=0)) * shares.double().sqrt()[:, None]
        if float(offsets.norm()) <= 4 * EPS * len(places) ** 0.5 * float(self.states.abs().amax(dim=0).norm()):
            raise InputError("labels: expected classes with different means, got the same mean in all of them")
        return offsets

    def separable(self, rank: int) -> int:
        """The rank, or one less than there are classes where that is smaller: what class means span.

        Raises:
            InputError: a rank that is no count, or no classes.
        """
        return min(check_count("rank", rank), len(np.unique(self.classes)) - 1)

    @cached_property
    def _class_means(self) -> tuple[Tensor, Tensor]:
        """(n) place of each state's class, and (c, d) the means of the classes."""
        places = torch.from_numpy(np.unique(self.classes, return_inverse=True)[1])
        member = torch.nn.functional.one_hot(places).double()
        return places, member.T @ self.states / member.sum(dim=0)[:, None]

    def core_of_directions(self, directions: Tensor, name: str) -> Core:
        """A core of directions (d, r) that are their own readers: its oblique projector is the orthogonal one.

        Raises:
            InputError: dependent directions.
        """
        basis = independent_columns("directions", directions)
        return self._core(basis, basis.T, basis, name)

    def core_of_readers(self, readers: Tensor, name: str) -> Core:
        """A core of readers (r, d), with the patterns that they leave in the states for directions.

        Readers are first made uncorrelated on the states, each with the ones before it, so that the leading k of them
        have the leading k directions for theirs.

        Raises:
            InputError: another width, NaN or infinity, or readers along which the states do not vary in r dimensions.
        """
        rows = as_matrix("readers", readers, width=self.states.shape[1])
        read = self.spread @ rows.T  # (k, r)
        limit = max(self.spread.shape) * EPS * self.spread.norm() * rows.norm(dim=1)
        if bool((read.norm(dim=0) <= limit).any()):
            raise InputError(f"readers: expected directions that states vary along, got one of {name} that they do not")
        scores = independent_columns("readers", read)
        mixing = torch.linalg.lstsq(read, scores).solution  # (r, r), upper triangular
        directions = self.spread.T @ scores
        return self._core(directions, mixing.T @ rows, independent_columns("directions", directions), name)

    def core_of_both(self, directions: Tensor, readers: Tensor, name: str) -> Core:
        """A core of directions (d, r) and their own readers (r, d), readers @ directions = identity.

        Raises:
            InputError: dependent directions, or readers that are not dual to them.
        """
        basis = independent_columns("directions", directions)
        rows = as_matrix("readers", readers, width=self.states.shape[1])
        if len(rows) != basis.shape[1] or float((rows @ directions - torch.eye(len(rows))).abs().amax()) > DUAL:
            raise InputError("readers: expected readers @ directions = identity, got something else")
        return self._core(directions, rows, basis, name)

    def _core(self, directions: Tensor, readers: Tensor, basis: Tensor, name: str) -> Core:
        assert self.mean is not None
        choice = RankChoice(basis.shape[1], f"{name}, {basis.shape[1]} dimensions", {})
        return Core(self.mean, directions, readers, basis, choice, samples=len(self.states))


def _labels(given: object, rows: int) -> Ints:
    labels = np.asarray(given)
    if labels.shape != (rows,) or labels.dtype.kind not in "biu":
        raise InputError(f"labels: expected integers ({rows},), got {labels.dtype} {labels.shape}")
    if len(np.unique(labels)) < 2:
        raise InputError(f"labels: expected at least two classes, got {np.unique(labels).tolist()}")
    return labels.astype(np.int64)


def leading_rows(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(r) leading singular values of a matrix (k, d) and its right vectors (r, d), r at most `rank` and its own rank.

    Raises:
        InputError: a rank that is no count, or a matrix of nothing but zeros.
    """
    check_count("rank", rank)
    _, sizes, rows = torch.linalg.svd(matrix, full_matrices=False)
    count = min(rank, int((sizes > max(matrix.shape) * EPS * sizes[0]).sum()))
    if count == 0:
        raise InputError("evidence: expected something that varies, got zeros")
    return sizes[:count], rows[:count]
