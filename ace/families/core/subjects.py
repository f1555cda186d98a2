"""Subjects of one's own training runs: any models, any task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

from torch import nn

from ace.check import check_instance
from ace.errors import AceError, InputError
from ace.extract import Extractor, checked, extract_core
from ace.rank import RankRule
from ace.study.checks import as_tensor, checked_scores
from ace.study.memory import Memory
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import HELD_OUT, Split, Task, require_different_rows

ABOUT = "runs"
TRIED = 4  # sequences that each model is tried on before anything is measured


def runs_subject(
    name: str,
    models: Sequence[nn.Module],
    task: Task,
    *,
    sites: str | Sequence[str] | None = None,
    untrained: Callable[[int], nn.Module] | Sequence[nn.Module] | None = None,
    rank: RankRule | None = None,
    extractor: Extractor = extract_core,
    sizes: Mapping[Split, int] | None = None,
) -> TokenSubject:
    """A subject of the claims `core.*`: models that were trained independently on one task.

    The models stay where they are, on any device and in any floating dtype, and are put into evaluation mode. Each is
    tried on a few sequences now, so that a mistake in the models or the task is told before anything is measured.

    Args:
        name: shown in tables and matched with baselines.
        models: any modules, called as model(inputs), that give outputs (n, s, v) or (n, v), or an object with such
            `logits`. They need not be of one class or width; one alone is enough for some claims.
        task: gives inputs and targets on disjoint splits, the score of outputs and its chance level.
        sites: name of the module whose input is the state, (n, t, d) or (n, d), the same in every model or one for
            each. By default it is looked for below the head of a transformer.
        untrained: twins before training, or a function that gives the twin of model k; without them, claims that are
            held against untrained models are INAPPLICABLE.
        rank: rank rule of the cores; 0.999 of the energy by default.
        extractor: stands in for `ace.extract_core`.
        sizes: examples of some splits; else 1,000 for extraction and selection and 3,000 for evaluation, or all that a
            finite task has.

    Raises:
        InputError: no name, no models, something that is no module or no task, a model twice, not as many twins as
            models, or a task and models that do not fit together.
        SiteError: a model without the named module, or without recognisable blocks where none is named, or one whose
            outputs change from run to run.
        SplitError: splits of the task that share sequences.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"name: expected a name that tables can show, got {name!r}")
    check_instance("task", task, Task)
    memory = Memory()
    extracting = extractor if extractor is extract_core else checked(extractor)

    def study(given: tuple[nn.Module, ...]) -> TokenStudy:
        return TokenStudy(given, task, sites=sites, rank=rank, extractor=extracting, sizes=sizes, memory=memory)

    given = _modules("models", models)
    trained = study(given)
    _try_task(trained)
    _try_models("models", trained)
    twins: TokenStudy | None = None
    if untrained is not None:
        twins = study(_twins(untrained, given))
        _try_models("untrained", twins)
        _require_alike(trained, twins)
    return TokenSubject(name, ABOUT, trained, twins, rerun=f'pytest -k "{{claim}}-{name}"', memory=memory)


def _modules(name: str, given: object) -> tuple[nn.Module, ...]:
    """Different modules, ready to be run."""
    if isinstance(given, nn.Module) and not isinstance(given, nn.ModuleList):
        raise InputError(f"{name}: expected a list of modules, got one {type(given).__name__}")
    if not isinstance(given, Iterable):
        raise InputError(f"{name}: expected a list of modules, got {type(given).__name__}")
    models = tuple(given)
    for index, model in enumerate(models):
        check_instance(f"{name}[{index}]", model, nn.Module)
    for (i, first), (j, second) in combinations(enumerate(models), 2):
        if first is second:
            raise InputError(f"{name}: expected different models, got one and the same at {i} and {j}")
    return tuple(model.eval() for model in models)


def _twins(
    untrained: Callable[[int], nn.Module] | Sequence[nn.Module], models: tuple[nn.Module, ...]
) -> tuple[nn.Module, ...]:
    made: object = untrained
    if callable(untrained) and not isinstance(untrained, nn.Module):
        made = [untrained(index) for index in range(len(models))]
    twins = _modules("untrained", made)
    if len(twins) != len(models):
        raise InputError(f"untrained: expected a twin for each of {len(models)} models, got {len(twins)}")
    for index, twin in enumerate(twins):
        if any(twin is model for model in models):
            raise InputError(f"untrained[{index}]: expected a model before its training, got one of `models` itself")
    return twins


def _try_task(study: TokenStudy) -> None:
    """Draw each split, and see that they are different sequences of one form, with a chance level."""
    batches = [study.batch(split) for split in HELD_OUT]
    for first, second in combinations(batches, 2):
        for part in ("inputs", "targets"):
            ours, theirs = (getattr(batch, part).shape[1:] for batch in (first, second))
            if ours != theirs:
                raise InputError(
                    f"{part}: expected one shape in every split, got (n, *{ours}) for {first.split} and"
                    f" (n, *{theirs}) for {second.split}"
                )
        require_different_rows(first, second, finite=study.task.size(first.split) is not None)
    _ = study.chance  # checked as it is computed


def _try_models(name: str, study: TokenStudy) -> None:
    """Run each model on a few sequences: its site, the shape of its outputs, and their score."""
    batch = study.batch(Split.EVALUATION)
    inputs, targets = (as_tensor(part[:TRIED]) for part in (batch.inputs, batch.targets))
    for index in study.members:
        try:
            tail = study.tail(index)
            outputs = next(tail.outputs(inputs, tail.states(inputs, batch.scored), batch.scored))
            if outputs.shape[1] < batch.scored:
                raise InputError(
                    f"targets: expected at most the {outputs.shape[1]} positions (n, s) that the model gives outputs"
                    f" {tuple(outputs.shape)} for, got {tuple(targets.shape)}"
                )
            if study.task.logits and outputs.shape[-1] < 2:
                raise InputError(
                    "task: expected logits over at least 2 classes, got one output; where outputs are no logits, the"
                    " task says `logits = False`"
                )
            checked_scores(study.task, outputs, targets)
        except AceError as error:
            raise type(error)(f"{name}[{index}]: {error}") from error


def _require_alike(trained: TokenStudy, twins: TokenStudy) -> None:
    """Refuse twins whose states have another shape than those of the models that they are twins of."""
    inputs = as_tensor(trained.batch(Split.EVALUATION).inputs[:TRIED])
    scored = trained.batch(Split.EVALUATION).scored
    for index in trained.members:
        ours, theirs = (tuple(of.tail(index).states(inputs, scored).shape) for of in (trained, twins))
        if ours != theirs:
            raise InputError(f"untrained[{index}]: expected states {ours} as those of models[{index}], got {theirs}")
