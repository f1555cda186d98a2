"""Is the effect of the axis carried by what the weights above it read?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.auc import cluster_sums
from ace.core import OBLIQUE, ORTHOGONAL, Core
from ace.families.agreement.reading import reading_directions
from ace.model.continuation import scattered
from ace.stats import Estimate, bootstrap_ratio
from ace.study.measurement import Measurement, measures
from ace.study.prompt_rest import Runs, evaluation_runs, few_runs
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.rest import DRAWS, Rest, jackknife
from ace.tasks.base import Split

PROJECTIONS = "random projections of equal rank"


@measures(PROJECTIONS)
def dormant(subject: PromptSubject) -> Measurement:
    """Share of the flip's effect that is left when only that part of the axis is flipped which weights above read."""
    models = subject.trained
    estimates, beside, details, rest = [], [], [], []
    for k, study in enumerate(models.studies):
        core, site = study.core(study.choice().site, 1), study.choice().site
        readers = reading_directions(study.language, site)
        axis = core.basis[:, 0]
        runs = evaluation_runs(study)
        whole = _effect(study, core, axis[None], runs)[0]
        parts = [readers @ (readers.T @ axis), axis - readers @ (readers.T @ axis)]
        kept, dropped = _effect(study, core, torch.stack(parts), runs)
        estimates.append(_share(str(k), kept, whole, study))
        both = _effect(study, core, torch.stack([parts[0], axis]), runs, OBLIQUE)
        beside.append(_share(str(k), both[0], both[1], study))
        rest.append(_random_shares(str(k), study, core, readers.shape[1], whole))
        details.append(
            {"directions": readers.shape[1], "width": core.width, "unread part": float(dropped.mean() / whole.mean())}
        )
    return Measurement(
        tuple(estimates), {}, details={"seeds": details}, rest=tuple(rest), beside={OBLIQUE: tuple(beside)}
    )


def _random_shares(label: str, study: PromptStudy, core: Core, count: int, whole: Array) -> Rest:
    """The same share for projections of the axis onto as many random directions as are read."""
    few = study.few_rows(Split.EVALUATION)
    generator = torch.Generator().manual_seed(0)
    random = projections(core.basis[:, 0], count, DRAWS, generator)

    def on_all(numbers: Sequence[int]) -> Array:
        part = _effect(study, core, random[torch.tensor(numbers)], evaluation_runs(study))
        return (part.mean(axis=1) / whole.mean())[:, None]

    def on_few(numbers: Sequence[int]) -> tuple[Array, Array]:
        part = _effect(study, core, random[torch.tensor(numbers)], few_runs(study, None))  # (g, few)

        def share(rows: Ints) -> Array:
            return (part[:, rows].mean(axis=1) / whole[few[rows]].mean())[:, None]

        return jackknife(share, len(few), len(few))

    many = len(whole) > 2 * len(few)
    return Rest(label, (label,), on_all, on_few if many else None, control=PROJECTIONS)


def projections(axis: Tensor, rank: int, draws: int, generator: torch.Generator) -> Tensor:
    """(draws, d) a unit axis (d) projected onto random subspaces of that rank, uniform over all of them.

    In closed form: the squared length b of a projection is Beta(rank / 2, (d - rank) / 2), b is also its component
    along the axis, and the direction of the rest of it is uniform. No basis of a subspace has to be formed.
    """
    width = len(axis)
    squares = torch.randn(draws, width, dtype=axis.dtype, generator=generator).square()
    share = squares[:, :rank].sum(dim=1, keepdim=True) / squares.sum(dim=1, keepdim=True)
    beside = torch.randn(draws, width, dtype=axis.dtype, generator=generator)
    beside -= (beside @ axis)[:, None] * axis
    return share * axis + (share * (1 - share)).sqrt() * torch.nn.functional.normalize(beside, dim=1)


def _share(label: str, part: Array, whole: Array, study: PromptStudy) -> Estimate:
    """Mean effect of a part over that of the whole, bootstrapped over head nouns."""
    sums = cluster_sums(np.column_stack([part, whole]), study.prompts(Split.EVALUATION).clusters)
    return bootstrap_ratio(label, sums)


def _effect(study: PromptStudy, core: Core, steps: Tensor, runs: Runs, projector: str = ORTHOGONAL) -> Array:
    """(m, n) how far contrasts move to the other side when the core coordinate times -2 is added along steps (m, d)."""
    site, (groups, each) = study.choice().site, runs
    parts = []
    for run in each:
        states = run.states(site)
        coordinate = core.coordinates(states, projector)[:, 0].cpu()
        moves = (-2 * coordinate[None, :, None] * steps[:, None, :]).to(states)
        moved = torch.cat([run.push(site, states + part) for part in moves.split(64)])
        parts.append((run.base - moved) * run.base.sign())
    return scattered(groups, iter(parts), axis=1).double().numpy()
