"""Argument checks shared by the public functions: each names the argument, what was expected and what came."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ace.errors import InputError


def as_matrix(name: str, value: object, *, minimum_rows: int = 1, width: int | None = None) -> Tensor:
    """Return `value` as a finite float64 matrix (rows, width), or raise `InputError`.

    Accepts tensors and NumPy arrays of any real dtype; leading axes are not flattened silently.
    """
    matrix = as_finite(name, value)
    if matrix.ndim != 2:
        raise InputError(f"{name}: expected a matrix (rows, width), got shape {tuple(matrix.shape)}")
    rows, columns = matrix.shape
    if columns == 0:
        raise InputError(f"{name}: expected at least one column, got shape {tuple(matrix.shape)}")
    if rows < minimum_rows:
        raise InputError(f"{name}: expected at least {minimum_rows} rows, got {rows}")
    if width is not None and columns != width:
        raise InputError(f"{name}: expected width {width}, got {columns}")
    return matrix


def as_matched(
    names: tuple[str, str], first: object, second: object, *, same_width: bool = False
) -> tuple[Tensor, Tensor]:
    """Two matrices (n, k) and (n, l) of the same n >= 2 samples as finite float64, or raise `InputError`.

    Args:
        names: of the two arguments, for the message.
        same_width: whether l must be k.
    """
    left = as_matrix(names[0], first, minimum_rows=2)
    right = as_matrix(names[1], second, minimum_rows=2, width=left.shape[1] if same_width else None)
    if len(left) != len(right):
        raise InputError(f"{names[1]}: expected {len(left)} rows as {names[0]} has, got {len(right)}")
    return left, right


def as_finite(name: str, value: object) -> Tensor:
    """Return `value` as a float64 tensor without NaN or infinity, or raise `InputError` naming the rows."""
    try:
        # Through NumPy, because torch reads Python's floats as float32.
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: expected an array of real numbers, got {type(value).__name__}") from error
    if tensor.is_complex():
        raise InputError(f"{name}: expected real numbers, got {tensor.dtype}")
    tensor = tensor.detach().to(torch.float64)
    # One pass: a sum is finite where all its terms are, unless it overflows; then every entry is looked at.
    if not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
        if tensor.ndim == 0:
            raise InputError(f"{name}: expected a finite number, got {tensor.item()}")
        bad = (~torch.isfinite(tensor)).reshape(tensor.shape[0], -1).any(dim=1).nonzero().flatten().tolist()
        shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise InputError(f"{name}: expected finite values, got NaN or infinity in {len(bad)} row(s): {shown}")
    return tensor


def check_rank(name: str, rank: object, largest: int) -> int:
    """Return `rank` if it is an integer in 1..largest, or raise `InputError`."""
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= largest:
        raise InputError(f"{name}: expected an integer in 1..{largest}, got {rank!r}")
    return rank


def check_fraction(name: str, value: object) -> float:
    """Return `value` if it lies strictly between 0 and 1, or raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1.0:
        raise InputError(f"{name}: expected a number strictly between 0 and 1, got {value!r}")
    return float(value)


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`, or raise `InputError`."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def check_count(name: str, value: object, *, smallest: int = 1) -> int:
    """Return `value` if it is an integer of at least `smallest`, or raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
        raise InputError(f"{name}: expected an integer of at least {smallest}, got {value!r}")
    return value


def check_device(name: str, value: object) -> torch.device:
    """Return the CPU or CUDA device that `value` names if this machine has it, or raise `InputError`."""
    try:
        device = torch.device(value)  # type: ignore[call-overload]
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{name}: expected cpu or a CUDA device, got {value!r}") from error
    count = torch.cuda.device_count()
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= count):
        raise InputError(f"{name}: expected cpu or one of {count} CUDA devices, got {value!r}")
    return device


def check_instance(name: str, value: object, kind: type) -> None:
    """Refuse a value that is no `kind`, or raise `InputError`."""
    if not isinstance(value, kind):
        came = value.__name__ if isinstance(value, type) else type(value).__name__
        raise InputError(f"{name}: expected an instance of {kind.__name__}, got {came}")
