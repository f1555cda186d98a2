"""Train small causal language models of GPT-2's architecture on the generated fragment; stop and resume at any step.

Every model of a recipe draws its weights and its text from a stream of its own and trains on one thread, so it is the
same whatever its neighbours and however many cores there are. Models train side by side, a process each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ace.check import check_count
from ace.errors import InputError
from ace.machine import processor
from ace.tasks.fragment.words import vocabulary
from ace.training.checkpoint import Progress, load_unfinished, require_shapes, save_unfinished
from ace.training.groups import MOMENTS
from ace.training.language.corpus import Corpus
from ace.training.language.recipe import LanguageRecipe
from ace.training.language.tokenizer import word_tokenizer
from ace.training.resumable import advance_to, take_up
from ace.training.seeds import model_seeds

CURVE_POINTS = 40
TEST_SEQUENCES = 64
UNIT = "step"


@dataclass(frozen=True)
class TrainedLanguageModel:
    """One model of a recipe, with its tokenizer and what is known of how it came to be."""

    model: nn.Module
    tokenizer: Any
    provenance: Mapping[str, Any]


def untrained_model(recipe: LanguageRecipe, index: int) -> nn.Module:
    """Model `index` of a recipe before its first step, in evaluation mode; any number has one, trained or not."""
    from transformers import GPT2Config, GPT2LMHeadModel

    check_count("index", index, smallest=0)
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
        torch.manual_seed(model_seeds(recipe.seed, index)[0])
        model: nn.Module = GPT2LMHeadModel(config)
    return model.eval()


class LanguageTrainer:
    """One model of a recipe in training: weights, optimiser, step and curve.

    Attributes:
        step: how many steps are done; seconds: how long they took.
        loss: of the last step, in nats a token; NaN before the first.
        curve: points with step and train_loss.
    """

    def __init__(self, recipe: LanguageRecipe, index: int) -> None:
        if check_count("index", index, smallest=0) >= recipe.models:
            raise InputError(f"index: expected 0..{recipe.models - 1}, got {index}")
        self.recipe, self.index = recipe, index
        self.model = untrained_model(recipe, index).train()
        self.step = 0
        self.seconds = 0.0
        self.loss = math.nan
        self.curve: list[dict[str, Any]] = []
        self._corpus = Corpus(recipe, model_seeds(recipe.seed, index)[1])
        self._optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    @property
    def done(self) -> int:
        """How many steps are done."""
        return self.step

    @property
    def status(self) -> str:
        """The loss of the last step."""
        return f"loss {self.loss:.3f}"

    def advance(self) -> None:
        """Take one optimiser step; add a point to the curve where one is due."""
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
        self.loss = float(loss.detach())
        self.step += 1
        if self.step % max(1, recipe.steps // CURVE_POINTS) == 0 or self.step == recipe.steps:
            self.curve.append({"step": self.step, "train_loss": self.loss})
        self.seconds += time.perf_counter() - started

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
        save_unfinished(record, tensors, self._identity(), UNIT, Progress(self.step, self.seconds, self.curve))

    def restore(self, record: Path) -> None:
        """Go on from a training that `save` stored; what cannot be continued leaves this trainer as it was.

        Raises:
            ArtifactError: corrupt, or of another recipe, model or versions, so that the result could differ.
        """
        tensors, progress = load_unfinished(record, self._identity(), UNIT, self.recipe.steps)
        kinds = ("weights", *MOMENTS) if progress.done else ("weights",)
        named = dict(self.model.named_parameters())
        require_shapes(record, tensors, {f"{kind}/{name}": v.shape for kind in kinds for name, v in named.items()})
        self.step, self.seconds, self.curve = progress.done, progress.seconds, progress.curve
        self._optimiser.state.clear()
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
    resumed = take_up(trainer, partial)
    title = f"{recipe.name}/{index}"
    advance_to(trainer, recipe.steps, partial=partial, title=title, unit=UNIT, progress=progress, line=index)
    provenance = {
        "name": recipe.name,
        "recipe": recipe.digest,
        "entries": asdict(recipe),
        "index": index,
        "versions": {"ace-invariants": version("ace-invariants"), "numpy": version("numpy"), **_versions()},
        "processor": processor(),
        "threads": torch.get_num_threads(),
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
