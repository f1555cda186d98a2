"""What a task gives: batches on disjoint splits, and the performance of an oracle and of chance, computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ace.arrays import Array, Bools, Complex, Ints
from ace.check import check_choice, check_count
from ace.errors import Inapplicable, InputError, SplitError

Numbers = NDArray[Any]
SHARED = 0.1  # share of rows, beside three standard errors, that two splits may share beyond chance


class Split(StrEnum):
    """Purposes that never share data. Each draws from a random stream of its own."""

    TRAINING = "training"
    EXTRACTION = "extraction"
    SELECTION = "selection"
    EVALUATION = "evaluation"


HELD_OUT = (Split.EXTRACTION, Split.SELECTION, Split.EVALUATION)  # what nothing is trained on


@dataclass(frozen=True, eq=False)
class Batch:
    """Sequences of one split.

    Attributes:
        inputs: (n, ...) what the model reads: token ids (n, t), or numbers. Integers are kept as int64.
        targets: (n, s) or (n, s, ...) what it should give at the last s positions, the scored ones: classes, or numbers
            where the task has a score of its own. Integers are kept as int64.
        predictive: (n, s, v) the Bayes-optimal distribution of each target given the inputs up to it; None where no
            optimal predictor is known.
        split: the split the sequences were drawn for.

    Raises:
        InputError: inputs or targets that are no numbers, without the axes above, unequal in n, or not finite.
    """

    inputs: Numbers
    targets: Numbers
    predictive: Array | None
    split: Split

    def __post_init__(self) -> None:
        check_choice("split", self.split, tuple(Split))
        for name, axes, words in (("inputs", 1, "(n, ...)"), ("targets", 2, "(n, s), s = 1 for one answer")):
            object.__setattr__(self, name, _numbers(name, getattr(self, name), axes, words))
        if len(self.inputs) != len(self.targets):
            raise InputError(f"targets: expected {len(self.inputs)} rows as inputs have, got {len(self.targets)}")

    @property
    def scored(self) -> int:
        """s, how many positions from the end are predicted."""
        return self.targets.shape[1]

    @property
    def oracle_hits(self) -> Bools:
        """(n, s) whether the Bayes-optimal guess is right."""
        return np.asarray(self._oracle.argmax(axis=-1) == self.targets)

    @property
    def oracle_loss(self) -> Array:
        """(n, s) Bayes-optimal cross-entropy in nats: -log of the probability the oracle gave the target."""
        chosen = np.take_along_axis(self._oracle, self.targets[..., None], axis=-1)[..., 0]
        return np.asarray(-np.log(chosen), dtype=np.float64)

    @property
    def _oracle(self) -> Array:
        if self.predictive is None:
            raise Inapplicable(f"the {self.split} split comes without an optimal predictor")
        return self.predictive


def _numbers(name: str, value: object, axes: int, words: str) -> Numbers:
    """An array of finite numbers with at least so many axes, integers as int64."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: expected an array of numbers, got {type(value).__name__}: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name}: expected integers or real numbers, got {array.dtype} of {type(value).__name__}")
    if array.ndim < axes or array.size == 0:
        raise InputError(f"{name}: expected a filled array {words}, got shape {array.shape}")
    if array.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        if len(bad):
            raise InputError(f"{name}: expected finite numbers, got NaN or infinity in rows {bad[:5].tolist()}")
        return array
    return array.astype(np.int64, copy=False)


class Task(ABC):
    """A source of examples on disjoint splits, with a score and its chance level.

    A task of one's own defines `name` and `draw`. The rest has defaults for classification: outputs are logits over
    classes, an answer scores 1 where the largest is the target's, and chance is the best constant guess.

    Attributes:
        name: shown in tables and provenance.
        vocabulary: number of classes or tokens, where the task has a fixed number.
        logits: whether outputs are logits, defined up to a shift; else every output counts as it is.
        eigenvalues: (k) of the operator that takes one position to the next, other than 1, where it is known.
    """

    name: str
    vocabulary: int
    logits: bool = True
    eigenvalues: Complex | None = None

    @abstractmethod
    def draw(self, split: Split, sequences: int, seed: int = 0) -> Batch:
        """`sequences` independent sequences of one split; the same arguments give the same sequences."""

    def size(self, split: Split) -> int | None:
        """How many sequences a split has; None where they can be drawn without end."""
        check_choice("split", split, tuple(Split))
        return None

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(n) score of each example, larger is better: by default the share of scored positions answered right.

        Args:
            outputs: (n, s, v) of the model at the scored positions. targets: (n, s), as drawn.

        Raises:
            InputError: targets that are no classes, which take a score of their own.
        """
        _require_classes(targets.shape, targets.is_floating_point(), outputs.shape[-1], int(targets.max()))
        return (outputs.argmax(dim=-1) == targets).double().mean(dim=1)

    def chance(self, batch: Batch) -> Array:
        """(n), or one number for all: the score of the best guess that does not look at the input.

        By default that of the one constant answer that is right most often in this batch.

        Raises:
            InputError: targets that are no classes, which take a chance level of their own.
        """
        _require_classes(batch.targets.shape, batch.targets.dtype.kind == "f")
        if batch.targets.min() < 0:
            raise InputError(f"targets: expected classes of at least 0, got {batch.targets.min()}")
        best = np.bincount(batch.targets.ravel()).argmax()
        return np.asarray((batch.targets == best).mean(axis=1), dtype=np.float64)

    def stream(self, split: Split, seed: int) -> np.random.Generator:
        """Random stream of one split: streams of different splits are independent.

        Raises:
            InputError: no such split, or a negative seed.
        """
        check_choice("split", split, tuple(Split))
        check_count("seed", seed, smallest=0)
        place = list(Split).index(split)
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place,)))


def _require_classes(
    shape: tuple[int, ...], floating: bool, classes: int | None = None, largest: int | None = None
) -> None:
    """Refuse targets that the scores of classification do not speak about."""
    if floating or len(shape) != 2:
        kind = "numbers" if floating else "classes"
        raise InputError(
            f"targets: expected classes (n, s) where a task has no score and chance of its own, got {kind} {shape}"
        )
    if classes is not None and largest is not None and largest >= classes:
        raise InputError(f"targets: expected classes 0..{classes - 1} as there are outputs, got {largest}")


def require_different_rows(first: Batch, second: Batch, *, finite: bool) -> None:
    """Refuse two splits whose inputs are the same sequences, as far as that can be told from the sequences themselves.

    Independent draws share a row as often as one draw repeats its own rows. More than that is an overlap; of a finite
    task without repeated rows, a single shared row is.

    Args:
        finite: the task's splits are parts of one set of sequences, not draws without end.

    Raises:
        SplitError: they are.
    """
    count = min(len(first.inputs), len(second.inputs))
    ours, theirs = ([row.tobytes() for row in batch.inputs[:count]] for batch in (first, second))
    times = Counter(theirs)
    shared = sum(row in times for row in ours)
    repeated = sum(number for number in times.values() if number > 1)
    if (finite and shared and not repeated) or (shared - repeated) / count > SHARED + 3 * count**-0.5:
        raise SplitError(
            f"split: expected sequences of {second.split} that are not in {first.split}, got {shared} of {count}"
            " shared; does `draw` look at its split and seed?"
        )


def require_disjoint(used: str, batch: Batch) -> None:
    """Refuse to evaluate on the split that a core was extracted from, or a rank was selected on.

    Raises:
        SplitError: `batch` is of the split named `used`.
    """
    if used == batch.split.value:
        raise SplitError(f"split: the {used} split was used already; expected a different one, got the same")


def check_transition(transition: object) -> Array:
    """Return a row-stochastic, irreducible matrix (s, s), or raise `InputError`."""
    matrix = np.asarray(transition, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < 2:
        raise InputError(f"transition: expected a square matrix of at least 2 states, got shape {matrix.shape}")
    if not np.isfinite(matrix).all() or (matrix < 0).any() or not np.allclose(matrix.sum(axis=1), 1.0, atol=1e-12):
        raise InputError("transition: expected non-negative rows that sum to 1")
    reach = np.linalg.matrix_power((matrix > 0) + np.eye(len(matrix)), len(matrix))
    if (reach == 0).any():
        raise InputError("transition: expected an irreducible chain, got states that cannot reach each other")
    return matrix


def stationary(transition: Array) -> Array:
    """(s) the stationary distribution pi with pi T = pi of an irreducible chain."""
    states = len(transition)
    system = np.vstack([transition.T - np.eye(states), np.ones(states)])
    right = np.concatenate([np.zeros(states), [1.0]])
    solution, *_ = np.linalg.lstsq(system, right, rcond=None)
    return np.asarray(solution / solution.sum(), dtype=np.float64)


def sample_chain(transition: Array, start: Array, sequences: int, length: int, rng: np.random.Generator) -> Ints:
    """(sequences, length) state paths of a Markov chain, first state from `start`; one draw a step for all paths."""
    check_count("sequences", sequences)
    check_count("length", length, smallest=2)
    edges = np.cumsum(transition, axis=1)[:, :-1]
    path = np.empty((sequences, length), dtype=np.int64)
    path[:, 0] = np.searchsorted(np.cumsum(start)[:-1], rng.random(sequences), side="right")
    for step in range(1, length):
        draw = rng.random(sequences)
        path[:, step] = (draw[:, None] >= edges[path[:, step - 1]]).sum(axis=1)
    return path
