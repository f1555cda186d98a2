"""The course of a long training: where its curve has points, which weights are kept, and where arms branch off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ace.check import check_count
from ace.errors import InputError, RecipeError


@dataclass(frozen=True)
class Arm:
    """One way to go on from a branch point.

    Attributes:
        weight_decay: None for the recipe's.
        fresh: whether the optimiser starts anew, without its moments and step count.
        until: its last epoch, where it ends before the others; the first arm never does.
    """

    weight_decay: float | None = None
    fresh: bool = False
    until: int | None = None

    def has(self, epoch: int) -> bool:
        """Whether it is trained for so many epochs."""
        return self.until is None or epoch <= self.until


TRUNK = Arm()


@dataclass(frozen=True)
class Course:
    """What happens along a training.

    Attributes:
        evaluate: epochs between points of the curve.
        checkpoints: epochs whose weights are kept, beside the first and the last.
        halved: those of them whose weights are kept rounded to half precision, which takes half the space.
        branch: epoch at which all models go on in every arm; None for no branch.
        arms: by name, the first being the one that others are compared with. All arms of a model see the same batches
            and the same dropout.
    """

    evaluate: int = 1
    checkpoints: tuple[int, ...] = ()
    halved: tuple[int, ...] = ()
    branch: int | None = None
    arms: Mapping[str, Arm] = field(default_factory=dict)

    def arms_at(self, epoch: int) -> Mapping[str, Arm]:
        """The arms whose weights exist after `epoch` epochs: one trunk, named "", up to the branch, then those that
        have not ended."""
        if self.branch is None or epoch <= self.branch:
            return {"": TRUNK}
        return {name: arm for name, arm in self.arms.items() if arm.has(epoch)}

    def has_arm(self, name: str, epoch: int) -> bool:
        """Whether there are weights of an arm after `epoch` epochs, its own or the trunk's."""
        return self.arms[name].has(epoch)

    def has_point(self, epoch: int, last: int) -> bool:
        """Whether the curve has a point after `epoch` epochs of a training of `last`."""
        return epoch % self.evaluate == 0 or epoch in (*self.checkpoints, self.branch, last)


def parse_course(where: str, entries: Mapping[str, Any]) -> Course:
    """Course from a recipe's `[course]` table.

    Raises:
        RecipeError: unknown keys, epochs that are no rising counts, or a branch without arms.
    """
    known = {entry.name for entry in fields(Course)}
    unknown = sorted(set(entries) - known) if isinstance(entries, Mapping) else ["no table"]
    if unknown:
        raise RecipeError(f"{where}: unknown key(s) {', '.join(unknown)}; expected some of {', '.join(sorted(known))}")
    given = dict(entries)
    arms = given.pop("arms", {})
    checkpoints, halved = (given.pop(name, ()) for name in ("checkpoints", "halved"))
    try:
        course = Course(
            checkpoints=tuple(check_count(f"{where}.checkpoints", epoch) for epoch in checkpoints),
            halved=tuple(check_count(f"{where}.halved", epoch) for epoch in halved),
            arms={name: Arm(**arm) for name, arm in arms.items()},
            **given,
        )
        check_count(f"{where}.evaluate", course.evaluate)
        if course.branch is not None:
            check_count(f"{where}.branch", course.branch)
    except (InputError, TypeError, AttributeError) as error:
        raise RecipeError(f"{where}: {error}") from error
    if list(course.checkpoints) != sorted(set(course.checkpoints)):
        raise RecipeError(f"{where}.checkpoints: expected rising epochs, got {list(course.checkpoints)}")
    if not set(course.halved) <= set(course.checkpoints):
        raise RecipeError(f"{where}.halved: expected some of the checkpoints, got {list(course.halved)}")
    if (course.branch is None) != (not course.arms):
        raise RecipeError(f"{where}.arms: expected with a branch and only there, got {sorted(course.arms)}")
    for name, arm in course.arms.items():
        decay = arm.weight_decay
        if decay is not None and (
            isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay < 1e9
        ):
            raise RecipeError(f"{where}.arms.{name}.weight_decay: expected a number of at least 0, got {decay!r}")
        if not isinstance(arm.fresh, bool):
            raise RecipeError(f"{where}.arms.{name}.fresh: expected true or false, got {arm.fresh!r}")
        if arm.until is not None:
            _check_end(f"{where}.arms.{name}.until", name, course)
    return course


def _check_end(where: str, name: str, course: Course) -> None:
    """Refuse an arm that ends where it has no weights, or that others cannot be compared with to their ends."""
    end = course.arms[name].until
    if name == next(iter(course.arms)):
        raise RecipeError(
            f"{where}: expected with another arm than the first, which others are compared with, got {end!r}"
        )
    if type(end) is not int or end not in course.checkpoints or end <= (course.branch or 0):
        raise RecipeError(f"{where}: expected one of the checkpoints past the branch, got {end!r}")
