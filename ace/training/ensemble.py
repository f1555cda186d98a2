"""Many small transformers as one: weights stacked along a first axis, every product a batched matrix product.

Equal to `SmallTransformer` run model by model. Shapes: e models, n sequences, t positions, d width, h heads, f hidden,
g groups of sequences, one or two a model.
What it saves over separate loops: one call an operation for all models, matrix products that share out evenly over the
cores, dropout from 16-bit draws (a quarter of the random numbers) and in place, backward passes that keep and copy less
in attention and feed-forward, one fused optimiser step.
What limits it: at d = 64 the matrix products are about a third of a step. A tenth goes into random numbers, drawn by
one core; the rest are passes over activations too large for the cache, one for each elementwise operation, which only
compiled kernels could fuse. So the gain over loops is less than two on two cores, and about a third on one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ace.check import check_count
from ace.errors import InputError
from ace.training.transformer import Architecture, SmallTransformer, initialise, without_weights

Weights = dict[str, Tensor]
EMBEDDINGS = ("tokens.weight", "positions.weight")
SHARES = 2


def initial_weights(sizes: Architecture, generators: Sequence[torch.Generator], dtype: torch.dtype) -> Weights:
    """Stacked initial weights (e, ...), model k drawn from generator k alone.

    Raises:
        InputError: no generator.
    """
    if not generators:
        raise InputError("generators: expected one for each model, got none")
    singles: list[dict[str, Tensor]] = []
    for generator in generators:
        model = without_weights(sizes)
        initialise(model, generator)
        singles.append(dict(model.state_dict()))
    return {name: torch.stack([weights[name] for weights in singles]).to(dtype) for name in singles[0]}


def member(sizes: Architecture, weights: Mapping[str, Tensor], index: int) -> SmallTransformer:
    """Model `index` of stacked weights as an ordinary module in evaluation mode, on the weights' device and dtype.

    Raises:
        InputError: there is no such model.
    """
    models = weights["tokens.weight"].shape[0]
    if check_count("index", index, smallest=0) >= models:
        raise InputError(f"index: expected 0..{models - 1}, got {index}")
    model = without_weights(sizes)
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
        words = -(-values // (4 * SHARES)) * SHARES  # of four draws each, as many for each share
        self._bits = torch.empty(models, words, dtype=torch.int64, device=device)
        self._masks = torch.empty(models, 4 * words, dtype=dtype, device=device)
        self._used = 0

    def draw(self) -> None:
        """Draw the masks of a new step."""
        for bits, generator in zip(self._bits, self._generators, strict=True):
            bits.random_(-(2**63), None, generator=generator)
        torch.ge(self._bits.view(torch.int16), self._limit, out=self._masks)
        self._masks.mul_(self.scale)
        self._used = 0

    def take(self, groups: int, *shape: int) -> Tensor:
        """The next masks, (groups, *shape), each value 0 or 1 / (1 - p); every model has groups / e of the groups.

        Within a step the number of groups is always the same.
        """
        count = math.prod(shape)
        taken = self._masks.view(groups, -1)[:, self._used : self._used + count].unflatten(1, shape)
        self._used += count
        return taken


def mask_values(sizes: Architecture, sequences: int, length: int, scored: int | None = None) -> int:
    """How many dropout values one step of one model needs."""
    attention = sequences * sizes.heads * length * length
    positions = (sizes.blocks - 1) * length + (length if scored is None else scored)
    return sizes.blocks * attention + sequences * positions * (2 * sizes.width + sizes.hidden)


def stacked_logits(
    sizes: Architecture,
    weights: Weights,
    inputs: Tensor,
    masks: DropoutMasks | None = None,
    *,
    scored: int | None = None,
) -> Tensor:
    """Logits (e, n, s, v) at the last s positions of token ids (e, n, t), or (n, t) shared by all models.

    Args:
        masks: dropout; none without.
        scored: s, all positions by default. What only others need is not computed: in the last block these are the
            residual branches and the feed-forward part, and the head.

    Raises:
        InputError: inputs of another shape, or longer than the position table, or s outside 1..t.
    """
    models = weights["tokens.weight"].shape[0]
    if inputs.ndim == 2:
        inputs = inputs.expand(models, *inputs.shape)
    if inputs.ndim != 3 or len(inputs) != models or inputs.shape[2] > sizes.context:
        expected = f"({models}, n, t) or (n, t) with t <= {sizes.context}"
        raise InputError(f"inputs: expected token ids {expected}, got shape {tuple(inputs.shape)}")
    _, sequences, length = inputs.shape
    kept = length if scored is None else scored
    if not 1 <= kept <= length:
        raise InputError(f"scored: expected 1..{length} positions, got {scored!r}")
    embedded = torch.stack(
        [functional.embedding(ids, table) for ids, table in zip(inputs, weights["tokens.weight"], strict=True)]
    )
    states = embedded + weights["positions.weight"][:, None, :length]
    # A batched product gives every core whole products. Each model's sequences go in two groups, each with a copy of
    # the weights, so that three models keep two cores busy to the end; two whatever the machine, so that sums agree.
    shares = SHARES if sequences % SHARES == 0 else 1
    states = states.view(models * shares, sequences // shares * length, sizes.width)
    dealt = {name: value.repeat_interleave(shares, dim=0) for name, value in weights.items() if name not in EMBEDDINGS}
    if masks is not None:
        masks.draw()
    for block in range(sizes.blocks):
        prefix = f"blocks.{block}."
        part = {name.removeprefix(prefix): value for name, value in dealt.items() if name.startswith(prefix)}
        states = _block(sizes, part, states, length, kept if block == sizes.blocks - 1 else length, masks)
    return _linear(states, dealt, "head").view(models, sequences, kept, sizes.vocabulary)


def _block(
    sizes: Architecture, part: Weights, states: Tensor, length: int, kept: int, masks: DropoutMasks | None
) -> Tensor:
    """One block (g, n * t, d) -> (g, n * kept, d): the last `kept` of t positions go on after attention."""
    # The products below are fresh tensors that autograd does not need again, so dropout and residual work in place.
    attended = _attention(sizes, part, states, length, masks)
    if kept < length:
        attended, states = (_last(rows, length, kept) for rows in (attended, states))
    mixed = _linear(attended, part, "attention.project_out")
    if masks is not None:
        mixed = mixed.mul_(masks.take(*mixed.shape))
    states = _norm(mixed.add_(states), part, "norm1")
    inner = _linear(states, part, "expand")
    inner = inner.relu_() if masks is None else _dropped_relu(inner, masks.take(*inner.shape), masks.scale)
    outer = _linear(inner, part, "contract")
    if masks is not None:
        outer = outer.mul_(masks.take(*outer.shape))
    return _norm(outer.add_(states), part, "norm2")


def _attention(sizes: Architecture, part: Weights, states: Tensor, length: int, masks: DropoutMasks | None) -> Tensor:
    groups, rows, width = states.shape
    sequences, each = rows // length, width // sizes.heads
    joined = _linear(states, part, "attention.project_in")
    apart = joined.view(groups * sequences, length, 3, sizes.heads, each).permute(2, 0, 3, 1, 4)
    parts = apart.reshape(3, groups * sequences * sizes.heads, length, each)  # one copy for all three
    if masks is None:
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
    else:
        mixed = _dropped_attention(parts, masks.take(groups, sequences * sizes.heads, length, length))
    back = mixed.view(groups, sequences, sizes.heads, length, each).transpose(2, 3)
    return back.reshape(groups, rows, width)


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
        (dropped,) = ctx.saved_tensors
        # In place: the gradient is a fresh product that nobody else reads.
        torch.ops.aten.threshold_backward.grad_input(grad, dropped, 0, grad_input=grad)
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


_dropped_relu: Callable[[Tensor, Tensor, float], Tensor] = _DroppedReLU.apply
_dropped_attention: Callable[[Tensor, Tensor], Tensor] = _DroppedAttention.apply


def _last(rows: Tensor, length: int, kept: int) -> Tensor:
    """The last positions of every sequence: (g, n * t, d) -> (g, n * kept, d)."""
    return rows.unflatten(1, (-1, length))[:, :, -kept:].flatten(1, 2)


def _linear(rows: Tensor, weights: Weights, name: str) -> Tensor:
    """(g, n, in) -> (g, n, out) with weight (g, out, in) and bias (g, out)."""
    return torch.baddbmm(weights[f"{name}.bias"][:, None], rows, weights[f"{name}.weight"].transpose(1, 2))


def _norm(rows: Tensor, weights: Weights, name: str) -> Tensor:
    scaled = functional.layer_norm(rows, rows.shape[-1:])
    return torch.addcmul(weights[f"{name}.bias"][:, None], scaled, weights[f"{name}.weight"][:, None])
