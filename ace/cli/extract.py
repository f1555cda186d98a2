"""`ace extract`: states and sensitivities in files -> the core, in a file that `ace.Core.load` reads."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SUMMARY = "Extract the core of states and sensitivities that lie in files."
EXAMPLE = "ace extract states.npy sensitivities.npy core.safetensors --rank 3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the action."""
    parser.add_argument("states", type=Path, help="(n, d) hidden states, one a row: .npy, or .safetensors")
    parser.add_argument("sensitivities", type=Path, help="(m, d) gradients with respect to the state, one a row")
    parser.add_argument("core", type=Path, help="file to write: arrays as safetensors, with rank and provenance")
    rank = parser.add_mutually_exclusive_group()
    rank.add_argument("--rank", type=int, help="number of dimensions")
    rank.add_argument("--energy", type=float, default=0.99, help="share of sigma^2 that they hold (default 0.99)")
    rank.add_argument("--gap", action="store_true", help="as many as come before the largest relative gap of sigma")
    parser.add_argument("--site", default="", help="where the states were read, kept with the core")
    parser.add_argument("--task", default="", help="what the model was doing, kept with the core")


def run(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Read both files, extract, write the core; one line about it to stdout."""
    from ace.extract import extract_core
    from ace.rank import Energy, Fixed, Gap

    rule = Gap() if chosen.gap else Energy(chosen.energy) if chosen.rank is None else Fixed(chosen.rank)
    states, sensitivities = (read_matrix(getattr(chosen, name), name) for name in ("states", "sensitivities"))
    core = extract_core(states, sensitivities, rank=rule, site=chosen.site, task=chosen.task)
    core.save(chosen.core)
    shown = ", ".join(f"{value:.3g}" for value in core.sigma[: core.dimension + 1].tolist())
    sys.stdout.write(
        f"{chosen.core}: {core.dimension} of {core.width} dimensions by {core.rank.rule}; sigma and the next: {shown}\n"
    )
    return 0


def read_matrix(path: Path, name: str) -> Tensor:
    """The array in a .npy file, or in a .safetensors file: its only one, or the one called `name`.

    Raises:
        InputError: no such file, unreadable, or a safetensors file with several arrays and none of that name.
    """
    import numpy as np
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from ace.errors import InputError

    try:
        if path.suffix != ".safetensors":
            return torch.from_numpy(np.load(path, allow_pickle=False))
        arrays = load_file(path)
    except (OSError, ValueError, TypeError, EOFError, SafetensorError) as error:  # TypeError: no numbers
        raise InputError(f"{name}: expected a readable .npy or .safetensors file, got {path}: {error}") from error
    if name not in arrays and len(arrays) != 1:
        raise InputError(f"{name}: expected one array in {path}, or one of that name, got {sorted(arrays)}")
    return arrays[name] if name in arrays else next(iter(arrays.values()))
