"""Continuations as token ids: prompts grouped by length, what is run after them, and the contrast of the logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ace.errors import InputError
from ace.model.language import LanguageModel
from ace.tasks.prompt import Contrast, Prompts

ROWS = 128  # prompts of a group: bounds the memory of stored keys and values


@dataclass(frozen=True, eq=False)
class Encoded:
    """Prompts of one length (t tokens) with q tails of s tokens each.

    A tail begins with the prompt's last token, whose position is the scored one; what comes before is the prefix. A
    prompt whose continuations are all single tokens has one tail, of that token alone.

    Attributes:
        rows: (n) which prompts these are.
        prefix: (n, t - 1) token ids; may have no columns.
        tails: (n, q, s) token ids that are run.
        targets: (n, q, s, c) token ids whose log-probability counts at each place of a tail.
        weights: (n, q, s, c) what it is multiplied by; 0 for padding. The weights at the scored position add up to 0.
    """

    rows: Tensor
    prefix: Tensor
    tails: Tensor
    targets: Tensor
    weights: Tensor

    @property
    def single(self) -> bool:
        """Whether every continuation is one token: then log-probabilities differ as logits do."""
        return self.tails.shape[2] == 1

    @property
    def tokens(self) -> Tensor | None:
        """Token ids whose logits are needed; None for the whole vocabulary, where logits have to be normalised."""
        return torch.unique(self.targets) if self.single else None

    def contrast(self, logits: Tensor, tokens: Tensor | None) -> Tensor:
        """(m, n) contrasts in float32 from logits (m * n * q, s, v), those of the token ids `tokens` (v) or of all."""
        n, q, s, c = self.targets.shape
        values = logits.float().view(-1, n, q, s, logits.shape[-1])
        targets = self.targets.to(logits.device)
        if tokens is None:
            values = values.log_softmax(dim=-1)
        else:
            targets = torch.searchsorted(tokens.to(logits.device), targets)
        chosen = values.gather(-1, targets.expand(len(values), n, q, s, c))
        return (chosen * self.weights.to(logits.device)).sum(dim=(2, 3, 4))


def encode_prompts(language: LanguageModel, prompts: Prompts, *, rows: int = ROWS) -> list[Encoded]:
    """Token ids of prompts and their continuations, in groups of equal length and at most `rows` prompts.

    Raises:
        InputError: a prompt or continuation without tokens, or one that changes how the prompt before it is split.
    """
    groups: dict[tuple[int, int, int, int], list[tuple[int, list[int], list[tuple[list[int], float]]]]] = {}
    contrasts = prompts.each_contrast
    texts = [
        [text, *(text + continuation for continuation in (*contrast.wanted, *contrast.other))]
        for text, contrast in zip(prompts.texts, contrasts, strict=True)
    ]
    ids = iter(language.encode_all([text for row in texts for text in row]))
    for row, (text, contrast) in enumerate(zip(prompts.texts, contrasts, strict=True)):
        prompt, *wholes = (next(ids) for _ in texts[row])
        scored = _scored(text, prompt, wholes, contrast)
        longest = max(len(ids) for ids, _ in scored)
        tails = 1 if longest == 1 else len(scored)
        places = len(scored) if longest == 1 else 1
        groups.setdefault((len(prompt), tails, longest, places), []).append((row, prompt, scored))
    for members in groups.values():
        members.sort(key=lambda member: member[1])  # side by side what begins alike: it is run once
    return [
        _encoded(members[begin : begin + rows], sizes[2])
        for sizes, members in sorted(groups.items())
        for begin in range(0, len(members), rows)
    ]


def own_tokens(text: str, prompt: list[int], whole: list[int], continuation: str) -> list[int]:
    """Token ids of a continuation: those of the whole text after the prompt's.

    Raises:
        InputError: it has none, or changes how the prompt before it is split.
    """
    if whole[: len(prompt)] != prompt or len(whole) == len(prompt):
        raise InputError(
            f"continuation: expected tokens of its own after the prompt, got {continuation!r} after {text!r}"
        )
    return whole[len(prompt) :]


def _scored(
    text: str, prompt: list[int], wholes: Sequence[list[int]], contrast: Contrast
) -> list[tuple[list[int], float]]:
    """Continuations as ids, each with its weight in the mean of the wanted ones less that of the others.

    Args:
        wholes: ids of the text with each continuation, the wanted ones first.
    """
    scored = []
    wanted, other = len(contrast.wanted), len(contrast.other)
    weights = [1.0 / wanted] * wanted + [-1.0 / other] * other
    for whole, continuation, weight in zip(wholes, (*contrast.wanted, *contrast.other), weights, strict=True):
        scored.append((own_tokens(text, prompt, whole, continuation), weight))
    if len({tuple(ids) for ids, _ in scored}) < len(scored):
        raise InputError(f"continuation: expected different tokens for each, got the same of two after {text!r}")
    return scored


def _encoded(members: Sequence[tuple[int, list[int], list[tuple[list[int], float]]]], length: int) -> Encoded:
    """Prompts of one length, each with its row and its continuations of at most `length` tokens.

    From lists at once: tensors filled entry by entry took most of the time.
    """
    prompts = torch.tensor([prompt for _, prompt, _ in members])
    each = [scored for _, _, scored in members]
    if length == 1:
        run = prompts[:, -1:, None]
        targets = torch.tensor([[[[ids[0] for ids, _ in scored]]] for scored in each])
        weights = torch.tensor([[[[weight for _, weight in scored]]] for scored in each])
    else:
        targets = torch.tensor([[ids + [0] * (length - len(ids)) for ids, _ in scored] for scored in each])[..., None]
        ends = [[[weight] * len(ids) + [0.0] * (length - len(ids)) for ids, weight in scored] for scored in each]
        weights = torch.tensor(ends)[..., None]
        before = targets[:, :, :-1, 0] * (weights[:, :, 1:, 0] != 0)  # what comes before another token is run
        run = torch.cat([prompts[:, -1:, None].expand(-1, before.shape[1], 1), before], dim=2)
    return Encoded(torch.tensor([row for row, _, _ in members]), prompts[:, :-1], run, targets, weights)


def scattered(groups: Sequence[Encoded], values: Iterator[Tensor], axis: int = 0) -> Tensor:
    """Values of every group put together in the prompts' own order, along `axis`."""
    order = torch.argsort(torch.cat([group.rows for group in groups]))
    return torch.cat(list(values), dim=axis).index_select(axis, order)
