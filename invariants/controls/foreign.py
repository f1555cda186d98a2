"""Extractors as a user would write them: right, but by other means than the project's own."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from ace import Core
from ace.rank import RankRule


def product(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """The recipe in the docstring of `ace.extract.Extractor`: left singular vectors of H J^T, taken through H."""
    H, J = states.double() - states.double().mean(dim=0), sensitivities.double()
    samples, _, _ = torch.linalg.svd(H @ J.T, full_matrices=False)
    basis = H.T @ samples
    return Core.from_basis(basis, states=states, sensitivities=sensitivities, rank=rank)


def formed_gramians(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """Eigenvectors of C O, both formed, by SciPy's solver for matrices without symmetry."""
    H, J = states.double().numpy(), sensitivities.double().numpy()
    H = H - H.mean(axis=0)
    values, vectors = scipy.linalg.eig(H.T @ H @ J.T @ J)
    # Equal eigenvalues may come out as a conjugate pair; its real and imaginary parts span what the pair does.
    basis = np.where(values.imag < 0, vectors.imag, vectors.real)[:, np.argsort(-values.real, kind="stable")]
    return Core.from_basis(basis, states=states, sensitivities=sensitivities, rank=rank)


def basis_alone(states: Tensor, sensitivities: Tensor, *, rank: RankRule) -> Core:
    """The same span, handed over without sensitivities, as from a method that finds a subspace and no readers."""
    return Core.from_basis(product(states, sensitivities, rank=rank).basis, states=states)
