"""What verifying a language model takes, measured on random models of any size: run as a process of its own.

A random model does not agree with its subjects, so its prompts are labelled by its own contrast, which every model
tells apart: the claims then run as on one that agrees. Its tokenizer knows the prompts' words, and as many others as
its vocabulary has room for. Nor is its site where a trained one has it, near the top: it is put there.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import product
from string import ascii_lowercase
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ace import verdict as verdict_module
from ace.families.agreement import luck
from ace.families.family import registry
from ace.model.language import LanguageModel, wrap_model
from ace.study.language_subjects import AGREEMENT, TWIN_SIZES, fresh_twin
from ace.study.memory import Memory, remembered
from ace.study.prompt_seeds import TWINS, PromptStudies, PromptSubject
from ace.study.prompts import SIZES, PromptStudy
from ace.study.rest import rank_test
from ace.study.site_choice import Choice, sufficient_at_site
from ace.tasks.base import Split
from ace.tasks.by_name import ENGLISH, TASKS
from ace.tasks.prompt import PromptTask
from ace.training.language.tokenizer import word_tokenizer
from ace.verify import verify_claim
from ace.zoo.named import load_subject
from ace.zoo.shape import find_shape, shape_of
from ace.zoo.speed import measure_speed

POSITIONS = 256
LATE = 0.94  # of the depth: SmolLM2-135M has its site at the input of block 28 of 30, Gemma 3 270M at 17 of 18
FACTORS = {"linalg_qr": 4.0, "_linalg_svd": 14.0, "_linalg_eigh": 9.0, "linalg_eig": 25.0, "linalg_lstsq": 4.0}


class Counting(TorchDispatchMode):
    """Counts floating-point operations of products, by whether the vocabulary takes part, of factorisations, and calls.

    Float64 counts twice. Factorisations count as a small multiple of rows x columns x the smaller of the two.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.vocabulary = vocabulary
        self.counts = dict.fromkeys(("blocks", "head", "factors", "calls"), 0.0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        given = [part for part in args if isinstance(part, Tensor)]
        self.counts["calls"] += 1
        if name in ("mm", "bmm", "addmm", "baddbmm") and len(given) >= 2:
            left, right = given[-2:]
            flops = 2.0 * left.numel() * right.shape[-1] * (2 if left.dtype == torch.float64 else 1)
            self.counts["head" if self.vocabulary in (*left.shape, *right.shape) else "blocks"] += flops
        elif "scaled_dot_product" in name and len(given) >= 2:
            self.counts["blocks"] += 4.0 * given[0].numel() * given[1].shape[-2]
        elif name in FACTORS:
            flops = FACTORS[name] * given[0].numel() * min(given[0].shape[-2:])
            self.counts["factors"] += flops * (2 if given[0].dtype == torch.float64 else 1)
        return func(*args, **(kwargs or {}))


class Late(PromptStudy):
    """A study that looks for the site as ever, and then takes the one where trained models have theirs."""

    @remembered
    def choice(self, projector: str = "orthogonal", *, deep: bool = False) -> Choice:
        """A site near the top, unless it is asked for below."""
        found = super().choice(projector, deep=deep)
        if deep:
            return found
        site = self.sites[round(LATE * (len(self.sites) - 2))]
        return Choice(site, sufficient_at_site(self, Split.SELECTION, site, projector), projector)


class OwnLabels(PromptStudies):
    """One model whose prompts are labelled by its own contrast, as many of them as any model has.

    Args:
        kind: of the studies.
    """

    def __init__(self, language: LanguageModel, source: PromptTask, memory: Memory, kind: type[PromptStudy]) -> None:
        super().__init__(lambda index: language, 1, source, memory=memory)
        self._kind = kind

    def study(self, index: int, *, own_labels: bool = False) -> PromptStudy:
        """The study, with all prompts unless fewer are asked for as a control."""

        def make() -> PromptStudy:
            sizes = None if own_labels else SIZES
            return self._kind(self.language(index), self.source, own_labels=True, sizes=sizes, memory=self.memory)

        return self.memory.get((OwnLabels, self, index, own_labels), make)


def random_model(architecture: str, width: int, blocks: int, vocabulary: int) -> LanguageModel:
    """A model with random weights in float32, and a tokenizer with as many words as its vocabulary has room for."""
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

    heads = max(2, width // 64)
    config: Any
    if architecture == "gpt2":
        sizes: dict[str, Any] = {"n_embd": width, "n_layer": blocks, "n_head": heads, "n_positions": POSITIONS}
        config = GPT2Config(vocab_size=vocabulary, bos_token_id=1, eos_token_id=1, **sizes)
    else:
        config = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=blocks,
            num_attention_heads=heads,
            num_key_value_heads=max(1, heads // 2),
            intermediate_size=8 * width // 3,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=1,
        )
    torch.manual_seed(0)
    return wrap_model(AutoModelForCausalLM.from_config(config), word_tokenizer(_words(vocabulary), POSITIONS), "random")


def _words(vocabulary: int) -> list[str]:
    """The prompts' own words, and made-up ones; two tokens a word, one a mark, and two special ones."""
    known: set[str] = {"."}
    for split, size in SIZES.items():
        prompts = TASKS[ENGLISH].prompts(split, size)
        contrasts = (*prompts.contrasts, *TASKS[ENGLISH].transfers.values())
        texts = [*prompts.texts, *(text for one in contrasts for text in (*one.wanted, *one.other))]
        known |= {word for text in texts for word in re.findall(r"[A-Za-z]+|[^\sA-Za-z]", text)}
    words, left = sorted(known), vocabulary - 2
    left -= sum(2 if word.isalpha() else 1 for word in words)
    made = ("z" + "".join(letters) for letters in product(ascii_lowercase, repeat=4))
    return words + [next(made) for _ in range(max(0, left // 2))]


@contextmanager
def as_if_it_agreed(all_draws: bool) -> Iterator[None]:
    """No claim is left out; of the rest and of untrained twins as few are drawn as any verdict needs, or all."""
    named: dict[str, Any] = {"shown": False, "level": 1.0} if all_draws else {"shown": True}
    fixed = ("TWINS", luck.MOST) if all_draws else ("MOST", TWINS)
    places: Any = ((verdict_module, "rank_test"), (PromptStudy, "require_behaviour"), (luck, fixed[0]))
    before = [getattr(owner, name) for owner, name in places]
    changed: tuple[Any, ...] = (
        lambda *given, **other: rank_test(*given, **{**other, **named}),
        lambda self, name: None,
        fixed[1],
    )
    try:
        for (owner, name), value in zip(places, changed, strict=True):
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name), value in zip(places, before, strict=True):
            setattr(owner, name, value)


def subject_of(language: LanguageModel, kind: type[PromptStudy] = Late) -> PromptSubject:
    """The model and its twin before training.

    Args:
        kind: of the model's studies. By itself a random model has its site near the bottom, and everything above is
            run for every edit.
    """
    memory = Memory()
    source = TASKS[ENGLISH]
    after = OwnLabels(language, source, memory, kind)
    twin = partial(fresh_twin, language)
    before = PromptStudies(twin, 1, source, memory=memory, sizes=TWIN_SIZES, in_place_of=language)
    return PromptSubject("random", AGREEMENT, after, before, memory=memory)


def measure(architecture: str, width: int, blocks: int, vocabulary: int, *, all_draws: bool) -> dict[str, Any]:
    """Shape, speed and peak, and of every claim its processor seconds, what is counted, and that with all draws.

    Args:
        all_draws: count these as well.
    """
    language = random_model(architecture, width, blocks, vocabulary)
    shape = shape_of("random", language.model.config)
    with as_if_it_agreed(all_draws=False):
        timed = claim_by_claim(subject_of(language), None)
    machine = _machine()  # before more memory is taken
    with as_if_it_agreed(all_draws=False):
        least = claim_by_claim(subject_of(language), shape.vocabulary)
    most: dict[str, Any] = dict.fromkeys(least)
    if all_draws:
        with as_if_it_agreed(all_draws=True):
            most = claim_by_claim(subject_of(language, PromptStudy), shape.vocabulary)
    claims = {name: {**timed[name], "least": least[name], "most": most[name]} for name in timed}
    return {"shape": {**vars(shape), "architecture": architecture}, "claims": claims, **machine}


def measure_real(name: str) -> dict[str, Any]:
    """Shape, speed and peak of a real model, as anyone verifies it, and processor seconds of every claim."""
    subject = load_subject(name)
    return {"shape": vars(find_shape(name)), "claims": claim_by_claim(subject, None), **_machine()}


def claim_by_claim(subject: PromptSubject, counted: int | None) -> dict[str, Any]:
    """Each claim's verdict with its processor seconds, or what is counted for a vocabulary of that size."""
    found: dict[str, Any] = {}
    for claim in registry().values():
        if claim.about == AGREEMENT:
            counting, started = Counting(counted or 0), time.process_time()
            with counting if counted else nullcontext():
                verdict = verify_claim(claim.id, subject)
            seconds = time.process_time() - started
            found[claim.id] = counting.counts if counted else {"seconds": seconds, "verdict": str(verdict.status)}
    subject.memory.clear()
    return found


def _machine() -> dict[str, Any]:
    """The most memory that this process took, in bytes, and its machine's speed."""
    return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "speed": vars(measure_speed())}


if __name__ == "__main__":
    if sys.argv[1] == "real":
        made = measure_real(sys.argv[2])
    else:
        kind, *numbers, draws = sys.argv[1:]
        made = measure(kind, *map(int, numbers), all_draws=draws == "all")
    sys.stdout.write(json.dumps(made))
