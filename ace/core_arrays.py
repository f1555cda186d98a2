"""What the arrays of a core must be: checked where a user hands one over and where a file is read."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ace.check import as_finite
from ace.errors import InputError
from ace.linalg import EPS, nested_basis

ARRAYS = ("mean", "directions", "readers", "basis")
SKEW = 1e-6  # entries of Q^T Q may be off the identity by so much
DUAL = 1e-8  # entries of readers @ directions too, beside their rounding


def skewness(basis: Tensor) -> float:
    """Largest entry of Q^T Q - 1 for columns Q (d, r): 0 where they are orthonormal."""
    identity = torch.eye(basis.shape[1], dtype=basis.dtype)
    return float((basis.T @ basis - identity).abs().amax()) if basis.shape[1] else 0.0


def independent_columns(name: str, value: object) -> Tensor:
    """Orthonormal nested basis (d, r) of independent columns (d, r), each vector on its column's side.

    Raises:
        InputError: no matrix, more columns than rows, NaN or infinity, or a column in the span of those before it.
    """
    columns = as_finite(name, value)
    if columns.ndim != 2 or columns.shape[1] > columns.shape[0]:
        raise InputError(f"{name}: expected a matrix (d, r) with r <= d, got shape {tuple(columns.shape)}")
    basis, new = nested_basis(columns)
    dependent = (new <= 64 * EPS * columns.shape[0]).nonzero().flatten().tolist()
    if dependent:
        raise InputError(f"{name}: expected independent columns, got column {dependent[0]} in the span of earlier ones")
    return basis


def array_fault(arrays: Mapping[str, Tensor]) -> str | None:
    """What is wrong with `mean`, `directions`, `readers` and `basis` on their own, in words; None where nothing is."""
    basis = arrays["basis"]
    if basis.ndim != 2:
        return f"expected a basis (d, r), got {tuple(basis.shape)}"
    width, rank = basis.shape
    shapes = {"basis": (width, rank), "directions": (width, rank), "readers": (rank, width), "mean": (width,)}
    for name, shape in shapes.items():
        part = arrays[name]
        if part.dtype != torch.float64 or tuple(part.shape) != shape or not torch.isfinite(part).all():
            return f"expected {name} {shape}, finite, in float64, got {tuple(part.shape)} in {part.dtype}"
    error = skewness(basis)
    return None if error < SKEW else f"expected an orthonormal basis, got Q^T Q off the identity by {error:.1e}"


def dual_fault(arrays: Mapping[str, Tensor]) -> str | None:
    """What is wrong with how whole arrays fit together: readers, directions, and `sigma` where there is one."""
    directions, readers, sigma = arrays["directions"], arrays["readers"], arrays.get("sigma")
    rank = directions.shape[1]
    tolerance = torch.full((rank, rank), DUAL, dtype=torch.float64)
    if sigma is not None:
        if sigma.dtype != torch.float64 or sigma.ndim != 1 or len(sigma) < rank or not torch.isfinite(sigma).all():
            return f"expected at least {rank} sigma, finite, in float64, got {tuple(sigma.shape)} in {sigma.dtype}"
        own = sigma[:rank]
        if bool((own <= 0).any()) or bool((own.diff() > 0).any()) or bool((sigma < 0).any()):
            return f"expected the {rank} sigma of the core positive and falling, and none negative"
        if rank:
            # Singular vectors carry rounding in proportion to the largest sigma, readers and directions are divided
            # by the root of their own.
            tolerance += 64 * EPS * (len(directions) + len(sigma)) * own[0] / torch.outer(own, own).sqrt()
    error = (readers @ directions - torch.eye(rank, dtype=torch.float64)).abs()
    if bool((error > tolerance).any()):
        return f"expected readers @ directions = identity, got it off by {float(error.amax()):.1e}"
    outside = directions - arrays["basis"] @ (arrays["basis"].T @ directions)
    if bool((outside.norm(dim=0) > 10 * SKEW * directions.norm(dim=0)).any()):
        return "expected directions in the span of the basis, got one that leaves it"
    return None
