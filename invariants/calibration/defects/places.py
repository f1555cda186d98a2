"""Defects of where states are read and edited: another site, row or position, a hook that stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ace.model.intervene import Intervention, intervening
from ace.model.observe import sensitivities_at, states_at
from ace.model.sites import Site, head_of, hooked
from invariants.calibration.defects.record import by_property
from invariants.properties import test_intervene, test_observe, test_sites


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


ROWS, SITE = "wrong rows", "wrong site"

DEFECTS = (
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
