"""Defects of edits and of where they are made: another mode, reference point, projector, site, row or position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ace.model import intervene
from ace.model.intervene import Intervention, intervening
from ace.model.observe import sensitivities_at, states_at
from ace.model.sites import Site, head_of, hooked
from ace.study.prompt_seeds import PromptSubject
from invariants.calibration.defects.record import Defect, Patch, by_claim, by_property
from invariants.controls.synthetic import LARGEST, PLAIN, Shape, synthetic_subject, world
from invariants.properties import test_intervene, test_observe, test_sites

STRONG = replace(PLAIN, stretch=2 * LARGEST)
WEAK = replace(PLAIN, stretch=LARGEST / 4)  # where the orthogonal projector does not do


def of_shape(shape: Shape) -> PromptSubject:
    """A subject on which sufficiency, necessity, flip and mirror hold, or mirror alone."""
    return synthetic_subject([world(shape, 1)])


FAR = replace(STRONG, offset=20.0)  # states lie far from zero, as those of networks do

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


@contextmanager
def never_removed(model: nn.Module, site: Site, intervention: Intervention, **where: Any) -> Iterator[None]:
    """A hook that stays."""
    module = model.get_submodule(site.path)
    module.register_forward_pre_hook(lambda _, given: (intervention.apply(given[0]), *given[1:]))
    yield


@contextmanager
def all_rows(model: nn.Module, site: Site, intervention: Intervention, **where: Any) -> Iterator[None]:
    """Every row is edited, addressed or not."""
    with intervening(model, site, intervention, position=where.get("position")):
        yield


@contextmanager
def next_position(model: nn.Module, site: Site, intervention: Intervention, **where: Any) -> Iterator[None]:
    """The position before the one that is addressed."""
    position = where.get("position")
    moved = None if position is None else position - 1 if position not in (0,) else -1
    with intervening(model, site, intervention, position=moved, rows=where.get("rows")):
        yield


@contextmanager
def written_below(model: nn.Module, site: Site, edit: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """What is read at a site is written at the output of the module before it, where the state is yet another."""
    if site.index == 0:
        with hooked(model, site, edit):
            yield
        return
    below = replace(site, path=site.path.rpartition(".")[0] + f".{site.index - 1}") if "." in site.path else site
    with hooked(model, below, edit):
        yield


def normed_states(model: nn.Module, inputs: Tensor, site: Site, **more: Any) -> Tensor:
    """States read after a norm, as `output_hidden_states` has the last of them."""
    states = states_at(model, inputs, site, **more)
    return nn.functional.layer_norm(states, states.shape[-1:])


def earlier_sensitivities(model: nn.Module, inputs: Tensor, *rest: Any, **more: Any) -> dict[int, Tensor]:
    """Sensitivities to the state at the first position, where the last is meant."""
    return sensitivities_at(model, inputs, *rest, **{**more, "position": 0})


def shifted_logits(model: nn.Module) -> nn.Linear:
    """A head with another weight than the model's."""
    head = head_of(model)
    other = nn.Linear(head.in_features, head.out_features).to(head.weight)
    with torch.no_grad():
        other.weight.copy_(head.weight.roll(1, dims=0))
        other.bias.copy_(head.bias)
    return other.requires_grad_(False)


def _edit(kind: str, name: str, test: Callable[..., object], attribute: str, value: object) -> Defect:
    return by_property(kind, name, test, patches=((Intervention, attribute, value),))


MODES, MIDDLE, PROJECTOR, ROWS, SITE = "swapped modes", "mis-centred", "wrong projector", "wrong rows", "wrong site"

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
    by_property(
        ROWS,
        "rows edited that are not addressed",
        test_intervene.test_what_is_not_addressed_stays_bit_identical,
        patches=((test_intervene, "intervening", all_rows),),
    ),
    by_property(
        ROWS,
        "the position before the one addressed",
        test_intervene.test_what_is_not_addressed_stays_bit_identical,
        patches=((test_intervene, "intervening", next_position),),
    ),
    by_property(
        SITE,
        "a hook that is never removed",
        test_intervene.test_the_model_is_left_as_it_was_whatever_happens,
        patches=((test_intervene, "intervening", never_removed),),
    ),
    by_property(
        SITE,
        "states of the block below",
        test_sites.test_a_site_reads_the_state_that_the_network_computes,
        patches=((test_sites, "hooked", written_below),),
    ),
    by_property(
        SITE,
        "states read after the final norm",
        test_observe.test_head_of_the_last_state_gives_the_logits,
        patches=((test_observe, "states_at", normed_states),),
    ),
    by_property(
        SITE,
        "sensitivities to the state at another position",
        test_observe.test_a_sensitivity_predicts_the_change_of_the_output,
        patches=((test_observe, "sensitivities_at", earlier_sensitivities),),
    ),
    by_property(
        SITE,
        "a head whose classes are shifted by one",
        test_observe.test_head_of_the_last_state_gives_the_logits,
        patches=((test_observe, "head_of", shifted_logits),),
    ),
)
