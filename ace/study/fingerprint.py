"""What a subject is, as far as its values hang on it: task, weights, dtype, device, threads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ace.check import check_instance
from ace.errors import Inapplicable, InputError
from ace.study.language_subjects import Scales
from ace.study.prompt_seeds import PromptStudies
from ace.study.subject import Subject
from ace.study.tokens import TokenStudy
from ace.tasks.base import HELD_OUT, Batch
from ace.tasks.prompt import Prompts

ELSEWHERE = "not in memory"  # weights that cannot be read


def fingerprint(subject: Subject[Any]) -> dict[str, Any]:
    """Task, weights, dtype, device and threads of a subject, computed once; empty for a kind of study not known here.

    `weights` is a SHA-256 over the tensors of all models, `task_digest` one over what is extracted from, chosen by and
    evaluated on: the same name may stand for other prompts. `threads` are those of torch now: sums of several threads
    are rounded differently.

    Raises:
        InputError: no subject.
    """
    check_instance("subject", subject, Subject)
    found: dict[str, str] = subject.memory.get(("fingerprint", subject), lambda: _computed(subject))
    return {**found, "threads": torch.get_num_threads()} if found else {}


def _computed(subject: Subject[Any]) -> dict[str, str]:
    study = subject.trained
    if isinstance(study, Scales):
        parts = [fingerprint(one) for one in study.subjects]
        if len(parts) < 2 or not all(parts):  # of one alone nothing is measured, and one may be of a kind not known
            return {}
        together = {name: _joined(part[name] for part in parts) for name in ("task", "dtype", "device")}
        digests = {name: _digest_of(part[name] for part in parts) for name in ("task_digest", "weights")}
        return {**together, **digests}
    try:
        if isinstance(study, PromptStudies):
            models: Sequence[nn.Module] = [study.language(index).model for index in range(len(study))]
            task = study.source.name
            prompts = study.study(0).prompts
            digest = _digest_of(part for split in HELD_OUT for part in _prompts(prompts(split)))
        elif isinstance(study, TokenStudy):
            models, task = study.models, study.task.name
            digest = _digest_of(part for split in HELD_OUT for part in _sequences(study.batch(split)))
        else:
            return {}
    except Inapplicable:
        return {}
    weights = [weight for model in models for weight in model.parameters()]
    return {
        "task": task,
        "task_digest": digest,
        "weights": _digest_of(map(weights_digest, models)),
        "dtype": _joined(str(weight.dtype).removeprefix("torch.") for weight in weights),
        "device": _joined(str(weight.device) for weight in weights),
    }


def _prompts(prompts: Prompts) -> Iterator[str]:
    """All that is asked of a model, and what intervals hang on: texts, classes, continuations, groups, attractors."""
    yield repr((str(prompts.split), prompts.names))
    beside = [None] * len(prompts) if prompts.attractors is None else [int(noun) for noun in prompts.attractors]
    rows = zip(prompts.texts, prompts.labels, prompts.each_contrast, prompts.groups, beside, strict=True)
    for text, label, contrast, group, attractor in rows:
        yield repr((text, int(label), contrast.wanted, contrast.other, group, attractor))


def _sequences(batch: Batch) -> Iterator[str | bytes]:
    yield str(batch.split)
    for array in (batch.inputs, batch.targets):
        yield repr((array.shape, str(array.dtype)))
        yield np.ascontiguousarray(array).tobytes()


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over names, shapes, dtypes and bytes of a model's parameters and buffers, as 64 hexadecimal digits.

    A tensor under two names, such as a tied head, is read once, and no more than one tensor is copied.

    Raises:
        InputError: no module.
    """
    check_instance("model", model, nn.Module)
    digest, seen = hashlib.sha256(), dict[tuple[int, tuple[int, ...], tuple[int, ...]], str]()
    try:
        for name, tensor in sorted(model.state_dict(keep_vars=True).items()):
            if not isinstance(tensor, Tensor):
                continue
            place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
            first = seen.setdefault(place, name) if tensor.numel() else name
            digest.update(repr((name, first, tuple(tensor.shape), str(tensor.dtype))).encode())
            if first == name and tensor.numel():
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    except (RuntimeError, NotImplementedError):  # kept on disk, or in a form without plain bytes
        return ELSEWHERE
    return digest.hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """SHA-256 of all that a tokenizer's ids hang on, as 64 hexadecimal digits; of a slow one, its vocabulary alone.

    How texts are padded or cut is left out, since calls set it.

    Raises:
        InputError: no tokenizer.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        told: dict[str, Any] = {**json.loads(backend.to_str()), "padding": None, "truncation": None}
    elif callable(getattr(tokenizer, "get_vocab", None)):
        told = {str(word): int(index) for word, index in tokenizer.get_vocab().items()}
    else:
        raise InputError(f"tokenizer: expected one with a vocabulary, got {type(tokenizer).__name__}")
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _digest_of(parts: Iterable[str | bytes]) -> str:
    """SHA-256 over parts, each with its length in front; weights that cannot be read stay what they are."""
    digest = hashlib.sha256()
    for part in parts:
        if part == ELSEWHERE:
            return ELSEWHERE
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


def _joined(names: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(names))
