"""Many small transformers as one: weights stacked along a first axis, every product a batched matrix product.

Equal to `SmallTransformer` run model by model. Shapes: e models, n sequences, t positions, d width, h heads, f hidden.
What it saves over separate loops: one call an operation for all models, dropout from 16-bit draws (a quarter of the
random numbers), no mask tensors built anew, one fused optimiser step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ace.check import check_count
from ace.errors import InputError
from ace.training.transformer import Architecture, SmallTransformer, initialise

Weights = dict[str, Tensor]


def initial_weights(sizes: Architecture, generators: Sequence[torch.Generator], dtype: torch.dtype) -> Weights:
    """Stacked initial weights (e, ...), model k drawn from generator k alone.

    Raises:
        InputError: no generator.
    """
    if not generators:
        raise InputError("generators: expected one for each model, got none")
    found: list[dict[str, Tensor]] = []
    for generator in generators:
        model = SmallTransformer(sizes)
        initialise(model, generator)
        found.append(dict(model.state_dict()))
    return {name: torch.stack([weights[name] for weights in found]).to(dtype) for name in found[0]}


def member(sizes: Architecture, weights: Mapping[str, Tensor], index: int) -> SmallTransformer:
    """Model `index` of stacked weights as an ordinary module in evaluation mode, on the weights' device and dtype.

    Raises:
        InputError: there is no such model.
    """
    models = weights["tokens.weight"].shape[0]
    if check_count("index", index, smallest=0) >= models:
        raise InputError(f"index: expected 0..{models - 1}, got {index}")
    with torch.device("meta"):
        model = SmallTransformer(sizes)
    model.load_state_dict({name: stacked[index].clone() for name, stacked in weights.items()}, assign=True)
    return model.eval().requires_grad_(False)


class DropoutMasks:
    """Dropout masks for one step, drawn by each model's own generator.

    A value is dropped where a uniform 16-bit integer is below p 65536, rounded: p is exact to 1e-5. Kept values are
    scaled by 1 / (1 - p).

    Raises:
        InputError: a probability outside 0 <= p < 1, or other than one generator a model.
    """

    def __init__(
        self, models: int, values: int, probability: float, generators: Sequence[torch.Generator], dtype: torch.dtype
    ) -> None:
        if not 0.0 <= probability < 1.0:
            raise InputError(f"probability: expected 0 <= p < 1, got {probability}")
        if len(generators) != check_count("models", models):
            raise InputError(f"generators: expected one for each of {models} models, got {len(generators)}")
        device = generators[0].device
        self._generators = generators
        self._limit = round(-32768 + probability * 65536)
        self.scale = 1 / (1 - (self._limit + 32768) / 65536)
        self._bits = torch.empty(models, -(-values // 4), dtype=torch.int64, device=device)
        self._masks = torch.empty(models, values, dtype=dtype, device=device)
        self._used = 0

    def draw(self) -> None:
        """Draw the masks of a new step."""
        for bits, generator in zip(self._bits, self._generators, strict=True):
            bits.random_(-(2**63), None, generator=generator)
        torch.ge(self._bits.view(torch.int16)[:, : self._masks.shape[1]], self._limit, out=self._masks)
        self._masks.mul_(self.scale)
        self._used = 0

    def take(self, *shape: int) -> Tensor:
        """The next masks, (e, *shape), each value 0 or 1 / (1 - p)."""
        count = math.prod(shape)
        found = self._masks[:, self._used : self._used + count].unflatten(1, shape)
        self._used += count
        return found


def mask_values(sizes: Architecture, sequences: int, length: int) -> int:
    """How many dropout values one step of one model needs."""
    attention = sequences * sizes.heads * length * length
    rows = sequences * length
    return sizes.blocks * (attention + rows * (2 * sizes.width + sizes.hidden))


def stacked_logits(sizes: Architecture, weights: Weights, inputs: Tensor, masks: DropoutMasks | None = None) -> Tensor:
    """Logits (e, n, t, v) of token ids (e, n, t), or (n, t) shared by all models. Dropout only with `masks`.

    Raises:
        InputError: inputs of another shape, or longer than the position table.
    """
    models = weights["tokens.weight"].shape[0]
    if inputs.ndim == 2:
        inputs = inputs.expand(models, *inputs.shape)
    if inputs.ndim != 3 or len(inputs) != models or inputs.shape[2] > sizes.context:
        expected = f"({models}, n, t) or (n, t) with t <= {sizes.context}"
        raise InputError(f"inputs: expected token ids {expected}, got shape {tuple(inputs.shape)}")
    _, sequences, length = inputs.shape
    rows = sequences * length
    embedded = torch.stack(
        [functional.embedding(ids, table) for ids, table in zip(inputs, weights["tokens.weight"], strict=True)]
    )
    states = (embedded + weights["positions.weight"][:, None, :length]).reshape(models, rows, sizes.width)
    if masks is not None:
        masks.draw()
    for block in range(sizes.blocks):
        prefix = f"blocks.{block}."
        part = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        states = _block(sizes, part, states, sequences, masks)
    return _linear(states, weights, "head").view(models, sequences, length, sizes.vocabulary)


def _block(sizes: Architecture, part: Weights, states: Tensor, sequences: int, masks: DropoutMasks | None) -> Tensor:
    models, rows, width = states.shape
    # The products below are fresh tensors that autograd does not need again, so dropout and residual work in place.
    mixed = _linear(_attention(sizes, part, states, sequences, masks), part, "attention.project_out")
    if masks is not None:
        mixed = mixed.mul_(masks.take(rows, width))
    states = _norm(mixed.add_(states), part, "norm1")
    inner = _linear(states, part, "expand")
    inner = inner.relu_() if masks is None else _DroppedReLU.apply(inner, masks.take(rows, sizes.hidden), masks.scale)
    outer = _linear(inner, part, "contract")
    if masks is not None:
        outer = outer.mul_(masks.take(rows, width))
    return _norm(outer.add_(states), part, "norm2")


def _attention(
    sizes: Architecture, part: Weights, states: Tensor, sequences: int, masks: DropoutMasks | None
) -> Tensor:
    models, rows, width = states.shape
    length, each = rows // sequences, width // sizes.heads
    joined = _linear(states, part, "attention.project_in")
    apart = joined.view(models * sequences, length, 3, sizes.heads, each).permute(2, 0, 3, 1, 4)
    parts = apart.reshape(3, models * sequences * sizes.heads, length, each)  # one copy for all three
    if masks is None:
        mixed = functional.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
    else:
        mixed = _DroppedAttention.apply(parts, masks.take(sequences * sizes.heads, length, length))
    back = mixed.view(models, sequences, sizes.heads, length, each).transpose(2, 3)
    return back.reshape(models, rows, width)


class _DroppedReLU(torch.autograd.Function):
    """Dropout of relu(x), in place. Backwards needs the result alone: it is positive where the gradient passes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.mark_dirty(rows)
        rows.relu_().mul_(mask)
        ctx.save_for_backward(rows)
        ctx.scale = scale
        return rows

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (found,) = ctx.saved_tensors
        # The gradient is a fresh product that nobody else reads.
        torch.ops.aten.threshold_backward.grad_input(grad, found, 0, grad_input=grad)
        return grad.mul_(ctx.scale), None, None


class _DroppedAttention(torch.autograd.Function):
    """Causal attention with dropout of its weights: (3, b, t, c) queries, keys and values and mask (e, b / e, t, t)."""

    @staticmethod
    def forward(ctx: Any, parts: Tensor, mask: Tensor) -> Tensor:
        query, key, value = parts
        length = query.shape[1]
        future = torch.full((length, length), -torch.inf, dtype=parts.dtype, device=parts.device).triu(1)
        weights = torch.baddbmm(future, query, key.transpose(1, 2), alpha=query.shape[2] ** -0.5).softmax(dim=-1)
        kept = (weights.view(mask.shape) * mask).view_as(weights)
        mixed = torch.bmm(kept, value)
        ctx.save_for_backward(parts, weights, kept, mixed)
        return mixed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        parts, weights, kept, mixed = ctx.saved_tensors
        query, key, value = parts
        # Through dropout and softmax at once: kept * (grad V^T) - weights * row sums, which are those of grad * mixed.
        scores = torch.bmm(grad, value.transpose(1, 2)).mul_(kept)
        scores.addcmul_(weights, (grad * mixed).sum(dim=-1, keepdim=True), value=-1)
        scale = query.shape[2] ** -0.5
        back = torch.empty_like(parts)
        torch.baddbmm(back[0], scores, key, beta=0, alpha=scale, out=back[0])
        torch.baddbmm(back[1], scores.transpose(1, 2), query, beta=0, alpha=scale, out=back[1])
        torch.bmm(kept.transpose(1, 2), grad, out=back[2])
        return back, None


def _linear(rows: Tensor, weights: Weights, name: str) -> Tensor:
    """(e, n, in) -> (e, n, out) with weight (e, out, in) and bias (e, out)."""
    weight, bias = weights[f"{name}.weight"].transpose(1, 2), weights[f"{name}.bias"][:, None]
    models, count, width = rows.shape
    if count % 2:
        return torch.baddbmm(bias, rows, weight)
    # A batched product gives each core whole products: in halves, three models keep two cores busy to the end.
    halves = rows.reshape(2 * models, count // 2, width)
    weight, bias = weight.repeat_interleave(2, dim=0), bias.repeat_interleave(2, dim=0)
    return torch.baddbmm(bias, halves, weight).view(models, count, -1)


def _norm(rows: Tensor, weights: Weights, name: str) -> Tensor:
    scaled = functional.layer_norm(rows, rows.shape[-1:])
    return torch.addcmul(weights[f"{name}.bias"][:, None], scaled, weights[f"{name}.weight"][:, None])
