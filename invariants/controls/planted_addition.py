"""Subjects of modular addition on which a control lies inside its claim's bound: so that it is one, and can be."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
from ace.families.modular_addition.subjects import grokking_subject
from ace.rank import Full
from ace.study.run_history import RunHistory
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import HELD_OUT, Split
from ace.training.ensemble import Weights
from ace.training.result import TrainedEnsemble
from invariants.contracts.test_unfinished import in_both_seeds

Place = tuple[int, str]  # epoch and arm
QUIET = 30  # dimensions of a core in which nothing happens: the rest of 64 holds all of the core that is meant


def retrained(subject: TokenSubject, ensemble: TrainedEnsemble) -> TokenSubject:
    """The subject of another training."""
    return grokking_subject("planted", RunHistory(ensemble))


def _rows(ensemble: TrainedEnsemble, place: Place) -> slice:
    """The models of an arm among the stacked weights of a checkpoint."""
    epoch, arm = place
    course = ensemble.recipe.course
    assert course is not None
    arms, models = list(course.arms_at(epoch)), ensemble.recipe.models
    first = models * (arms.index(arm) if arm in arms else 0)
    return slice(first, first + models)


def _with_weights(ensemble: TrainedEnsemble, place: Place, weights: Weights) -> TrainedEnsemble:
    """The training with other models (e, ...) at one checkpoint of an arm."""
    changed = {name: values.clone() for name, values in ensemble.checkpoints[place[0]].items()}
    for name, values in weights.items():
        changed[name][_rows(ensemble, place)] = values
    return replace(ensemble, checkpoints={**ensemble.checkpoints, place[0]: changed})


def _weights(ensemble: TrainedEnsemble, place: Place) -> Weights:
    return {name: values[_rows(ensemble, place)] for name, values in ensemble.checkpoints[place[0]].items()}


def copied(subject: TokenSubject, source: Place, target: Place) -> TokenSubject:
    """Models of one checkpoint and arm stand at another."""
    ensemble = subject.training().ensemble
    return retrained(subject, _with_weights(ensemble, target, _weights(ensemble, source)))


def without_weight_decay_they_stay(subject: TokenSubject) -> TokenSubject:
    """The arm with weight decay and a fresh optimiser ends where it began."""
    history = subject.training()
    return copied(subject, (history.branch, ""), (history.last, "reset"))


def nothing_grows(subject: TokenSubject) -> TokenSubject:
    """With weight decay all along models end as they were at their first checkpoint after grokking."""
    history = subject.training()
    ensemble, end = history.ensemble, (history.last, "decay")
    weights = {name: values.clone() for name, values in _weights(ensemble, end).items()}
    for k in history.members:
        for name, values in _weights(ensemble, (history.stages(k).after, "decay")).items():
            weights[name][k] = values[k]
    return retrained(subject, _with_weights(ensemble, end, weights))


def _fragile(subject: TokenSubject, index: int, epoch: int) -> Tensor:
    """(v) a head's bias that lifts one answer above all others but on 65 % of the pairs, and there soon."""
    study = subject.training().study(epoch)
    weight, bias = study.head(index)
    states = torch.cat([study.states(index, split)[:, -1] for split in HELD_OUT]).double()
    targets = torch.cat([torch.from_numpy(study.batch(split).targets[:, -1]) for split in HELD_OUT])
    logits = states @ weight.T + bias
    margins = (logits.gather(1, targets[:, None])[:, 0] - logits[:, 0])[targets != 0]
    lifted = bias.clone()
    lifted[0] += torch.quantile(margins, 0.35)
    return lifted.float()


def with_fragile_heads(subject: TokenSubject, at: Callable[[RunHistory, int], int]) -> TokenSubject:
    """At one checkpoint of each model nearly any removal takes accuracy away: whatever came later has grown."""
    history = subject.training()
    ensemble = history.ensemble
    for k in history.members:
        place = (at(history, k), "decay")
        biases = _weights(ensemble, place)["head.bias"].clone()
        biases[k] = _fragile(subject, k, place[0])
        ensemble = _with_weights(ensemble, place, {"head.bias": biases})
    return retrained(subject, ensemble)


def fragile_after_grokking(subject: TokenSubject) -> TokenSubject:
    """Fragile heads at the first checkpoint after grokking."""
    return with_fragile_heads(subject, lambda history, k: history.stages(k).after)


def fragile_at_the_branch(subject: TokenSubject) -> TokenSubject:
    """Fragile heads where the arms part."""
    return with_fragile_heads(subject, lambda history, k: history.branch)


def with_slow_seeds(subject: TokenSubject) -> TokenSubject:
    """A curve on which one seed memorises at four times the epoch of the others."""
    ensemble = subject.training().ensemble
    first = min(subject.training().learnt("train", k) or 0 for k in subject.training().members)

    def late(point: dict[str, list[float]]) -> dict[str, list[float]]:
        slow = list(point["train_accuracy"])
        slow[0] = slow[0] if float(point["epoch"]) >= 4 * first else 0.0  # type: ignore[arg-type]
        return {**point, "train_accuracy": slow}

    curve = [late(point) for point in ensemble.provenance["curve"]]
    return retrained(subject, replace(ensemble, provenance={**ensemble.provenance, "curve": curve}))


def memorised_that_generalise(subject: TokenSubject) -> TokenSubject:
    """Models that already do after memorising what they do after grokking."""
    return replace(subject, name="planted", companions={"memorised": subject.trained})


def copies_of_one(subject: TokenSubject) -> TokenSubject:
    """All seeds are the same model at the end of its training, memorised ones too."""
    late = subject.training().study(subject.training().last)
    copies = TokenStudy([late.models[0]] * len(late), late.task, rank=late.rank, extractor=late.extractor)
    return replace(subject, name="planted", trained=copies, companions={"memorised": copies})


def of_full_rank(subject: TokenSubject) -> TokenSubject:
    """Cores of all p - 1 dimensions that outputs have, in which any class means are in general position."""
    return grokking_subject("planted", RunHistory(subject.training().ensemble, rank=Full()))


def quiet_cores(subject: TokenSubject) -> TokenSubject:
    """Every core is replaced by the directions in which states vary least: all that the task needs is in the rest."""
    planted = retrained(subject, subject.training().ensemble)
    study = planted.trained
    for k in study.members:
        core = study.core(k)
        states = study.states(k, Split.EXTRACTION).flatten(0, 1).double() - core.mean
        study.replace_core(k, core.with_basis(torch.linalg.svd(states, full_matrices=True).Vh[-QUIET:].T))
    return planted


def answered_by_the_clock(subject: TokenSubject) -> TokenSubject:
    """At the end of training each head is replaced by one that reads the two angles of the answer best held."""
    late = subject.training().study(subject.training().last)
    modulus = late.task.vocabulary
    models = []
    for k in late.members:
        states = torch.cat([late.states(k, split)[:, -1] for split in HELD_OUT]).double()
        answers = torch.cat([torch.from_numpy(late.batch(split).targets[:, -1]) for split in HELD_OUT])
        design = torch.nn.functional.pad(states, (0, 1), value=1.0)
        wanted = _hands(answers, modulus)  # (n, f, 2)
        read = torch.linalg.lstsq(design, wanted.flatten(1)).solution
        missed = (design @ read - wanted.flatten(1)).square().sum(dim=0).view(-1, 2).sum(dim=1)
        best = missed.argsort()[:2]
        read = read.view(len(read), -1, 2)[:, best].flatten(1)
        shown = _hands(torch.arange(modulus), modulus)[:, best].flatten(1)
        model = copy.deepcopy(late.models[k])
        heads = {"weight": (shown @ read[:-1].T).float(), "bias": (shown @ read[-1]).float()}
        model.get_submodule("head").load_state_dict(heads)
        models.append(model)
    clocks = TokenStudy(models, late.task, rank=late.rank, extractor=late.extractor)
    return replace(subject, name="planted", trained=clocks)


def _hands(answers: Tensor, modulus: int) -> Tensor:
    """(n, f, 2) cosine and sine of the angle of each answer (n), by each frequency, float64."""
    angles = 2 * torch.pi * answers.double()[:, None] * torch.arange(1, modulus // 2 + 1) / modulus
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


class Turning(TokenStudy):
    """Models whose core coordinates turn exactly with the answer."""

    turns: tuple[int, ...] = (1, 3)

    def coordinates(self, index: int, split: Split) -> Array:
        """(n, 1, 2 f) cosines and sines of the answer's angles, by each frequency."""
        angles = 2 * np.pi * self.batch(split).targets / self.task.vocabulary
        waves = [wave(turn * angles) for turn in self.turns for wave in (np.cos, np.sin)]
        return np.stack(waves, axis=-1)


def turning(study: TokenStudy, turns: tuple[int, ...] = Turning.turns) -> Turning:
    """A study of the same models that turns by these frequencies."""
    circle = Turning(study.models, study.task, rank=study.rank, extractor=study.extractor)
    circle.turns = turns
    return circle


class Spreading(RunHistory):
    """A training whose arm without weight decay ends with as much energy in each of twenty modes."""

    def study(self, epochs: int | tuple[int, ...], arm: str | None = None) -> TokenStudy:
        """The models, turning at the end of that arm."""
        models = super().study(epochs, arm)
        return turning(models, tuple(range(1, 21))) if (epochs, arm) == (self.last, "free") else models


def without_weight_decay_modes_spread(subject: TokenSubject) -> TokenSubject:
    """The arm without weight decay ends with energy in twenty modes."""
    return grokking_subject("planted", Spreading(subject.training().ensemble))


def turning_when_memorised(subject: TokenSubject) -> TokenSubject:
    """Memorised models already turn."""
    return replace(subject, name="planted", companions={"memorised": turning(subject.companion("memorised"))})


def turning_untrained(subject: TokenSubject) -> TokenSubject:
    """Untrained models turn."""
    return replace(subject, name="planted", untrained=turning(subject.twins()))


def seven_answers(subject: TokenSubject) -> TokenSubject:
    """Seven answers on a circle: of all their orders, one in 120 is a circle's too."""
    small = grokking_subject("tiny", in_both_seeds())
    small.trained.require_behaviour = lambda name="", *indices: None  # type: ignore[method-assign]
    circle = turning(small.trained)
    circle.require_behaviour = lambda name="", *indices: None  # type: ignore[method-assign]
    return replace(small, trained=circle)
