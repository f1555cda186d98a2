"""Model + inputs + site -> states and sensitivities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ace.check import check_count
from ace.errors import InputError
from ace.model.sites import Site, hooked

CHUNK = 256


def check_inputs(inputs: Tensor) -> Tensor:
    """Return token ids (n, t) of an integer dtype, or raise `InputError`."""
    if not isinstance(inputs, Tensor) or inputs.ndim != 2 or inputs.numel() == 0 or inputs.is_floating_point():
        shape = tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise InputError(f"inputs: expected integer token ids (n, t), got {shape}")
    return inputs


def states_at(model: nn.Module, inputs: Tensor, site: Site, *, chunk: int = CHUNK) -> Tensor:
    """States (n, t, d) at a site, in the model's dtype, for token ids (n, t); `chunk` sequences a forward pass.

    Raises:
        InputError: inputs that are not token ids, or NaN or infinity in the states (naming the site and the rows).
    """
    return torch.cat(list(stream_states(model, inputs, site, chunk=chunk)))


def stream_states(model: nn.Module, inputs: Tensor, site: Site, *, chunk: int = CHUNK) -> Iterator[Tensor]:
    """`states_at` in chunks (n_i, t, d), one forward pass at a time, so that memory does not grow with n."""
    check_inputs(inputs)
    check_count("chunk", chunk)
    for begin in range(0, len(inputs), chunk):
        states: list[Tensor] = []
        with torch.no_grad(), hooked(model, site, lambda state: states.append(state.detach())):  # noqa: B023
            model(inputs[begin : begin + chunk])
        _check_finite(site, states[-1], "states", begin)
        yield states[-1]


def _check_finite(site: Site, values: Tensor, name: str, begin: int = 0) -> None:
    bad = (~torch.isfinite(values)).flatten(1).any(dim=1).nonzero().flatten() + begin
    if len(bad):
        raise InputError(f"{site}: expected finite {name}, got NaN or infinity in rows {bad[:5].tolist()}")


def sensitivities_at(
    model: nn.Module,
    inputs: Tensor,
    sites: Sequence[Site],
    output: Callable[[Tensor], Tensor],
    *,
    position: int = -1,
    chunk: int = CHUNK,
) -> dict[int, Tensor]:
    """Gradients of one scalar output a sequence with respect to the state at `position`, for all sites at once.

    One forward and one backward pass a chunk serve every site; only the rows at the scored position are kept.

    Args:
        inputs: token ids (n, t).
        output: maps logits (n, t, v) to one scalar a sequence (n).
        position: the position whose state counts, negative from the end.

    Returns:
        site index -> sensitivities (n, d).

    Raises:
        InputError: a position outside the sequence, no site, an output that is not one scalar a sequence or does not
            depend on the logits, NaN or infinity in the gradients (naming the site and the rows), or inference mode.
    """
    check_inputs(inputs)
    check_count("chunk", chunk)
    check_gradients(model)
    if not sites:
        raise InputError("sites: expected at least one site, got none")
    length = inputs.shape[1]
    if isinstance(position, bool) or not isinstance(position, int) or not -length <= position < length:
        raise InputError(f"position: expected {-length}..{length - 1}, got {position!r}")
    rows: dict[int, list[Tensor]] = {site.index: [] for site in sites}
    for begin in range(0, len(inputs), chunk):
        part = inputs[begin : begin + chunk]
        for index, gradient in _gradients(model, part, sites, output).items():
            rows[index].append(gradient[:, position])
    for site in sites:
        _check_finite(site, torch.cat(rows[site.index]), "sensitivities")
    return {index: torch.cat(parts) for index, parts in rows.items()}


def check_gradients(model: nn.Module) -> None:
    """Refuse to take gradients where torch gives none, in inference mode or of weights that were made there.

    Raises:
        InputError: it is so.
    """
    if torch.is_inference_mode_enabled():
        raise InputError("gradients: expected a call outside of torch.inference_mode(), in which there are none")
    made = next((name for name, weight in model.named_parameters() if weight.is_inference()), None)
    if made is not None:
        raise InputError(
            f"gradients: expected weights made outside of torch.inference_mode(), got {made!r} made inside;"
            " load the model outside"
        )


@contextmanager
def reading(
    model: nn.Module, sites: Sequence[Site], states: dict[int, Tensor], *, leaves: bool = False
) -> Iterator[None]:
    """Put the state at each site in `states`, by the site's index; with `leaves`, so that gradients can be taken."""

    def keep(index: int) -> Any:
        def read(state: Tensor) -> Tensor | None:
            if not leaves:
                states[index] = state.detach()
                return None
            # A fresh leaf starts the graph where all weights are frozen; later sites hang off earlier ones.
            states[index] = state if state.requires_grad else state.detach().requires_grad_()
            return states[index]

        return read

    with ExitStack() as stack:
        for site in sites:
            stack.enter_context(hooked(model, site, keep(site.index)))
        yield


def _gradients(
    model: nn.Module, inputs: Tensor, sites: Sequence[Site], output: Callable[[Tensor], Tensor]
) -> dict[int, Tensor]:
    states: dict[int, Tensor] = {}
    with torch.enable_grad(), reading(model, sites, states, leaves=True):
        scalars = output(model(inputs))
        if not isinstance(scalars, Tensor) or scalars.shape != (len(inputs),):
            came = tuple(scalars.shape) if isinstance(scalars, Tensor) else type(scalars).__name__
            raise InputError(f"output: expected one scalar a sequence ({len(inputs)},), got {came}")
        if not scalars.requires_grad:
            raise InputError("output: expected scalars that depend on the logits, got constants")
        ordered = sorted(states)
        gradients = torch.autograd.grad(scalars.sum(), [states[index] for index in ordered])
    return dict(zip(ordered, gradients, strict=True))
