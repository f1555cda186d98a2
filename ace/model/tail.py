"""What a model computes above a site: a linear head where it is exactly that, else whatever the model has there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ace.errors import Inapplicable, InputError, SiteError
from ace.extract import head_sensitivities
from ace.model.left_out import LeftOut, find_left_out, without
from ace.model.observe import check_gradients
from ace.model.passes import check_finite, outputs_of, placed, read_state, run_any
from ace.model.sites import Site, hooked

POSITIONS = 4096  # of sequences a forward pass of the whole model; more of a small model leave the processor's caches
HEAD_CHUNK = 500  # sequences that a linear head is applied to at a time
PROBED = 4  # sequences that tell what a tail is
PROBED_LOGIT = 1e3  # size of the logits at which a tail that looks linear is probed: no soft cap leaves them alone
ROWS_OF_INPUTS = 256  # sequences whose gradients stand for all
MOST_OUTPUTS = 64  # beyond, outputs drawn at random stand for all
SAME_ROWS, OTHER_ROWS = 64, 2**14  # by how many roundings two runs may differ: of the same rows, and of fewer

Edit = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Tail:
    """The part of a model from a site on. States and outputs come on the CPU, wherever the model runs.

    Attributes:
        model: in evaluation mode.
        site: where the state is read and replaced.
        head: the linear map that is all there is above the site, or None: then the model itself is run.
        places: how many positions a state has.
        output_places: how many positions an output has.
        local: whether each output depends on the state at its own position alone. Then the states at the scored
            positions, the last, are all that count. Elsewhere all positions do: what one loses, another has.
        left_out: blocks that need not run for it.
    """

    model: nn.Module
    site: Site
    head: nn.Linear | None
    places: int
    output_places: int
    local: bool
    left_out: LeftOut = field(default_factory=LeftOut)

    def kept(self, scored: int) -> int:
        """How many of the state's last positions count, where `scored` outputs are scored.

        Raises:
            InputError: more than the model gives.
        """
        if scored > self.output_places:
            raise InputError(f"model: expected outputs at the {scored} scored positions, got {self.output_places}")
        return scored if self.local else self.places

    def linear_map(self, name: str) -> tuple[Tensor, Tensor]:
        """Weight (v, d) and bias (v) of the linear head, float64.

        Args:
            name: of the model, for the message.

        Raises:
            Inapplicable: more than a linear head follows the site.
        """
        if self.head is None:
            raise Inapplicable(f"{name}: more than a linear head follows {self.site}")
        weight, bias = self.head.weight.detach().cpu().double(), self.head.bias
        return weight, weight.new_zeros(len(weight)) if bias is None else bias.detach().cpu().double()

    @torch.no_grad()
    def states(self, inputs: Tensor, scored: int) -> Tensor:
        """States (n, s, d) at the positions that count, in the model's dtype.

        Raises:
            InputError: NaN or infinity in the states, naming the site and the rows; or as `kept`.
            SiteError: the site's module ran more often than once a pass.
        """
        kept = self.kept(scored)
        with without(self.model, self.left_out.to_read):
            parts = [read_state(self.model, self.site, part, run_any)[0] for part in inputs.split(_together(inputs))]
        states = torch.cat([part[:, -kept:].cpu() for part in parts]).contiguous()
        check_finite(f"{self.site}: expected finite states", states)
        return states

    @torch.no_grad()
    def outputs(self, inputs: Tensor, states: Tensor, scored: int, edit: Edit | None = None) -> Iterator[Tensor]:
        """Outputs (n_i, scored, v), chunk by chunk, with the states at the positions that count edited.

        Args:
            inputs: (n, ...) that the states came from; only read where the model itself is run.
            states: (n, s, d) from `states`, or others in their place.
            edit: maps states (n_i, s, d) to others; None leaves them as given.
        """
        size = HEAD_CHUNK if self.head is not None else _together(inputs)
        for part, given in zip(states.split(size), inputs.split(size), strict=True):
            replacement = edit(part) if edit is not None else part
            yield self.from_states(given, replacement)[:, -scored:].cpu()

    def from_states(self, inputs: Tensor, states: Tensor) -> Tensor:
        """Outputs (n, s, v) after the states at the last positions are replaced by `states` (n, s, d)."""
        if self.head is not None:
            return functional.linear(states.to(self.head.weight), self.head.weight, self.head.bias)

        def put(state: Tensor) -> Tensor:
            whole = placed(state)
            joined = torch.cat([whole[:, : whole.shape[1] - states.shape[1]], states.to(state)], dim=1)
            return joined.reshape(state.shape)

        needless = self.left_out.to_run if states.shape[1] == self.places else ()
        with without(self.model, needless), hooked(self.model, self.site, put):
            return outputs_of(self.model, inputs)

    def sensitivities(self, inputs: Tensor, scored: int, *, centred: bool, seed: int = 0) -> Tensor:
        """Rows (m, d) float64 with J^T J / m that of the gradients of all scored outputs with respect to the state.

        Below a linear head its weight, exactly. Elsewhere one backward pass for each output v, with random signs over
        positions: in expectation, products of rows summed over positions are those of each output's own gradient, and
        where positions do not mix they are so exactly. Of more than 64 outputs, 64 are drawn anew at every position.

        Args:
            inputs: of the extraction split; a part of them is run.
            centred: outputs are logits, defined up to a shift: their mean over classes is no output.

        Raises:
            SiteError: outputs that do not depend on the state, or in no way that has gradients.
            InputError: NaN or infinity in the gradients, or inference mode.
        """
        if self.head is not None:
            weight = self.head.weight.detach().cpu()
            return head_sensitivities(weight) if centred else weight.double()
        check_gradients(self.model)
        generator = torch.Generator().manual_seed(seed)
        run = inputs[:ROWS_OF_INPUTS]
        leaf = self.states(run, scored).requires_grad_()
        # Without cuDNN, whose recurrent layers give no gradients in evaluation mode.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            outputs = self.from_states(run, leaf)[:, -scored:]
            outputs = outputs - outputs.mean(dim=-1, keepdim=True) if centred else outputs
            rows = torch.cat([self._gradients(sum_of_all, leaf) for sum_of_all in _combinations(outputs, generator)])
        check_finite(f"{self.site}: expected finite sensitivities", rows)
        return rows.double()

    def _gradients(self, scalar: Tensor, leaf: Tensor) -> Tensor:
        """(n s, d) gradients of a scalar with respect to states (n, s, d)."""
        gradient = None
        if scalar.requires_grad:
            (gradient,) = torch.autograd.grad(scalar, leaf, retain_graph=True, allow_unused=True)
        if gradient is None:
            raise SiteError(f"{self.site}: expected outputs with gradients with respect to the state, got none")
        return gradient.flatten(0, 1)


def _together(inputs: Tensor) -> int:
    """How many sequences of inputs (n, t, ...) make up a forward pass."""
    return max(1, POSITIONS // (inputs.shape[1] if inputs.ndim > 1 else 1))


def _combinations(outputs: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Scalars: each output, or one of many drawn at every position, summed with random signs over all positions."""
    count, places, width = outputs.shape
    for index in range(min(width, MOST_OUTPUTS)):
        if width <= MOST_OUTPUTS:
            chosen = outputs[..., index]
        else:
            drawn = torch.randint(0, width, (count, places, 1), generator=generator)
            chosen = outputs.gather(-1, drawn.to(outputs.device))[..., 0]
        signs = torch.randint(0, 2, (count, places), generator=generator).to(outputs) * 2 - 1
        yield (chosen * signs).sum()


@torch.no_grad()
def find_tail(model: nn.Module, site: Site, inputs: Tensor) -> Tail:
    """The tail above a site, told by running a few inputs (n, ...): nothing is taken from a module's name or order.

    Raises:
        SiteError: the state at the site is no tensor (n, t, d) or (n, d) of real numbers, or another run gives other
            outputs: one of the same inputs, or of some of them without the rest.
        InputError: outputs of another shape than (n, s, v) or (n, v), or NaN or infinity in states or outputs.
        InterventionError: the site's module does not run in a pass.
    """
    probe = inputs[:PROBED]
    state, outputs = read_state(model, site, probe)
    check_finite(f"{site}: expected finite states", state)
    for some in dict.fromkeys((len(probe), max(1, len(probe) - 1))):
        _, again = read_state(model, site, probe[:some])
        # Fewer rows are summed in another order, which moves more than the last digits.
        if not _same(again, outputs[:some], SAME_ROWS if some == len(probe) else OTHER_ROWS):
            raise SiteError(
                f"{site}: expected the same outputs of {some} sequences in two runs, got others; is the model in"
                " training mode, or does a sequence's output depend on others?"
            )
    module = model.get_submodule(site.path)
    linear = isinstance(module, nn.Linear) and _is_all_there_is(model, site, module, probe, state, outputs)
    head = module if isinstance(module, nn.Linear) and linear else None
    tail = Tail(model, site, head, state.shape[1], outputs.shape[1], local=linear)
    left_out = find_left_out(
        model,
        site,
        run=lambda: outputs_of(model, probe),
        read=lambda: read_state(model, site, probe, run_any)[0],
        given=lambda: tail.from_states(probe, state),
    )
    tail = replace(tail, left_out=left_out)
    local = linear or (state.shape[1] == outputs.shape[1] and _is_local(tail, probe, state, outputs))
    return replace(tail, local=local)


def _is_local(tail: Tail, probe: Tensor, state: Tensor, outputs: Tensor) -> bool:
    """Whether the last output stays as it is when the state at every other position becomes another."""
    other = torch.cat([-state[:, :-1].roll(1, dims=0), state[:, -1:]], dim=1)
    return _same(tail.from_states(probe, other)[:, -1], outputs[:, -1], SAME_ROWS)


def _is_all_there_is(
    model: nn.Module, site: Site, head: nn.Linear, probe: Tensor, state: Tensor, outputs: Tensor
) -> bool:
    """Whether outputs are a linear module's weight times the state and its bias: on states of the model, and others.

    The others are random and large, so that the logits are: something that bends them leaves small ones alone.
    """
    if not _same(functional.linear(state, head.weight, head.bias), outputs, SAME_ROWS):
        return False
    wild = torch.randn(state.shape, generator=torch.Generator().manual_seed(0)).to(state)
    largest = float(functional.linear(wild, head.weight).abs().max())
    wild = wild * (PROBED_LOGIT / largest) if largest > 0 else wild
    with hooked(model, site, lambda given: wild.reshape(given.shape)):
        bent = outputs_of(model, probe)
    return _same(functional.linear(wild, head.weight, head.bias), bent, SAME_ROWS)


def _same(first: Tensor, second: Tensor, tolerance: float) -> bool:
    """Whether finite outputs agree to so many times the rounding of the largest."""
    if first.shape != second.shape:
        return False
    size = float(second.abs().max()) if second.numel() else 0.0
    return float((first - second).abs().max()) <= tolerance * torch.finfo(second.dtype).eps * size
