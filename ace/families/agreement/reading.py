"""Which directions of a state the linear maps above a site read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ace.errors import Inapplicable
from ace.model.language import LanguageModel
from ace.model.sites import Site

READ_ENERGY = 0.9  # of what downstream weights read
AT_ONCE = 2**14  # rows of a head in double precision


def reading_directions(language: LanguageModel, site: Site, energy: float = READ_ENERGY) -> Tensor:
    """(d, k) orthonormal directions that hold a share of what linear maps above a site read from the state.

    Readers are the linear maps of the blocks above the site, and the head, that get a norm's output: found by running
    the model. Each counts alike, its rows times the norm's gain. All of them together read every direction a little,
    so the numerical row space would be the whole space.

    Raises:
        Inapplicable: no linear map reads a norm's output.
    """
    model, blocks = language.model, language.anatomy.blocks[site.index :]
    outputs: dict[int, tuple[Tensor, nn.Module]] = {}
    readers: list[tuple[nn.Module, nn.Module]] = []

    def after_norm(module: nn.Module, arguments: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs[output.data_ptr()] = (output, module)

    def before_linear(module: nn.Module, arguments: Any) -> None:
        if arguments and isinstance(arguments[0], Tensor) and arguments[0].data_ptr() in outputs:
            readers.append((module, outputs[arguments[0].data_ptr()][1]))

    handles = []
    scopes = [model.get_submodule(name) for name in blocks]
    for module in [inner for scope in scopes for inner in scope.modules()] + _top_modules(language):
        if "norm" in type(module).__name__.lower():
            handles.append(module.register_forward_hook(after_norm))
        elif _matrix(module) is not None:
            handles.append(module.register_forward_pre_hook(before_linear))
    try:
        with torch.no_grad():
            model(input_ids=torch.zeros(1, 1, dtype=torch.int64, device=language.device))
    finally:
        for handle in handles:
            handle.remove()
    gramian: Tensor | None = None
    for module, norm in readers:
        matrix = _matrix(module)
        assert matrix is not None
        gain = getattr(norm, "weight", None)
        scale = 1.0 if gain is None else gain.double().cpu()
        part = torch.zeros(matrix.shape[1], matrix.shape[1], dtype=torch.float64)
        for some in matrix.split(AT_ONCE):
            rows = some.double().cpu() * scale
            if isinstance(norm, nn.LayerNorm):
                rows = rows - rows.mean(dim=1, keepdim=True)  # a layer norm takes the mean out before anything reads
            part += rows.T @ rows
        part = part / part.trace()
        gramian = part if gramian is None else gramian + part
    if gramian is None:
        raise Inapplicable("no linear map above the site reads the output of a norm")
    values, vectors = torch.linalg.eigh(gramian)
    shares = values.flip(0).clamp_min(0.0).cumsum(0) / values.clamp_min(0.0).sum()
    count = int((shares < energy).sum()) + 1
    return vectors.flip(1)[:, :count]


def _top_modules(language: LanguageModel) -> list[nn.Module]:
    names = [name for name in (language.anatomy.norm, language.anatomy.head) if name]
    return [language.model.get_submodule(name) for name in names]


def _matrix(module: nn.Module) -> Tensor | None:
    """(out, in) weight of a linear map, also of those that store it transposed; None for other modules."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2 or isinstance(module, nn.Embedding):
        return None
    return weight.detach().T if type(module).__name__ == "Conv1D" else weight.detach()
