"""An alignment search among sequences: those that take the subspace from others answer as those others do.

Cost: one forward and one backward pass, from the site on, for each 64 of 256 sequences, for at most 40 epochs. Below a
linear head that is the head alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import kl_div

from ace.core import Core
from ace.errors import Inapplicable, InputError
from ace.model.observe import check_gradients
from ace.model.tail import Tail
from ace.study.alignment_search import Step, exchanged, trained_basis
from ace.study.memory import remembered
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split

SEQUENCES = 256  # of the extraction split
NUMBERS = 2**25  # in all their outputs; of a large vocabulary there are fewer sequences
HELD_OUT = 4  # one sequence in so many only says when to stop
TOGETHER = 64
EPOCHS, PATIENCE = 40, 8


@remembered
def searched_subspace(study: TokenStudy, index: int) -> Core:
    """The subspace of the rank of one model's core that a distributed alignment search finds on the extraction split.

    Directions are their own readers. Of two sequences, base and source, all of the base's states take their component
    from the source's at the same position, and the model should answer as it does for the source: with its
    probabilities, where outputs are logits, else with its numbers. No labels are looked at.

    Raises:
        Inapplicable: a core of no dimensions, fewer than eight sequences, or no gradients, as in inference mode.
    """
    rank = study.core(index).dimension
    if rank == 0:
        raise Inapplicable("the core has no dimensions, and so has what could stand in its place")
    try:
        check_gradients(study.models[index])
    except InputError as error:
        raise Inapplicable(str(error)) from error
    pool = _pool(study, index)
    basis = trained_basis(pool.states.shape[-1], rank, partial(_epoch, pool), epochs=EPOCHS, patience=PATIENCE)
    return Core.from_basis(basis, study.core(index).mean, samples=pool.states.shape[:-1].numel())


@dataclass(frozen=True, eq=False)
class _Pool:
    """Sequences that exchange components.

    Attributes:
        tail: of the model. logits: whether its outputs are. scored: how many positions have answers.
        inputs: (n, ...). states: (n, t, d) clean. held: (n) whether a sequence is held out.
        answers: (n, s, v) clean ones: log-probabilities of logits, numbers in units of their standard deviation `unit`.
        sources: (n) place of the sequence whose component a held-out one takes, the same in every epoch.
    """

    tail: Tail
    logits: bool
    scored: int
    inputs: Tensor
    states: Tensor
    answers: Tensor
    unit: Tensor
    held: Tensor
    sources: Tensor


def _pool(study: TokenStudy, index: int) -> _Pool:
    tail, scored, every = study.tail(index), study.batch(Split.EXTRACTION).scored, study.inputs(Split.EXTRACTION)
    states, logits = study.states(index, Split.EXTRACTION), study.task.logits
    one = next(tail.outputs(every[:1], states[:1], scored))
    most = min(len(every), SEQUENCES, NUMBERS // one.numel())
    if most < 2 * HELD_OUT:
        raise Inapplicable(f"expected {2 * HELD_OUT} sequences to search among, got {most} that are there and fit")
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(every))[:most])
    inputs, states = every[rows], states[rows]
    outputs = torch.cat(list(tail.outputs(inputs, states, scored)))
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    unit = outputs.new_ones(()) if logits else outputs.std().clamp_min(torch.finfo(outputs.dtype).tiny)
    answers = outputs.log_softmax(dim=-1) if logits else outputs / unit
    held = torch.arange(most) < most // HELD_OUT
    sources = _others(held, torch.Generator().manual_seed(1))
    return _Pool(tail, logits, scored, inputs, states, answers, unit, held, sources)


def _others(held: Tensor, generator: torch.Generator) -> Tensor:
    """(n) for each sequence another one of the same part, at random: the next in an order of the part."""
    sources = torch.arange(len(held))
    for part in (held, ~held):
        places = part.nonzero()[:, 0]
        order = places[torch.randperm(len(places), generator=generator)]
        sources[order] = order.roll(1)
    return sources


def _epoch(pool: _Pool, basis: Callable[[], Tensor], step: Step, generator: torch.Generator) -> float:
    """One step for each 64 sequences that are trained on; then the mean loss of the held-out ones."""
    sources, trained = _others(pool.held, generator), (~pool.held).nonzero()[:, 0]
    for rows in trained[torch.randperm(len(trained), generator=generator)].split(TOGETHER):
        step(_loss(pool, rows, sources[rows], basis()))
    held = pool.held.nonzero()[:, 0]
    with torch.no_grad():
        return float(_loss(pool, held, pool.sources[held], basis()))


def _loss(pool: _Pool, bases: Tensor, sources: Tensor, basis: Tensor) -> Tensor:
    """How far some sequences' answers, with the component of others, are from those others' own; 0 where they agree.

    Of logits the Kullback-Leibler divergence in nats, of numbers the share of their variance.
    """
    given = pool.states[bases]
    wide = torch.promote_types(given.dtype, torch.float32)
    moved = exchanged(given.to(wide), pool.states[sources].to(wide), basis.to(wide))
    with torch.backends.cudnn.flags(enabled=False):  # whose recurrent layers give no gradients in evaluation mode
        told = pool.tail.from_states(pool.inputs[bases], moved.to(given))[:, -pool.scored :]
    told, answers = told.to(pool.answers.dtype), pool.answers[sources].to(told.device)
    if not pool.logits:
        return (told / pool.unit.to(told.device) - answers).square().mean()
    told, answers = told.log_softmax(dim=-1).flatten(0, 1), answers.flatten(0, 1)
    return kl_div(told, answers, reduction="batchmean", log_target=True)
