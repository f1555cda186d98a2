"""Subjects of one's own training runs: any models, any task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from ace.check import check_instance
from ace.errors import InputError
from ace.extract import Extractor, extract_core
from ace.rank import RankRule
from ace.study.memory import Memory
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split, Task


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

    Args:
        name: shown in tables and matched with baselines.
        models: any modules, called as model(inputs), that give outputs (n, s, v) or (n, v). Put into evaluation mode.
        task: gives inputs and targets on disjoint splits, the score of outputs and its chance level.
        sites: name of the module whose input is the state, the same in every model or one for each. By default it is
            looked for below the head of a transformer.
        untrained: twins before training, or a function that gives the twin of model k; without them, claims that are
            held against untrained models are INAPPLICABLE.
        rank: rank rule of the cores; 0.999 of the energy by default.
        extractor: stands in for `ace.extract_core`.
        sizes: examples of each split; 1,000 for extraction and selection and 3,000 for evaluation by default.

    Raises:
        InputError: no name, no models, something that is no module or no task, or not as many twins as models.
        SiteError: a model without the named module, or without recognisable blocks where none is named.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"name: expected a name that tables can show, got {name!r}")
    check_instance("task", task, Task)
    memory = Memory()

    def study(given: Sequence[nn.Module], what: str) -> TokenStudy:
        for index, model in enumerate(given):
            check_instance(f"{what}[{index}]", model, nn.Module)
        ready = [model.eval().requires_grad_(False) for model in given]
        return TokenStudy(ready, task, sites=sites, rank=rank, extractor=extractor, sizes=sizes, memory=memory)

    trained = study(models, "models")
    twins: TokenStudy | None = None
    if untrained is not None:
        made = [untrained(k) for k in trained.members] if callable(untrained) else list(untrained)
        if len(made) != len(trained):
            raise InputError(f"untrained: expected a twin for each of {len(trained)} models, got {len(made)}")
        twins = study(made, "untrained")
    return TokenSubject(name, "runs", trained, twins, rerun=f'pytest -k "{{claim}}-{name}"', memory=memory)
