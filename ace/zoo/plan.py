"""What verifying a language model will take, in memory and time, before anything is loaded.

Operations of each claim are counted on random models of four sizes (`python -m invariants.bench.scale`) and grow with
blocks L, width d, weights w of a block and vocabulary V as fitted there; this machine's speed at them is measured now.
How many controls are drawn hangs on the verdicts: so a claim takes between a least and a most. Memory is a sum of
parts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ace.model.aside import MAIN_MEMORY
from ace.study.memory import LIMIT
from ace.study.prompts import SIZES
from ace.tasks.base import Split
from ace.tasks.prompt import PromptTask
from ace.zoo.shape import Shape
from ace.zoo.speed import Speed

KEPT_RUNS = 3  # beside the largest, as far as the memory's limit lets them
ACTIVATIONS = 16  # numbers a prompt, block and unit of width that the backward pass keeps
LOGITS, COPIES = 2**26, 2  # entries of logits at a time, and how many copies of them there are at once
MANY_SITES = 12  # of more sites than these most are dismissed on few prompts
GPUS = (24e9, 48e9, 80e9, 141e9)  # bytes of memory of one
QR_ROWS = 240  # rows of a factorisation that do not grow with the width
REFERENCES = (
    Shape("8B (Llama 3's sizes, bfloat16)", 32, 4096, 128256, 218112000.0, 8030261248, 2048, "bfloat16"),
    Shape("70B (Llama 3's sizes, bfloat16)", 80, 8192, 128256, 855654400.0, 70553706496, 2048, "bfloat16"),
)


@dataclass(frozen=True)
class Load:
    """What is asked of a model: how many prompts of each split, and what tokens they have.

    Attributes:
        tokens: of a prompt, on average.
        rows: positions behind a prompt that are run to score it, on average: 1 where each continuation is one token,
            else all tokens of all continuations.
        counted: whether by the model's own tokenizer; else words are taken for single tokens.
    """

    extraction: int
    selection: int
    evaluation: int
    tokens: float
    rows: float = 1.0
    counted: bool = False


@dataclass(frozen=True)
class Plan:
    """What a verification takes.

    Attributes:
        memory: part -> bytes; together the peak.
        claims: id -> least and most seconds.
        flops: of matrix products, all claims together, least.
    """

    shape: Shape
    load: Load
    speed: Speed
    memory: Mapping[str, int]
    claims: Mapping[str, tuple[float, float]]
    flops: float

    @property
    def peak(self) -> int:
        """Bytes that all parts take."""
        return sum(self.memory.values())

    @property
    def seconds(self) -> tuple[float, float]:
        """Least and most of all claims, one after another."""
        least, most = zip(*self.claims.values(), strict=True)
        return sum(least), sum(most)


@cache
def constants() -> Mapping[str, Any]:
    """What was fitted, as `python -m invariants.bench.scale fit` wrote it."""
    found: Mapping[str, Any] = json.loads(files("ace.zoo").joinpath("plan.json").read_text("utf-8"))
    return found


def load_of(source: PromptTask, tokenizer: Callable[[list[str]], Any] | None = None) -> Load:
    """How much a task asks for.

    Args:
        tokenizer: the model's own, as transformers calls it; without, a word counts as a token.

    Raises:
        AceError: prompts that cannot be made.
    """
    every = {split: source.prompts(split, size) for split, size in SIZES.items()}
    prompts = every[Split.EVALUATION]
    extraction, selection, evaluation = (
        len(every[split]) for split in (Split.EXTRACTION, Split.SELECTION, Split.EVALUATION)
    )
    if tokenizer is None:
        words = [len(text.split()) + 1 for text in prompts.texts]
        return Load(extraction, selection, evaluation, sum(words) / len(words))
    lengths, rows = [], []
    for text, contrast in zip(prompts.texts, prompts.each_contrast, strict=True):
        wholes = [text + continuation for continuation in (*contrast.wanted, *contrast.other)]
        length, *ends = map(len, tokenizer([text, *wholes])["input_ids"])
        lengths.append(length)
        longest = max(1, *(end - length for end in ends))
        rows.append(1 if longest == 1 else longest * len(wholes))
    tokens, scored = (sum(counts) / len(prompts.texts) for counts in (lengths, rows))
    return Load(extraction, selection, evaluation, tokens, scored, counted=True)


def features(shape: Shape, kind: str) -> list[float]:
    """What a count of operations grows with: terms that `plan.json` has a factor for, each."""
    blocks, width = shape.blocks, shape.width
    edited = blocks * min(blocks, MANY_SITES)  # blocks run where edits at each site are pushed from there on
    if kind == "blocks":
        return [blocks * shape.block_weights, edited * shape.block_weights]
    if kind == "head":
        return [float(width * shape.vocabulary)]
    if kind == "factors":
        return [float(blocks * width * min(width, QR_ROWS)), float(width**3), float(blocks * width**3)]
    return [1.0, float(blocks), float(edited)]  # calls


def make_plan(shape: Shape, load: Load, speed: Speed, fitted: Mapping[str, Any] | None = None) -> Plan:
    """The estimate for a model of this size on a machine of this speed.

    Args:
        fitted: in the place of `constants`.
    """
    fitted = fitted or constants()
    claims: dict[str, tuple[float, float]] = {}
    flops = 0.0
    for name, one in fitted["claims"].items():
        times = []
        for kind in ("least", "most"):
            counts = {what: _dot(factors, features(shape, what)) for what, factors in one[kind].items()}
            for what in ("blocks", "head"):
                counts[what] *= load.rows * load.evaluation / SIZES[Split.EVALUATION]
            times.append(seconds_of(counts, shape.width, fitted["cost"], speed) + one["constant"])
            flops += (counts["blocks"] + counts["head"]) * (kind == "least")
        claims[name] = times[0], max(times)
    return Plan(shape, load, speed, memory_of(shape, load, speed.device, int(fitted["base"])), claims, flops)


def seconds_of(counts: Mapping[str, float], width: int, cost: Mapping[str, float], speed: Speed) -> float:
    """Seconds of counted operations; a cost of 1 is as fast as what `measure_speed` times."""
    units = {**dict.fromkeys(cost, 1 / speed.flops), "calls": speed.operation}
    return sum(cost[kind] * amount * units[kind] for kind, amount in amounts(counts, width).items())


def amounts(counts: Mapping[str, float], width: int) -> dict[str, float]:
    """What a cost is fitted to: products, what goes with each row of theirs, factorisations and calls.

    Norms, activations and copies go with rows, so that they are a smaller part of wide products.
    """
    products = counts["blocks"] + counts["head"]
    return {
        "products": products,
        "rows": counts["blocks"] / width,
        "factors": counts["factors"],
        "calls": counts["calls"],
    }


def memory_of(shape: Shape, load: Load, device: str, base: int) -> dict[str, int]:
    """Part -> bytes. On a GPU with memory of its own what lies there, where the twin takes the model's place."""
    each, blocks, width = shape.bytes_each, shape.blocks, shape.width
    run = load.evaluation * each * (load.tokens * shape.stored * blocks + (blocks + 1) * width)
    beside = device in MAIN_MEMORY
    parts = {
        "python and its libraries": base if beside else 0,
        "weights": shape.weights * each,
        "weights of the twin before training": shape.weights * each if beside else 0,
        "states and gradients at every site": 2 * (blocks + 1) * load.extraction * width * each,
        "keys, values and states of prompts kept": int(run + min(LIMIT, KEPT_RUNS * run)),
        "backward pass": load.extraction * blocks * ACTIVATIONS * width * each,
        "logits": COPIES * 4 * min(LOGITS, load.evaluation * shape.vocabulary),
    }
    return {name: int(size) for name, size in parts.items() if size}


def on_gpu(plan: Plan) -> tuple[int, str]:
    """Bytes that lie on the GPU where it runs on one, and the smallest that has room for them, in words."""
    size = sum(memory_of(plan.shape, plan.load, "cuda", 0).values())
    fitting = next((f"one GPU of {room / 1e9:.0f} GB" for room in GPUS if size < room), "no single GPU")
    return size, fitting


def _dot(factors: list[float], terms: list[float]) -> float:
    return sum(factor * term for factor, term in zip(factors, terms, strict=True))
