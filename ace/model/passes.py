"""One pass of any model: what it gives, and the state at a site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ace.errors import AceError, InputError, SiteError
from ace.model.sites import Site, hooked


def outputs_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs (n, s, v) of a model on inputs (n, ...): a tensor (n, s, v) or (n, v), or an object with `logits`.

    Inputs are moved to where the model is, and floating ones cast to its dtype.

    Raises:
        InputError: something else came, or NaN or infinity, or the model cannot be run on such inputs.
    """
    came = run_any(model, inputs)
    outputs = getattr(came, "logits", came)
    if not isinstance(outputs, Tensor) or outputs.ndim not in (2, 3) or len(outputs) != len(inputs):
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(f"model: expected outputs (n, s, v) or (n, v) for {len(inputs)} inputs, got {shape}")
    check_finite("model: expected finite outputs", outputs)
    return outputs[:, None] if outputs.ndim == 2 else outputs


def run_any(model: nn.Module, inputs: Tensor) -> Any:
    """Whatever a model gives.

    Raises:
        InputError: it cannot be run on such inputs.
    """
    try:
        return model(_fitting(model, inputs))
    except (AceError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise InputError(
            f"model: {type(model).__name__} cannot be run on inputs {tuple(inputs.shape)} in {inputs.dtype}:"
            f" {type(error).__name__}: {error}"
        ) from error


def _fitting(model: nn.Module, inputs: Tensor) -> Tensor:
    """Inputs where a model's first floating parameter is, and in its dtype where they are floating themselves."""
    like = next((parameter for parameter in model.parameters() if parameter.is_floating_point()), None)
    if like is None:
        return inputs
    return inputs.to(like) if inputs.is_floating_point() else inputs.to(like.device)


def read_state(
    model: nn.Module, site: Site, inputs: Tensor, run: Callable[[nn.Module, Tensor], Any] = outputs_of
) -> tuple[Tensor, Any]:
    """State (n, t, d) at a site on inputs (n, ...), and what a run gives: by default outputs (n, s, v).

    Raises:
        SiteError: not one state (n, t, d) or (n, d) a pass.
        InterventionError: the site's module does not run in a pass.
    """
    seen: list[Tensor] = []
    # A copy: what a model adds in place above the site is none of the state.
    with hooked(model, site, lambda state: seen.append(state.detach().clone())):
        outputs = run(model, inputs)
    if len(seen) != 1 or seen[0].ndim not in (2, 3) or len(seen[0]) != len(inputs):
        raise SiteError(
            f"{site}: expected one state ({len(inputs)}, t, d) or ({len(inputs)}, d) a pass, got"
            f" {[tuple(state.shape) for state in seen]}"
        )
    if not seen[0].is_floating_point():
        raise SiteError(f"{site}: expected a state of real numbers, got {seen[0].dtype}")
    return placed(seen[0]), outputs


def placed(state: Tensor) -> Tensor:
    """State as (n, t, d): one without positions has one."""
    return state[:, None] if state.ndim == 2 else state


def check_finite(expected: str, values: Tensor) -> None:
    """Refuse NaN or infinity; what was expected, the first rows and the dtype are told."""
    if bool(torch.isfinite(values.sum())):
        return  # NaN and infinity stay in a sum; a sum that overflows by itself is looked at entry by entry
    bad = (~torch.isfinite(values)).flatten(1).any(dim=1).nonzero().flatten()
    if len(bad):
        raise InputError(f"{expected}, got NaN or infinity in rows {bad[:5].tolist()} ({values.dtype})")
