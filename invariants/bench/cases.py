"""What is timed. Each case gives the ways to do the same work on the same inputs, by name, the project's own first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array
from ace.extract import extract_core, extract_stream, head_sensitivities
from ace.families.modular_addition.scans import addition_of, held_out, scan_ranks
from ace.files import default_cache
from ace.model.continuation import Encoded
from ace.model.generate import TOP_K, continue_text
from ace.model.intervene import Intervention, RankScan, rank_scan
from ace.model.language import LanguageModel, wrap_model
from ace.model.observe import states_at
from ace.model.prefix import PrefixRun
from ace.model.sites import find_sites
from ace.model.steer import STRENGTHS as DEFAULT_STRENGTHS
from ace.model.steer import Steering, core_component
from ace.rank import Fixed, Full
from ace.stats import bootstrap
from ace.study.run_history import RunHistory
from ace.study.tokens import TokenStudy
from ace.training.recipe import Recipe
from ace.training.trainer import EnsembleTrainer
from ace.training.transformer import Architecture, SmallTransformer, initialise
from ace.zoo.obtain import Store
from ace.zoo.recipes import recipes
from invariants import FIXTURES
from invariants.bench import naive

Ways = dict[str, Callable[[], Any]]

RANK = 3
SIZES = {"d64": (64, 31_000, 4), "d128": (128, 6000, 53), "d512": (512, 8000, 2000), "d1280": (1280, 600, 600)}
EXTRACTION_WAYS = ("factors", "stream", "gramians", "eigenvectors of C O")
SCAN_WAYS = ("closed form", "an evaluation a rank")
TRAINING_WAYS = ("ensemble", "separate loops")
TRAININGS = (("markov-paper", 3, 960), ("markov-paper", 5, 960), ("modadd-paper", 3, 1404))
WRITING_WAYS = ("stored keys and values", "full forwards")
STRENGTHS = {"one strength": (-1.0,), "four strengths": DEFAULT_STRENGTHS}
SWEEP_WAYS = ("cached prefix", "a full forward an edit")
INTERVAL_WAYS = ("multinomial counts", "scipy.stats.bootstrap")


@cache
def rows(seed: int, count: int, width: int) -> Tensor:
    """(count, width) float64 with standard deviations that fall over two decades."""
    sizes = torch.logspace(0, -2, width, dtype=torch.float64)
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * sizes


def extraction(size: str) -> Ways:
    """Sigma, basis and readers of states (n, d) and sensitivities (m, d)."""
    width, count, outputs = SIZES[size]
    states, sensitivities = rows(0, count, width), rows(1, outputs, width)
    works = (
        lambda: extract_core(states, sensitivities, rank=Fixed(RANK)),
        lambda: extract_stream(states.split(2000), sensitivities.split(2000), rank=Fixed(RANK)),
        lambda: naive.gramian_core(states, sensitivities, RANK),
        lambda: naive.product_core(states, sensitivities, RANK),
    )
    return dict(zip(EXTRACTION_WAYS, works, strict=True))


@cache
def scan(width: int = 128, classes: int = 53) -> Ways:
    """Keep and remove at every rank, on all pairs, of a two-block model of the published modular-addition size.

    Untrained: what a scan costs does not depend on what the model has learnt.
    """
    model = SmallTransformer(Architecture(classes, 2, 2, width, 4, 4 * width))
    initialise(model, torch.Generator().manual_seed(0))
    model.eval().requires_grad_(False)
    inputs = torch.cartesian_prod(torch.arange(classes), torch.arange(classes))
    targets = inputs.sum(dim=1) % classes
    site = find_sites(model).site(-1)
    states = states_at(model, inputs, site, chunk=len(inputs))[:, -1]
    # White sensitivities beside the head's, so that the core has all dimensions and every rank can be scanned.
    readers = torch.cat([head_sensitivities(model.head.weight), 1e-3 * torch.eye(width, dtype=torch.float64)])
    core = extract_core(states, readers, rank=Full())
    works = (
        partial(rank_scan, states, targets, model.head.weight, model.head.bias, core),
        partial(naive.rank_scan_by_evaluation, model, inputs, targets, site, core),
    )
    return dict(zip(SCAN_WAYS, works, strict=True))


def published(name: str, models: int, sequences: int, **changes: Any) -> Recipe:
    """A published setting on fewer sequences, so that an epoch is a few steps, and hardly any to test on."""
    recipe = recipes(FIXTURES)[name]
    schedule = replace(recipe.schedule, sequences=sequences, test_sequences=1)
    return replace(recipe, models=models, schedule=schedule, course=None, **changes)


@cache
def training(name: str, models: int, sequences: int, device: str = "cpu") -> Ways:
    """One epoch of several models."""
    chosen = published(name, models, sequences)
    trainer = EnsembleTrainer(chosen, device)
    apart = naive.separate_models(chosen, device)
    works: tuple[Callable[[], Any], ...] = (
        trainer.advance,
        partial(naive.train_separately, apart, chosen, *trainer.training_data),
    )
    if device != "cpu":
        works = tuple(partial(_finished, work) for work in works)
    return dict(zip(TRAINING_WAYS, works, strict=True))


def _finished(work: Callable[[], Any]) -> None:
    """Do the work, and wait until the device has done it."""
    work()
    torch.cuda.synchronize()


@cache
def checkpoint() -> Ways:
    """r_nec and r_suf at every rank, from inputs to curves, of one stored checkpoint of the published size."""
    store = Store(FIXTURES, default_cache(), progress=False)
    history = RunHistory(store.ensemble(recipes(FIXTURES)["modadd-paper"]))
    model, task = history.study(history.branch).expect_model(0, SmallTransformer), addition_of(history)

    def scans() -> list[RankScan]:
        pairs = held_out(TokenStudy([model], task), 0)
        return [scan_ranks(pairs, chain) for chain in ("core", "random")]

    works = (scans, partial(naive.checkpoint_by_evaluation, model, task))
    return dict(zip(SCAN_WAYS, works, strict=True))


@cache
def sweep_model(blocks: int, width: int, vocabulary: int) -> LanguageModel:
    """A GPT-2 with random weights: what a sweep costs does not depend on what the model has learnt."""
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes: dict[str, Any] = {"n_positions": 128, "n_embd": width, "n_layer": blocks, "n_head": width // 64}
    ends: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return wrap_model(GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, **sizes, **ends)), None, "random GPT-2")


@cache
def sweep(blocks: int = 12, width: int = 768, vocabulary: int = 50257, prompts: int = 8, length: int = 17) -> Ways:
    """Contrasts (sites, modes, n) under keep, remove and flip of one dimension at every site."""
    language, tokens = sweep_model(blocks, width, vocabulary), (11, 12, 13, 14)
    inputs = torch.randint(vocabulary, (prompts, length), generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([0.5, 0.5, -0.5, -0.5]).repeat(prompts, 1, 1, 1)
    targets = torch.tensor(tokens).repeat(prompts, 1, 1, 1)
    group = Encoded(torch.arange(prompts), inputs[:, :-1], inputs[:, None, -1:], targets, weights)
    run = PrefixRun(language, group, gradients=True)
    sites = language.anatomy.sites
    cores = [extract_core(run.states(site), run.gradients[site.index], rank=Fixed(1)) for site in sites]
    edits = [[Intervention(core, mode) for mode in ("keep", "remove", "flip")] for core in cores]
    works = (
        partial(_sweep_behind_prefix, language, group, edits),
        partial(naive.sweep_by_full_forwards, language.model, inputs, sites, edits, tokens),
    )
    return dict(zip(SWEEP_WAYS, works, strict=True))


def _sweep_behind_prefix(language: LanguageModel, group: Encoded, edits: list[list[Intervention]]) -> Tensor:
    """The whole work, the clean pass too."""
    run = PrefixRun(language, group)
    edited = {
        site.index: torch.stack([edit.apply(run.states(site)) for edit in edits[site.index]])
        for site in language.anatomy.sites
    }
    contrasts = run.push_all(edited)
    return torch.stack([contrasts[site.index] for site in language.anatomy.sites])


@cache
def writing(
    strengths: str, blocks: int = 12, width: int = 768, vocabulary: int = 50257, length: int = 17, steps: int = 50
) -> Ways:
    """Tokens (1, length + steps) written with one dimension reflected at the middle site at every token."""
    language = sweep_model(blocks, width, vocabulary)
    prompt = torch.randint(vocabulary, (1, length), generator=torch.Generator().manual_seed(1))
    site = language.anatomy.site(blocks // 2)
    generator = torch.Generator().manual_seed(2)
    states, rows = torch.randn(50, width, generator=generator), torch.randn(3, width, generator=generator)
    core = extract_core(states, rows, rank=Fixed(1))
    steering = Steering(site, core_component(core), (11, 12), (13, 14), strengths=STRENGTHS[strengths])
    edits = [Intervention(core, "scale", strength=strength) for strength in STRENGTHS[strengths]]
    works = (
        lambda: continue_text(language, prompt, steps, torch.Generator().manual_seed(0), steering, top_k=TOP_K),
        partial(naive.write_by_full_forwards, language.model, prompt, steps, steering, edits, TOP_K),
    )
    return dict(zip(WRITING_WAYS, works, strict=True))


def interval(count: int = 3000, width: int = 6) -> Ways:
    """95% interval of a function of a mean moment matrix over independent clusters."""
    draws = np.random.default_rng(0).normal(size=(count, width))
    clusters = draws[:, :, None] * draws[:, None, :]
    works = (
        lambda: bootstrap("log det", clusters, _log_determinant).interval(),
        lambda: naive.scipy_interval(clusters, _log_determinant),
    )
    return dict(zip(INTERVAL_WAYS, works, strict=True))


def _log_determinant(moment: Array) -> float:
    return float(np.linalg.slogdet(moment).logabsdet)
