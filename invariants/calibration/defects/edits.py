"""Defects of edits: another mode, reference point, projector or precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ace.model import intervene
from ace.model.intervene import Intervention
from ace.study.prompt_seeds import PromptSubject
from invariants.calibration.defects.record import Defect, Patch, by_claim, by_property
from invariants.controls.synthetic import synthetic_subject
from invariants.controls.worlds import LARGEST, PLAIN, Shape, world
from invariants.properties import test_intervene

STRONG = replace(PLAIN, stretch=2 * LARGEST)
WEAK = replace(PLAIN, stretch=LARGEST / 4)  # where the orthogonal projector does not do
FAR = replace(STRONG, offset=20.0)  # states lie far from zero, as those of networks do


def of_shape(shape: Shape) -> PromptSubject:
    """A subject on which sufficiency, necessity, flip and mirror hold, or mirror alone."""
    return synthetic_subject([world(shape, 1)])


strong, weak, far = (partial(of_shape, shape) for shape in (STRONG, WEAK, FAR))
plain_apply, plain_factors, plain_reference = Intervention.apply, Intervention._factors, Intervention._reference


def as_mode(**modes: str) -> Callable[[Intervention, Tensor], Tensor]:
    """Some modes taken for others."""

    def apply(self: Intervention, states: Tensor) -> Tensor:
        return plain_apply(replace(self, mode=modes.get(self.mode, self.mode)), states)

    return apply


def with_gains(**gains: float) -> Patch:
    """Other strengths of remove and flip."""
    return intervene, "GAINS", {**intervene.GAINS, **gains}


def other_sign(self: Intervention) -> float:
    """The strength of a scaling negated."""
    return intervene.GAINS.get(self.mode, -self.strength if self.strength is not None else 1.0)


def about_zero(self: Intervention, states: Tensor) -> Tensor:
    """Zero as the reference point whatever is said."""
    return plain_reference(replace(self, reference="zero"), states)


def about_the_batch(self: Intervention, states: Tensor) -> Tensor:
    """The mean of the rows that are edited as the reference point."""
    return states.flatten(0, -2).mean(dim=0)


def mean_twice(self: Intervention, states: Tensor) -> Tensor:
    """Keeping adds the reference point once more."""
    edited = plain_apply(self, states)
    return edited + self.core.mean.to(edited) if self.mode == "keep" else edited


def mean_left_in(self: Intervention, states: Tensor) -> Tensor:
    """Keeping projects the whole state, reference point and all."""
    if self.mode != "keep":
        return plain_apply(self, states)
    towards, read = self._factors(states)
    return self._reference(states) + states @ read @ towards


def as_projector(kind: str) -> Callable[[Intervention, Tensor], tuple[Tensor, Tensor]]:
    """One projector in the place of both."""

    def factors(self: Intervention, like: Tensor) -> tuple[Tensor, Tensor]:
        return plain_factors(replace(self, projector=kind), like)

    return factors


def transposed(self: Intervention, like: Tensor) -> tuple[Tensor, Tensor]:
    """The projector's transpose."""
    towards, read = plain_factors(self, like)
    return read.T, towards.T


def in_place(self: Intervention, states: Tensor) -> Tensor:
    """What is edited is overwritten."""
    return states.copy_(plain_apply(self, states))


def in_half_precision(self: Intervention, states: Tensor) -> Tensor:
    """Half precision is computed as it comes."""
    towards, read = self._factors(states)
    reference = self._reference(states)
    component = (states - reference) @ read @ towards
    return reference + component if self.mode == "keep" else states + (self.gain - 1.0) * component


def own_donor(self: Intervention, states: Tensor) -> Tensor:
    """Resampling gives some rows their own state back."""
    if self.reference != "resample":
        return plain_reference(self, states)
    return states[torch.randperm(len(states), generator=torch.Generator().manual_seed(0))]


def _edit(kind: str, name: str, test: Callable[..., object], attribute: str, value: object) -> Defect:
    return by_property(kind, name, test, patches=((Intervention, attribute, value),))


MODES, MIDDLE, PROJECTOR, ROWS = "swapped modes", "mis-centred", "wrong projector", "wrong rows"

DEFECTS = (
    by_claim(
        MODES,
        "keep and remove exchanged",
        "agreement.sufficiency",
        strong,
        strong,
        patches=((Intervention, "apply", as_mode(keep="remove", remove="keep")),),
    ),
    by_claim(MODES, "flip for remove", "agreement.necessity", strong, strong, patches=(with_gains(remove=-1.0),)),
    by_claim(MODES, "remove for flip", "agreement.mirror", strong, strong, patches=(with_gains(flip=0.0),)),
    _edit(
        MODES,
        "the sign of a scaling's strength",
        test_intervene.test_strengths_one_zero_and_minus_one_have_names,
        "gain",
        property(other_sign),
    ),
    by_property(
        MODES,
        "a flip that goes half as far again",
        test_intervene.test_flipping_twice_is_the_identity,
        patches=(with_gains(flip=-1.5),),
    ),
    by_claim(
        MIDDLE,
        "edits about zero, not about the mean",
        "agreement.flip",
        far,
        far,
        patches=((Intervention, "_reference", about_zero),),
    ),
    _edit(
        MIDDLE,
        "edits about the mean of what is edited",
        test_intervene.test_each_row_is_edited_as_if_it_were_alone,
        "_reference",
        about_the_batch,
    ),
    _edit(
        MIDDLE,
        "the mean added twice",
        test_intervene.test_keep_and_remove_add_up_to_the_state_and_the_reference,
        "apply",
        mean_twice,
    ),
    _edit(
        MIDDLE,
        "the mean projected with the state",
        test_intervene.test_keep_after_remove_leaves_the_reference_alone,
        "apply",
        mean_left_in,
    ),
    by_claim(
        PROJECTOR,
        "orthogonal edits where oblique ones are said",
        "agreement.mirror",
        weak,
        weak,
        patches=((Intervention, "_factors", as_projector("orthogonal")),),
    ),
    _edit(
        PROJECTOR,
        "oblique edits where orthogonal ones are said",
        test_intervene.test_keep_and_remove_are_what_the_projector_says,
        "_factors",
        as_projector("oblique"),
    ),
    _edit(
        PROJECTOR,
        "the projector's transpose",
        test_intervene.test_interventions_move_states_within_the_core_only,
        "_factors",
        transposed,
    ),
    _edit(
        ROWS,
        "states overwritten by their edit",
        test_intervene.test_low_precision_states_keep_their_dtype_and_are_edited_to_its_precision,
        "apply",
        in_place,
    ),
    _edit(
        ROWS,
        "half precision computed as it comes",
        test_intervene.test_low_precision_states_keep_their_dtype_and_are_edited_to_its_precision,
        "apply",
        in_half_precision,
    ),
    _edit(
        ROWS,
        "resampling that gives rows their own state",
        test_intervene.test_resampling_takes_another_row_s_core_and_every_row_once,
        "_reference",
        own_donor,
    ),
)
