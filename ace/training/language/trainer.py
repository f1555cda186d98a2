"""Train small causal language models of GPT-2's architecture on the generated fragment; stop and resume at any step.

Every model of a recipe draws its weights and its text from a stream of its own and trains on one thread, so it is the
same whatever its neighbours and however many cores there are. Models train side by side, a process each.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ace.check import check_count
from ace.errors import ArtifactError, InputError, RecipeError
from ace.files import load_artifact, save_artifact
from ace.tasks.fragment import story, vocabulary
from ace.training.language.tokenizer import word_tokenizer
from ace.training.recipe import read_entries

PARTIAL_SECONDS = 20.0
CURVE_POINTS = 40
TEST_SEQUENCES = 64
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class LanguageRecipe:
    """Everything that determines a few language models which differ only in their seed.

    Attributes:
        name: stem of the recipe file.
        sentences: fewest and most sentences of a story.
        positions: context, and length of the training sequences that stories are packed into.
        blocks, width, heads: sizes of the GPT-2 architecture; the feed-forward width is 4 times the width.
        learning_rate: of AdamW, at its highest: it rises linearly over `warmup` steps and falls linearly to 0.
        weight_decay, clip: of AdamW, and the largest norm of a gradient.
        steps, batch: optimiser steps, and sequences in each.
        models, seed: how many models, and the base of their streams.
    """

    name: str
    sentences: tuple[int, int]
    positions: int
    blocks: int
    width: int
    heads: int
    learning_rate: float
    weight_decay: float
    clip: float
    warmup: int
    steps: int
    batch: int
    models: int
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("blocks", "width", "heads", "warmup", "steps", "batch", "models")
        try:
            for name in counts:
                check_count(name, getattr(self, name))
            check_count("positions", self.positions, smallest=2)  # one token predicts nothing
            check_count("seed", self.seed, smallest=0)
            for count in self.sentences:
                check_count("sentences", count)
        except (InputError, TypeError) as error:
            raise RecipeError(f"{self.name}.{error}") from error
        if len(self.sentences) != 2 or self.sentences[0] > self.sentences[1]:
            raise RecipeError(f"{self.name}.sentences: expected fewest and most, got {list(self.sentences)}")
        if self.width % self.heads:
            raise RecipeError(f"{self.name}.heads: expected a divisor of width {self.width}, got {self.heads}")
        if self.warmup >= self.steps:
            raise RecipeError(f"{self.name}.warmup: expected fewer than {self.steps} steps, got {self.warmup}")
        for name, lowest in (("learning_rate", 0.0), ("clip", 0.0), ("weight_decay", -1e-300)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not lowest < value < math.inf:
                raise RecipeError(f"{self.name}.{name}: expected a positive number, got {value!r}")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all entries but the name."""
        entries = asdict(self)
        del entries["name"]
        return hashlib.sha256(json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def address(self) -> str:
        """`name-` and 12 hexadecimal digits of the digest."""
        return f"{self.name}-{self.digest[:12]}"


def read_language_recipe(path: Path) -> LanguageRecipe:
    """Recipe from a TOML file; its name is the file's stem.

    Raises:
        RecipeError: unreadable, missing or unknown keys, values out of range.
    """
    entries = read_entries(path)
    known = {field.name for field in fields(LanguageRecipe)} - {"name"}
    unknown, missing = sorted(set(entries) - known), sorted(known - set(entries) - {"seed"})
    if unknown or missing:
        raise RecipeError(f"{path.stem}: unknown key(s) {unknown}, missing key(s) {missing}")
    if not isinstance(entries["sentences"], list):
        raise RecipeError(f"{path.stem}.sentences: expected fewest and most, got {entries['sentences']!r}")
    return LanguageRecipe(path.stem, tuple(entries.pop("sentences")), **entries)


@dataclass(frozen=True)
class TrainedLanguageModel:
    """One model of a recipe, with its tokenizer and what is known of how it came to be."""

    model: nn.Module
    tokenizer: Any
    provenance: Mapping[str, Any]


def untrained_model(recipe: LanguageRecipe, index: int) -> nn.Module:
    """Model `index` of a recipe before its first step, in evaluation mode."""
    from transformers import GPT2Config, GPT2LMHeadModel

    if check_count("index", index, smallest=0) >= recipe.models:
        raise InputError(f"index: expected 0..{recipe.models - 1}, got {index}")
    tokenizer = word_tokenizer(vocabulary(), recipe.positions)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=recipe.positions,
        n_embd=recipe.width,
        n_layer=recipe.blocks,
        n_head=recipe.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seeds(recipe, index)[0])
        model: nn.Module = GPT2LMHeadModel(config)
    return model.eval()


def _seeds(recipe: LanguageRecipe, index: int) -> tuple[int, int]:
    """Seeds of one model's weights and of its text."""
    first, second = np.random.SeedSequence(recipe.seed, spawn_key=(index,)).generate_state(2)
    return int(first), int(second)


class Corpus:
    """Stories of the fragment, each after an end-of-text token, packed into sequences of full length."""

    def __init__(self, recipe: LanguageRecipe, seed: int) -> None:
        self._recipe, self._seed = recipe, seed
        self._tokenizer = word_tokenizer(vocabulary(), sys.maxsize)  # stories are cut after encoding

    def batch(self, step: int, sequences: int) -> Tensor:
        """(sequences, positions) token ids of one step; the same step gives the same text."""
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(step,)))
        wanted = sequences * self._recipe.positions
        fewest, most = self._recipe.sentences
        ids: list[int] = []
        while len(ids) < wanted:
            texts = [story(rng, int(rng.integers(fewest, most + 1))) for _ in range(32)]
            ids += [token for encoded in self._tokenizer(texts)["input_ids"] for token in encoded]
        return torch.tensor(ids[:wanted]).view(sequences, self._recipe.positions)


class LanguageTrainer:
    """The state of one model's training: weights, optimiser moments, step, curve."""

    def __init__(self, recipe: LanguageRecipe, index: int) -> None:
        self.recipe, self.index = recipe, index
        self.model = untrained_model(recipe, index).train()
        self.step = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []
        self._corpus = Corpus(recipe, _seeds(recipe, index)[1])
        self._optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def advance(self) -> float:
        """Take one optimiser step; return its loss in nats a token."""
        started = time.perf_counter()
        recipe = self.recipe
        rate = min((self.step + 1) / recipe.warmup, (recipe.steps - self.step) / (recipe.steps - recipe.warmup))
        for group in self._optimiser.param_groups:
            group["lr"] = recipe.learning_rate * rate
        loss = token_loss(self.model, self._corpus.batch(self.step, recipe.batch))
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        self._optimiser.step()
        self.step += 1
        if self.step % max(1, recipe.steps // CURVE_POINTS) == 0 or self.step == recipe.steps:
            self.curve.append({"step": self.step, "train_loss": float(loss.detach())})
        self.seconds += time.perf_counter() - started
        return float(loss.detach())

    @torch.no_grad()
    def test_loss(self) -> float:
        """Nats a token on text that no step trains on."""
        return float(token_loss(self.model, self._corpus.batch(self.recipe.steps, TEST_SEQUENCES)))

    def save(self, record: Path) -> None:
        """Store everything that `restore` needs, atomically."""
        tensors = {f"weights/{name}": value.detach() for name, value in self.model.named_parameters()}
        for name, parameter in self.model.named_parameters():
            state = self._optimiser.state.get(parameter, {})
            tensors |= {f"{moment}/{name}": state[moment] for moment in MOMENTS if moment in state}
        progress = {"step": self.step, "seconds": self.seconds, "curve": self.curve}
        save_artifact(record, tensors, self._identity() | progress)

    def restore(self, record: Path) -> None:
        """Continue a training that `save` stored.

        Raises:
            ArtifactError: corrupt, or of another recipe, model or versions, so that the result could differ.
        """
        tensors, stored = load_artifact(record)
        for key, value in self._identity().items():
            if stored.get(key) != value:
                raise ArtifactError(f"{record}: expected {key} {value!r}, got {stored.get(key)!r}")
        step = stored.get("step")
        if not isinstance(step, int) or not 0 <= step <= self.recipe.steps or not {"seconds", "curve"} <= set(stored):
            raise ArtifactError(
                f"{record}: expected the progress of a training of {self.recipe.steps} steps, got {step!r}"
            )
        kinds = ("weights", *MOMENTS) if step else ("weights",)
        named = dict(self.model.named_parameters())
        expected = {f"{kind}/{name}": value.shape for kind in kinds for name, value in named.items()}
        if {name: value.shape for name, value in tensors.items()} != expected:
            raise ArtifactError(f"{record}: expected an unfinished training, got other tensors")
        self.step, self.seconds, self.curve = step, stored["seconds"], stored["curve"]
        with torch.no_grad():
            for name, parameter in named.items():
                parameter.copy_(tensors[f"weights/{name}"])
                if self.step:
                    moments = {moment: tensors[f"{moment}/{name}"].clone() for moment in MOMENTS}
                    self._optimiser.state[parameter] = {"step": torch.tensor(float(self.step)), **moments}

    def _identity(self) -> dict[str, Any]:
        return {"recipe": self.recipe.digest, "index": self.index, **_versions()}


def token_loss(model: nn.Module, tokens: Tensor) -> Tensor:
    """Mean cross-entropy in nats of predicting each of the tokens (n, t) from those before it."""
    logits = model(input_ids=tokens[:, :-1]).logits
    return nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def train_language_model(
    recipe: LanguageRecipe, index: int, *, partial: Path | None = None, progress: bool = False
) -> TrainedLanguageModel:
    """Train one model of a recipe to its end.

    Args:
        partial: record to store an unfinished training in, and to resume from; who stores the result removes it.
        progress: show a bar with the loss.

    Raises:
        InputError: the recipe has no such model.
    """
    trainer = LanguageTrainer(recipe, index)
    if partial is not None and partial.exists():
        try:
            trainer.restore(partial)
        except ArtifactError:
            trainer = LanguageTrainer(recipe, index)  # what cannot go on to the same weights is worth nothing
    resumed, stored = trainer.step, time.perf_counter()
    name = f"{recipe.name}/{index}"
    with tqdm(total=recipe.steps, initial=resumed, desc=name, unit="step", position=index, disable=not progress) as bar:
        while trainer.step < recipe.steps:
            loss = trainer.advance()
            bar.update()
            bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            if partial is not None and time.perf_counter() - stored > PARTIAL_SECONDS:
                trainer.save(partial)
                stored = time.perf_counter()
    provenance = {
        "name": recipe.name,
        "recipe": recipe.digest,
        "entries": asdict(recipe),
        "index": index,
        "versions": {"ace-invariants": version("ace-invariants"), "numpy": version("numpy"), **_versions()},
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "seconds": round(trainer.seconds, 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "resumed_from_step": resumed,
        "test_loss": trainer.test_loss(),
        "curve": trainer.curve,
    }
    return TrainedLanguageModel(trainer.model.eval(), word_tokenizer(vocabulary(), recipe.positions), provenance)


def _versions() -> dict[str, str]:
    return {"torch": torch.__version__, "transformers": version("transformers")}
