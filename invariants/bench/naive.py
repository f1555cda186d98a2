"""The straightforward twins of the fast paths: plain, readable, and as good as the plain way gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from ace.arrays import Array
from ace.core import Core
from ace.extract import extract_core, head_sensitivities
from ace.linalg import random_frames
from ace.model.generate import sample_likeliest
from ace.model.intervene import Intervention, intervening
from ace.model.observe import states_at
from ace.model.sites import Site, find_sites
from ace.model.steer import Steering
from ace.rank import Full
from ace.stats import RESAMPLES
from ace.tasks import ModularAddition
from ace.tasks.base import HELD_OUT
from ace.training.recipe import Recipe
from ace.training.transformer import SmallTransformer

# Names of our weights -> names of torch's encoder layer.
RENAMED = {
    "blocks.": "encoder.layers.",
    "attention.project_in.": "self_attn.in_proj_",
    "attention.project_out.": "self_attn.out_proj.",
    "expand.": "linear1.",
    "contract.": "linear2.",
}


class TorchTransformer(nn.Module):
    """The published architecture from torch's own encoder layer."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        sizes = recipe.model
        self.tokens = nn.Embedding(sizes.vocabulary, sizes.width)
        self.positions = nn.Embedding(sizes.context, sizes.width)
        layer = nn.TransformerEncoderLayer(sizes.width, sizes.heads, sizes.hidden, sizes.dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, sizes.blocks, enable_nested_tensor=False)
        self.head = nn.Linear(sizes.width, sizes.vocabulary)

    def forward(self, inputs: Tensor) -> Tensor:
        length = inputs.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        states = self.tokens(inputs) + self.positions.weight[:length]
        return self.head(self.encoder(states, mask=mask.to(states), is_causal=True))


def renamed(weights: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    """Model `index` of stacked weights under the names of `TorchTransformer`."""
    found = {}
    for name, stacked in weights.items():
        for ours, torchs in RENAMED.items():
            name = name.replace(ours, torchs)
        found[name] = stacked[index].detach().clone()
    return found


def train_epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    inputs: Tensor,
    targets: Tensor,
    batch: int,
    generator: torch.Generator | None = None,
) -> float:
    """One pass over the training sequences, in a new order."""
    model.train()
    total = 0.0
    for picked in torch.randperm(len(inputs), generator=generator).split(batch):
        logits = model(inputs[picked])[:, -targets.shape[1] :]
        loss = functional.cross_entropy(logits.flatten(0, 1), targets[picked].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(picked)
    return total / len(inputs)


def gramian_core(states: Tensor, sensitivities: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sigma, basis and readers from both formed Gramians, symmetrically: eigh of C, then of C^(1/2) O C^(1/2)."""
    reach, observe = _gramians(states, sensitivities)
    values, vectors = torch.linalg.eigh(reach)
    root = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
    squared, turned = torch.linalg.eigh(root @ observe @ root)
    sigma = squared.flip(0).clamp_min(0.0).sqrt()
    columns = root @ turned.flip(1)[:, :rank]
    readers = (observe @ columns / sigma[:rank] ** 2).T
    return sigma, torch.linalg.qr(columns).Q, readers


def product_core(states: Tensor, sensitivities: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sigma, basis and readers from the eigenvectors of the product C O, as the method is written down."""
    reach, observe = _gramians(states, sensitivities)
    values, vectors = torch.linalg.eig(reach @ observe)
    order = values.real.argsort(descending=True)
    columns = vectors[:, order[:rank]].real
    sigma = values.real[order].clamp_min(0.0).sqrt()
    # O of an eigenvector of C O is one of O C: the dual basis, once its lengths are those of an inverse.
    readers = (observe @ columns).T
    readers = readers / (readers * columns.T).sum(dim=1, keepdim=True)
    return sigma, torch.linalg.qr(columns).Q, readers


def _gramians(states: Tensor, sensitivities: Tensor) -> tuple[Tensor, Tensor]:
    centred = (states - states.mean(dim=0)).double()
    rows = sensitivities.double()
    return centred.T @ centred / (len(centred) - 1), rows.T @ rows / len(rows)


def rank_scan_by_evaluation(
    model: SmallTransformer, inputs: Tensor, targets: Tensor, site: Site, core: Core
) -> tuple[list[float], list[float]]:
    """Accuracy of keep and of remove at every rank: one evaluation of the model for each."""
    found: dict[str, list[float]] = {"keep": [], "remove": []}
    for rank in range(1, core.dimension + 1):
        for mode, accuracies in found.items():
            with torch.no_grad(), intervening(model, site, Intervention(core.truncated(rank), mode)):
                hits = model(inputs)[:, -1].argmax(dim=-1) == targets
            accuracies.append(float(hits.double().mean()))
    return found["keep"], found["remove"]


@torch.no_grad()
def sweep_by_full_forwards(
    model: nn.Module,
    inputs: Tensor,
    sites: Sequence[Site],
    edits: Sequence[Sequence[Intervention]],
    tokens: Sequence[int],
) -> Tensor:
    """(sites, modes, n) contrasts: the mean logit of the first half of `tokens` less that of the rest.

    One forward pass of the whole model on the whole prompts for each site and mode, the last position edited by a hook.
    """
    half = len(tokens) // 2
    found = []
    for site, modes in zip(sites, edits, strict=True):
        for edit in modes:
            with intervening(model, site, edit, position=-1):
                logits = model(input_ids=inputs).logits[:, -1, list(tokens)]
            found.append(logits[:, :half].mean(dim=1) - logits[:, half:].mean(dim=1))
    return torch.stack(found).unflatten(0, (len(sites), -1))


@torch.no_grad()
def sweep_by_nnsight(
    model: nn.Module,
    inputs: Tensor,
    sites: Sequence[Site],
    edits: Sequence[Sequence[Intervention]],
    tokens: Sequence[int],
) -> Tensor:
    """The same with nnsight, as its users would: a trace for each site and mode."""
    wrapped = import_module("nnsight").NNsight(model)
    half, chosen = len(tokens) // 2, list(tokens)
    found = []
    for site, modes in zip(sites, edits, strict=True):
        module = wrapped
        for part in site.path.split("."):
            module = module[int(part)] if part.isdigit() else getattr(module, part)
        for edit in modes:
            with wrapped.trace(inputs):
                state = module.input.clone()
                state[:, -1] = edit.apply(state[:, -1])
                module.input = state
                logits = wrapped.output.logits[:, -1, chosen].save()
            found.append(logits[:, :half].mean(dim=1) - logits[:, half:].mean(dim=1))
    return torch.stack(found).unflatten(0, (len(sites), -1))


Curves = tuple[list[float], list[float]]


@torch.no_grad()
def write_by_full_forwards(
    model: nn.Module, prompt: Tensor, steps: int, steering: Steering, edits: Sequence[Intervention], top_k: int
) -> Tensor:
    """(1, t + steps) tokens: for every one a clean pass, and a pass for each strength, over all that there is."""
    generator, tokens = torch.Generator().manual_seed(0), prompt
    for _ in range(steps):
        clean = steering.contrast(model(input_ids=tokens).logits[:, -1])
        tried = []
        for edit in edits:
            with intervening(model, steering.site, edit, position=-1):
                tried.append(model(input_ids=tokens).logits[:, -1])
        picked = steering.pick(clean, steering.contrast(torch.stack(tried)))
        tokens = torch.cat([tokens, sample_likeliest(tried[int(picked)], top_k, generator)], dim=1)
    return tokens


def checkpoint_by_evaluation(model: SmallTransformer, task: ModularAddition) -> tuple[Curves, Curves]:
    """Accuracy of keep and remove at every rank, of the core and of random subspaces, the model run anew for each.

    Each third of the held-out pairs is judged by a core of another third; the curves are those of all pairs.
    """
    site = find_sites(model).site(-1)
    turns: list[tuple[list[Curves], int]] = []
    for split, judged in zip(HELD_OUT, (HELD_OUT[-1], *HELD_OUT[:-1]), strict=True):
        extraction, evaluation = (task.draw(part, task.size(part)) for part in (split, judged))
        states = states_at(model, torch.from_numpy(extraction.inputs), site)[:, -1]
        core = extract_core(states, head_sensitivities(model.head.weight), rank=Full())
        random = core.with_basis(random_frames(core.width, core.width, 1, torch.Generator().manual_seed(0))[0])
        inputs, targets = torch.from_numpy(evaluation.inputs), torch.from_numpy(evaluation.targets)[:, -1]
        curves = [rank_scan_by_evaluation(model, inputs, targets, site, basis) for basis in (core, random)]
        turns.append((curves, len(targets)))
    return _averaged(turns, 0), _averaged(turns, 1)


def _averaged(turns: Sequence[tuple[list[Curves], int]], which: int) -> Curves:
    """Keep and remove of all pairs, from those of each part and its size, up to the smallest number of ranks."""
    ranks = min(len(curves[which][0]) for curves, _ in turns)
    parts = [[mode[:ranks] for mode in curves[which]] for curves, _ in turns]
    kept, removed = np.average(parts, axis=0, weights=[size for _, size in turns]).tolist()
    return kept, removed


def separate_models(recipe: Recipe, device: str = "cpu") -> list[TorchTransformer]:
    """A recipe's models, with torch's own initial weights."""
    return [TorchTransformer(recipe).to(device) for _ in range(recipe.models)]


def train_separately(
    models: Sequence[TorchTransformer],
    recipe: Recipe,
    inputs: Tensor,
    targets: Tensor,
    generators: Sequence[torch.Generator | None] | None = None,
) -> None:
    """One epoch of every model, one after another; generators give the order of the sequences."""
    settings = recipe.optimiser
    for model, generator in zip(models, generators or [None] * len(models), strict=True):
        optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        train_epoch(model, optimiser, inputs, targets, recipe.schedule.batch, generator)


def scipy_interval(clusters: Array, statistic: Callable[[Array], float]) -> tuple[float, float]:
    """95% percentile interval of a function of the mean of clusters (n, ...), as scipy has it."""
    found = stats.bootstrap(
        (np.arange(len(clusters)),),
        lambda picked: statistic(clusters[picked].mean(axis=0)),
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=False,
        rng=0,
    ).confidence_interval
    return float(found.low), float(found.high)
