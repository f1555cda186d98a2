"""What a model computes above a site: a linear head where it is exactly that, else whatever the model has there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ace.errors import InputError, SiteError
from ace.extract import head_sensitivities
from ace.model.sites import Site, hooked

CHUNK = 256  # sequences a forward pass of the whole model
HEAD_CHUNK = 500  # sequences that a linear head is applied to at a time
PROBED = 4  # sequences that tell whether a tail is linear
ROWS_OF_INPUTS = 256  # sequences whose gradients stand for all
MOST_OUTPUTS = 64  # beyond, random combinations of outputs stand for them

Edit = Callable[[Tensor], Tensor]


def outputs_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs (n, s, v) of a model on inputs (n, ...): a tensor (n, s, v) or (n, v), or an object with `logits`.

    Raises:
        InputError: something else came.
    """
    came = model(inputs)
    outputs = getattr(came, "logits", came)
    if not isinstance(outputs, Tensor) or outputs.ndim not in (2, 3) or len(outputs) != len(inputs):
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(f"model: expected outputs (n, s, v) or (n, v) for {len(inputs)} inputs, got {shape}")
    return outputs[:, None] if outputs.ndim == 2 else outputs


@dataclass(frozen=True, eq=False)
class Tail:
    """The part of a model from a site on.

    Attributes:
        model: in evaluation mode.
        site: where the state is read and replaced.
        head: the linear map that is all there is above the site, or None: then the model itself is run.
        places: how many positions a state has.
        aligned: whether every position of the state has an output of its own, so that scored positions are the last.
    """

    model: nn.Module
    site: Site
    head: nn.Linear | None
    places: int
    aligned: bool

    def kept(self, scored: int) -> int:
        """How many of the state's last positions count, where `scored` outputs are scored."""
        return scored if self.aligned else self.places

    @torch.no_grad()
    def states(self, inputs: Tensor, scored: int) -> Tensor:
        """States (n, s, d) at the positions that count, in the model's dtype.

        Raises:
            InputError: NaN or infinity in the states, naming the site and the rows.
        """
        parts: list[Tensor] = []
        for part in inputs.split(CHUNK):
            with hooked(self.model, self.site, lambda state: parts.append(_placed(state).detach())):
                outputs_of(self.model, part)
        states = torch.cat(parts)[:, -self.kept(scored) :].contiguous()
        bad = (~torch.isfinite(states)).flatten(1).any(dim=1).nonzero().flatten()
        if len(bad):
            raise InputError(
                f"{self.site}: expected finite states, got NaN or infinity in rows {bad[:5].tolist()} ({states.dtype})"
            )
        return states

    @torch.no_grad()
    def outputs(self, inputs: Tensor, states: Tensor, scored: int, edit: Edit | None = None) -> Iterator[Tensor]:
        """Outputs (n_i, scored, v), chunk by chunk, with the states at the positions that count edited.

        Args:
            inputs: (n, ...) that the states came from; only read where the model itself is run.
            states: (n, s, d) from `states`, or others in their place.
            edit: maps states (n_i, s, d) to others; None leaves them as given.
        """
        size = HEAD_CHUNK if self.head is not None else CHUNK
        for part, given in zip(states.split(size), inputs.split(size), strict=True):
            replacement = edit(part) if edit is not None else part
            yield self.from_states(given, replacement)[:, -scored:]

    def from_states(self, inputs: Tensor, states: Tensor) -> Tensor:
        """Outputs (n, s, v) after the states at the last positions are replaced by `states` (n, s, d)."""
        if self.head is not None:
            outputs: Tensor = self.head(states)
            return outputs

        def replace(state: Tensor) -> Tensor:
            placed = _placed(state)
            joined = torch.cat([placed[:, : placed.shape[1] - states.shape[1]], states.to(state)], dim=1)
            return joined.reshape(state.shape)

        with hooked(self.model, self.site, replace):
            return outputs_of(self.model, inputs)

    def sensitivities(self, inputs: Tensor, scored: int, *, centred: bool, seed: int = 0) -> Tensor:
        """Rows (m, d) whose Gramian is that of the gradients of all scored outputs with respect to the state.

        Below a linear head its weight, exactly. Elsewhere one backward pass for each output v (at most 64, beyond that
        random combinations), with random signs over positions: in expectation, products of rows summed over positions
        are those of each output's own gradient, and where positions do not mix they are so exactly.

        Args:
            inputs: of the extraction split; a part of them is run.
            centred: outputs are logits, defined up to a shift: their mean over classes is no output.
        """
        if self.head is not None:
            weight = self.head.weight.detach()
            return head_sensitivities(weight) if centred else weight.double()
        generator = torch.Generator().manual_seed(seed)
        states = self.states(inputs[:ROWS_OF_INPUTS], scored)
        rows = []
        for given, part in zip(inputs[:ROWS_OF_INPUTS].split(CHUNK), states.split(CHUNK), strict=True):
            leaf = part.clone().requires_grad_()
            with torch.enable_grad():
                outputs = self.from_states(given, leaf)[:, -scored:]
                outputs = outputs - outputs.mean(dim=-1, keepdim=True) if centred else outputs
                for combined in _combinations(outputs, generator):
                    (gradient,) = torch.autograd.grad(combined, leaf, retain_graph=True)
                    rows.append(gradient.flatten(0, 1).double())
        return torch.cat(rows)


def _placed(state: Tensor) -> Tensor:
    """State as (n, t, d): one without positions has one."""
    return state[:, None] if state.ndim == 2 else state


def _combinations(outputs: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Scalars: each output, or random combinations of many, summed with random signs over sequences and positions."""
    count, places, width = outputs.shape
    few = width <= MOST_OUTPUTS
    for index in range(min(width, MOST_OUTPUTS)):
        if few:
            chosen = outputs[..., index]
        else:
            mixture = torch.randn(width, generator=generator).to(outputs) * (MOST_OUTPUTS**-0.5)
            chosen = outputs @ mixture
        signs = torch.randint(0, 2, (count, places), generator=generator).to(outputs) * 2 - 1
        yield (chosen * signs).sum()


@torch.no_grad()
def find_tail(model: nn.Module, site: Site, inputs: Tensor) -> Tail:
    """The tail above a site, told by running a few inputs (n, ...): nothing is taken from a module's name or order.

    Raises:
        SiteError: the state at the site is no tensor (n, t, d) or (n, d), or two runs give different outputs.
        InputError: outputs of another shape than (n, s, v) or (n, v).
        InterventionError: the site's module does not run in a pass.
    """
    probe = inputs[:PROBED]
    seen: list[Tensor] = []
    with hooked(model, site, lambda state: seen.append(state.detach())):
        outputs = outputs_of(model, probe)
    if len(seen) != 1 or seen[0].ndim not in (2, 3) or len(seen[0]) != len(probe):
        raise SiteError(
            f"{site}: expected one state (n, t, d) or (n, d) a pass, got {[tuple(state.shape) for state in seen]}"
        )
    state = _placed(seen[0])
    module = model.get_submodule(site.path)
    aligned = state.shape[1] == outputs.shape[1]
    head = module if isinstance(module, nn.Linear) and aligned and _same(module(state), outputs) else None
    tail = Tail(model, site, head, state.shape[1], aligned)
    if head is None:
        with hooked(model, site, lambda state: state.clone()):
            again = outputs_of(model, probe)
        if not _same(again, outputs):
            raise SiteError(
                f"{site}: expected the same outputs in two runs, got others; is the model in training mode?"
            )
    return tail


def _same(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return False
    size = float(second.abs().max()) if second.numel() else 0.0
    return float((first - second).abs().max()) <= 64 * torch.finfo(second.dtype).eps * size
