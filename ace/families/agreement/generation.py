"""Open-ended text under a flip of the axis: does every copula change its number, and nothing else?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ace.arrays import Array, Ints
from ace.errors import Inapplicable
from ace.linalg import random_frames
from ace.model.generate import continue_text
from ace.model.steer import Steering, core_component, first_tokens
from ace.stats import Estimate, bootstrap
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.site_choice import rank_of
from ace.tasks.base import Split
from ace.tasks.fragment.judge import judge
from ace.tasks.fragment.words import COPULAS

TEXTS = 64
RANDOM_TEXTS = 32  # each along a random subspace of its own
ENOUGH = 8  # copulas
TOKENS = 50  # as published
AGREES, TURNED = 0.9, 0.1
MOVED = 0.1  # largest change of the share of plural subjects: the flip should change verbs and not their subjects
TINY = 1e-12  # for resamples in which no copula was drawn
SHOWN = 4
FORMS = {form: number for pair in COPULAS.values() for number, form in enumerate(pair)}


@dataclass(frozen=True)
class Judged:
    """Copulas of some texts.

    Attributes:
        agreeing, copulas: (n) how many of a text's copulas agree with their subject, and how many there are.
        plural, subjects: (n) how many of its subjects are plural, and how many there are.
        parsed, sentences: (n) how many sentences the grammar has, and how many there are.
    """

    agreeing: Array
    copulas: Array
    plural: Array
    subjects: Array
    parsed: Array
    sentences: Array

    @property
    def share(self) -> float:
        """Share of copulas that agree."""
        return float(self.agreeing.sum() / self.copulas.sum())


@measures("random, Haar")
def generation(subject: PromptSubject) -> Measurement:
    """The largest excess: of clean copulas that do not agree, flipped ones that do, and subjects whose number moves."""
    models = subject.trained
    if len(models.studies[0].prompts(Split.EVALUATION).contrasts) > 1:
        raise Inapplicable("each prompt has continuations of its own, so no one contrast steers all text")
    estimates, controls, details = [], [], []
    for k, study in enumerate(models.studies):
        texts = {kind: _texts(study, kind) for kind in ("clean", "flipped", "random")}
        judged = {kind: _judged(study, kind, written) for kind, written in texts.items()}
        for kind, result in judged.items():
            if result.copulas.sum() < ENOUGH:
                raise Inapplicable(f"seed {k}: {int(result.copulas.sum())} copulas in {kind} text, too few to judge")
        estimates.append(_inverted(str(k), judged["clean"], judged["flipped"]))
        few = Judged(*(getattr(judged["clean"], name)[: len(texts["random"])] for name in Judged.__dataclass_fields__))
        controls.append(_inverted(str(k), few, judged["random"]))
        details.append(
            {
                "share": {kind: result.share for kind, result in judged.items()},
                "copulas": {kind: int(result.copulas.sum()) for kind, result in judged.items()},
                "plural subjects": {kind: _over(result.plural, result.subjects) for kind, result in judged.items()},
                "parsed": {kind: _over(result.parsed, result.sentences) for kind, result in judged.items()},
                "texts": {kind: list(written[:SHOWN]) for kind, written in texts.items()},
            }
        )
    return Measurement(tuple(estimates), {"random, Haar": tuple(controls)}, details={"seeds": details})


def _over(part: Array, whole: Array) -> float | None:
    return float(part.sum() / whole.sum()) if whole.sum() else None


def _inverted(label: str, clean: Judged, flipped: Judged) -> Estimate:
    """The quantity, bootstrapped over texts: the same prompts are drawn clean and flipped."""
    columns = np.stack(
        [[text.agreeing, text.copulas, text.plural, text.subjects] for text in (clean, flipped)], axis=-1
    )  # (4, n, 2)

    def worst(mean: Array) -> float:
        agreeing, copulas, plural, subjects = np.maximum(mean, [[0.0], [TINY], [0.0], [TINY]])
        shares, numbers = agreeing / copulas, plural / subjects
        return float(max(AGREES - shares[0], shares[1] - TURNED, abs(numbers[1] - numbers[0]) - MOVED))

    return bootstrap(label, columns.transpose(1, 0, 2), worst)


@remembered
def _texts(study: PromptStudy, kind: str) -> tuple[str, ...]:
    """Evaluation prompts of one length continued by `TOKENS` tokens, clean, flipped, or flipped along random axes."""
    prompts, ids = _prompts(study, kind)
    steering = None if kind == "clean" else _steering(study, prompts, kind)
    tokens = continue_text(study.language, ids, TOKENS, torch.Generator().manual_seed(0), steering)
    return tuple(study.language.decode(row.tolist()) for row in tokens)


def _prompts(study: PromptStudy, kind: str) -> tuple[Ints, Tensor]:
    """Rows of the evaluation split, the largest group of one length, and their token ids (n, t)."""
    group = max(study.encoded(Split.EVALUATION), key=lambda encoded_group: len(encoded_group.rows))
    rows = group.rows[: RANDOM_TEXTS if kind == "random" else TEXTS]
    return rows.numpy(), torch.cat([group.prefix, group.tails[:, 0, :1]], dim=1)[: len(rows)]


def _steering(study: PromptStudy, rows: Ints, kind: str) -> Steering:
    site, core = study.top.site, study.core(study.top.site, rank_of(study.top))
    prompts = study.prompts(Split.EVALUATION)
    contrast = prompts.contrasts[0]
    tokens = first_tokens(study.language, prompts.texts[int(rows[0])], contrast)
    if kind == "flipped":
        return Steering(site, core_component(core), *tokens)
    axes = random_frames(core.width, core.dimension, len(rows), torch.Generator().manual_seed(1))

    def component(states: Tensor) -> Tensor:
        """Every row has a random subspace of its own."""
        own = axes.to(states)
        inner = torch.einsum("nd,ndr->nr", states - core.mean.to(states), own)
        return torch.einsum("nr,ndr->nd", inner, own)

    return Steering(site, component, *tokens)


def _judged(study: PromptStudy, kind: str, texts: Sequence[str]) -> Judged:
    rows, _ = _prompts(study, kind)
    prompts = study.prompts(Split.EVALUATION).take(rows)
    if study.source.fragment:
        return _columns([_by_grammar(text) for text in texts])
    pairs = zip(texts, prompts.texts, prompts.labels, strict=True)
    return _columns([_first_copula(text[len(prompt) :], int(label)) for text, prompt, label in pairs])


def _by_grammar(text: str) -> list[int]:
    sentences = judge(text)
    parsed = [sentence for sentence in sentences if sentence is not None]
    copulas = [sentence for sentence in parsed if sentence.kind == "copula"]
    return [
        sum(bool(sentence.agrees) for sentence in copulas),
        len(copulas),
        sum(sentence.number for sentence in parsed),
        len(parsed),
        len(parsed),
        len(sentences),
    ]


def _first_copula(continuation: str, label: int) -> list[int]:
    """The first copula before the sentence ends, held against the prompt's own subject: no grammar is asked."""
    sentence = continuation.split(".")[0].replace(",", " ").split()
    numbers = [FORMS[word] for word in sentence if word in FORMS][:1]
    return [sum(number == label for number in numbers), len(numbers), label, 1, len(numbers), 1]


def _columns(rows: Sequence[Sequence[int]]) -> Judged:
    return Judged(*np.array(rows, dtype=np.float64).T)
