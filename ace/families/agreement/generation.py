"""Open-ended text under a flip of the axis: does every copula change its number, and nothing else?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from ace.arrays import Array, Ints
from ace.auc import cluster_sums
from ace.core import OBLIQUE
from ace.errors import Inapplicable
from ace.families.agreement.published_texts import published_figures
from ace.model.generate import continue_until
from ace.model.steer import Steering, first_tokens
from ace.progress import told
from ace.stats import Estimate, bootstrap, clustered_proportion
from ace.study.measurement import Measurement, measures
from ace.study.memory import remembered
from ace.study.prompt_rest import rest_at
from ace.study.prompt_seeds import PromptSubject
from ace.study.prompts import PromptStudy
from ace.study.site_choice import rank_of
from ace.tasks.agreement import NUMBERS
from ace.tasks.base import Split
from ace.tasks.english_judge import count_copulas, find_copulas
from ace.tasks.fragment.judge import judge
from ace.tasks.prompt import Prompts
from ace.tasks.sentences import sentence_ends

TEXTS = 256  # of each model
DRAWN = 8  # times as many prompts, to have that many of few lengths
RANDOM_TEXTS = 64  # each along a draw of the rest of its own; were none of 32 to agree, an eighth of all might
OBLIQUE_TEXTS = 64  # flipped by the other projector as well
ENOUGH = 8  # copulas
TOKENS = 50  # as published
OPEN_TOKENS, SENTENCES = 20, 2  # of a text outside the fragment, whichever comes first
AT_ONCE, LOGITS = 128, 2**25  # texts, and entries of logits, at a time: what is stored of more takes much memory
AGREES, TURNED = 0.9, 0.1
MOVED = 0.1  # largest change of the share of plural subjects: the flip should change verbs and not their subjects
TINY = 1e-12  # for resamples in which no subject was drawn
SHOWN = 4
CLEAN, FLIPPED, RANDOM, OTHERWISE = "clean", "flipped", "along the rest", "flipped, oblique"

COUNTED = ("agreeing", "copulas", "plural", "subjects", "parsed", "sentences")


@dataclass(frozen=True, eq=False)
class Judged:
    """Copulas of some texts.

    Attributes:
        agreeing, copulas: (n) how many of a text's copulas agree with their subject, and of how many it is told.
        plural, subjects: (n) how many of its subjects are plural, and how many there are; in open English, of those of
            copulas but for the prompt's own, whose number is given.
        parsed, sentences: (n) how many sentences the grammar has, and how many there are; in open English, how many
            copulas have a subject that is told, and how many there are.
        clusters: (n) by the head noun of their prompts.
    """

    agreeing: Array
    copulas: Array
    plural: Array
    subjects: Array
    parsed: Array
    sentences: Array
    clusters: Ints

    @property
    def share(self) -> float:
        """Share of copulas that agree."""
        return float(self.agreeing.sum() / self.copulas.sum())


@measures("the rest, each text along a draw")
def generation(subject: PromptSubject) -> Measurement:
    """Excesses: of clean copulas that do not agree, flipped ones that do, and subjects whose number moves."""
    models = subject.trained
    if len(models.studies[0].prompts(Split.EVALUATION).contrasts) > 1:
        raise Inapplicable("each prompt has continuations of its own, so no one contrast steers all text")
    if models.source.names != NUMBERS:
        raise Inapplicable(f"text is judged by the number of its subjects, not by {' and '.join(models.source.names)}")
    estimates: list[Estimate] = []
    controls: list[Estimate] = []
    beside: list[Estimate] = []
    details = []
    for k, study in enumerate(models.studies):
        texts, prompts = _texts(study, TEXTS), _prompts(study, TEXTS)[0]
        judged = {kind: _judged(study, written, prompts.take(range(len(written)))) for kind, written in texts.items()}
        for kind, result in judged.items():
            if kind != OTHERWISE and result.copulas.sum() < ENOUGH:
                raise Inapplicable(f"seed {k}: {int(result.copulas.sum())} copulas in {kind} text, too few to judge")
        parts = _excesses(str(k), judged[CLEAN], judged[FLIPPED])
        estimates += parts
        controls.append(_excesses(str(k), judged[RANDOM], judged[RANDOM])[1])  # the flipped share alone
        if judged[OTHERWISE].copulas.sum() >= ENOUGH:
            beside.append(_excesses(str(k), judged[OTHERWISE], judged[OTHERWISE])[1])
        details.append(
            {
                "share": {kind: result.share for kind, result in judged.items()},
                "copulas": {kind: int(result.copulas.sum()) for kind, result in judged.items()},
                "plural subjects": {kind: _over(result.plural, result.subjects) for kind, result in judged.items()},
                "parsed": {kind: _over(result.parsed, result.sentences) for kind, result in judged.items()},
                "power, where subjects do not move": _power(parts[2], len(models) * len(parts)),
                "published protocol": published_figures(study),
                "texts": {kind: list(written[:SHOWN]) for kind, written in texts.items()},
            }
        )
    return Measurement(
        tuple(estimates),
        {"the rest, each text along a draw": tuple(controls)},
        details={"seeds": details},
        beside={OBLIQUE: tuple(beside)} if beside else {},
    )


def _over(part: Array, whole: Array) -> float | None:
    return float(part.sum() / whole.sum()) if whole.sum() else None


def _excesses(label: str, clean: Judged, flipped: Judged) -> list[Estimate]:
    """The parts of the quantity, each at most 0 where it is as it should be, bootstrapped over head nouns.

    The same prompts are continued clean and flipped.
    """
    shares = [_share(text) for text in (clean, flipped)]
    columns = np.stack([[text.plural, text.subjects] for text in (clean, flipped)], axis=-1)  # (2, n, 2)

    def moved(means: Array) -> Array:
        """(c) from means (c, 2, 2) of plural and all subjects, clean and flipped."""
        numbers = means[:, 0] / np.maximum(means[:, 1], TINY)
        return np.asarray(numbers[:, 1] - numbers[:, 0])

    sums = cluster_sums(columns.transpose(1, 0, 2), clean.clusters)
    return [
        _affine(f"{label}, clean", shares[0], -1.0, AGREES),
        _affine(f"{label}, flipped", shares[1], 1.0, -TURNED),
        bootstrap(f"{label}, subjects up", sums, lambda means: moved(means) - MOVED, vectorized=True),
        bootstrap(f"{label}, subjects down", sums, lambda means: -moved(means) - MOVED, vectorized=True),
    ]


def _share(judged: Judged) -> Estimate:
    """Share of copulas that agree, with head nouns as clusters."""
    agreeing, copulas = (
        cluster_sums(part, judged.clusters).astype(np.int64) for part in (judged.agreeing, judged.copulas)
    )
    told = copulas > 0
    return clustered_proportion("share", agreeing[told], copulas[told])


def _affine(label: str, estimate: Estimate, factor: float, offset: float) -> Estimate:
    """factor * value + offset, and its interval."""

    def limits(confidence: float) -> tuple[float, float]:
        low, high = sorted(factor * end + offset for end in estimate.interval(confidence))
        return low, high

    return replace(
        estimate, label=label, value=factor * estimate.value + offset, replicates=None, limits=limits, acceleration=0.0
    )


def _power(part: Estimate, comparisons: int) -> float | None:
    """Chance that both parts about subjects come out inside where their number does not move, at the level judged."""
    if part.replicates is None:
        return None
    error = float(part.replicates.std())
    return float(max(0.0, 2 * norm.cdf(MOVED / error + norm.ppf(0.025 / comparisons)) - 1)) if error > 0 else 1.0


@remembered
def _texts(study: PromptStudy, count: int) -> dict[str, tuple[str, ...]]:
    """Kind -> prompts continued: `count` clean and flipped, some along draws of the rest, some flipped obliquely."""
    groups = _prompts(study, count)[1]
    clean, flipped, random, otherwise = list[str](), list[str](), list[str](), list[str]()
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    size = max(1, min(AT_ONCE, LOGITS // study.language.vocabulary))
    for ids in told([part for group in groups for part in group.split(size)], "batches of texts"):
        drawn = max(0, min(len(ids), RANDOM_TEXTS - len(random)))
        other = max(0, min(len(ids), OBLIQUE_TEXTS - len(otherwise)))
        clean += _continued(study, ids, generators[0], None)
        steering = _steering(study, len(ids), range(len(random), len(random) + drawn), other, count)
        steered = _continued(study, torch.cat([ids, ids[:drawn], ids[:other]]), generators[1], steering)
        flipped += steered[: len(ids)]
        random += steered[len(ids) : len(ids) + drawn]
        otherwise += steered[len(ids) + drawn :]
    return {CLEAN: tuple(clean), FLIPPED: tuple(flipped), RANDOM: tuple(random), OTHERWISE: tuple(otherwise)}


def _continued(study: PromptStudy, ids: Tensor, generator: torch.Generator, steering: Steering | None) -> list[str]:
    """Prompts (n, t) continued by `TOKENS` tokens; outside the fragment by fewer, or to their second sentence's end."""
    language, (_, length) = study.language, ids.shape
    tokens, positions = TOKENS if study.source.fragment else OPEN_TOKENS, language.positions
    if positions is not None and length + tokens - 1 > positions:
        raise Inapplicable(
            f"prompts of {length} tokens and {tokens} more do not fit into the model's {positions} positions"
        )

    def ended(row: Tensor) -> bool:
        said = row[length:].tolist()
        return language.tokenizer.eos_token_id in said or sentence_ends(language.decode(said)) >= SENTENCES

    ends = (lambda row: False) if study.source.fragment else ended
    rows = continue_until(language, ids, tokens, generator, steering, ended=ends)
    return [language.decode(row.tolist()) for row in rows]


@remembered
def _prompts(study: PromptStudy, count: int) -> tuple[Prompts, list[Tensor]]:
    """So many prompts to be continued, and their token ids (n, t), one array a length.

    Those of few lengths run together; the evaluation split's own prompts are too few of one length, so that more are
    drawn from its source.
    """
    prompts = study.source.prompts(Split.EVALUATION, DRAWN * count)
    by_length: dict[int, list[int]] = {}
    encoded = study.language.encode_all(prompts.texts)
    for row, ids in enumerate(encoded):
        by_length.setdefault(len(ids), []).append(row)
    rows: list[int] = []
    groups = []
    for group in sorted(by_length.values(), key=lambda group: -len(group)):
        taken = group[: count - len(rows)]
        if taken:
            rows += taken
            groups.append(torch.tensor([encoded[row] for row in taken]))
    return prompts.take(rows), groups


def _steering(study: PromptStudy, flipped: int, draws: range, obliquely: int, count: int) -> Steering:
    """Flipping the core in so many texts, a draw of the rest in each of further ones, then the core obliquely."""
    choice = study.choice()
    rank = rank_of(choice)
    core, drawn = study.core(choice.site, rank), rest_at(study, choice.site, rank, choice.projector)
    prompts = _prompts(study, count)[0]
    tokens = first_tokens(study.language, prompts.texts[0], prompts.contrasts[0])
    random = drawn.take(torch.tensor(list(draws), dtype=torch.int64))
    axes, readers = (
        torch.cat([ours.expand(flipped, -1, -1), rest.to(ours), other.expand(obliquely, -1, -1)])
        for ours, rest, other in (
            (core.basis, random.directions, core.directions),
            (core.basis.T, random.readers, core.readers),
        )
    )

    def of_row(rows: Tensor) -> Callable[[Tensor], Tensor]:
        """Every row has a subspace of its own."""
        chosen, reading = axes[rows], readers[rows]

        def component(states: Tensor) -> Tensor:
            inner = torch.einsum("nd,nrd->nr", states - core.mean.to(states), reading.to(states))
            return torch.einsum("nr,ndr->nd", inner, chosen.to(states))

        return component

    return Steering(choice.site, of_row(torch.arange(len(axes))), *tokens, of_row=of_row)


def _judged(study: PromptStudy, texts: Sequence[str], prompts: Prompts) -> Judged:
    """Texts (n) that continue these prompts (n)."""
    if study.source.fragment:
        columns = [_by_grammar(text) for text in texts]
    else:
        pairs = zip(texts, prompts.texts, prompts.labels, strict=True)
        columns = [_by_rules(prompt + text[len(prompt) :], prompt, int(label)) for text, prompt, label in pairs]
    counts = dict(zip(COUNTED, np.array(columns, dtype=np.float64).T, strict=True))
    return Judged(**counts, clusters=prompts.clusters)


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


def _by_rules(text: str, prompt: str, label: int) -> list[int]:
    copulas = find_copulas(text, prompt, label)
    others = [copula.subject for copula in copulas if not copula.own]
    return [
        sum(copula.agrees for copula in copulas),
        len(copulas),
        sum(others),
        len(others),
        len(copulas),
        count_copulas(text, prompt),
    ]
