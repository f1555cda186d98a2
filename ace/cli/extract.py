"""`ace extract`: the core of a language model, or of states and sensitivities in files, in a file of its own.

From a model the file also says where the core acts, how, and on which contrast, so that `ace steer --core` needs
nothing else. `ace.Core.load` reads both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ace.cli.models import MODEL_NAMES, TASK_NAMES, add_model_arguments, asked_model, in_lower_case
from ace.cli.words import write_json
from ace.progress import shown

if TYPE_CHECKING:
    from torch import Tensor

    from ace.core import Core

SUMMARY = "Extract the core of a language model, or of states and sensitivities that lie in files."
EXAMPLE = """ace extract smollm2-135m --contrast agreement-english --out core.safetensors
  ace extract ./checkpoint --contrast my-pairs.csv --site 4 --projector oblique --out core.safetensors
  ace extract ./checkpoint --contrast agreement --out core.safetensors --json
  ace extract states.npy sensitivities.npy core.safetensors --rank 3"""
USAGE = """ace extract MODEL --contrast PAIRS --out CORE [--site INDEX] [--rank N] [--projector KIND] [--lower-case]
                   [--revision REVISION] [--dtype DTYPE] [--tokenizer FOLDER] [--json]
       ace extract STATES SENSITIVITIES CORE [--rank N | --energy SHARE | --gap] [--site TEXT] [--task TEXT] [--json]"""
OF_MODEL = ("contrast", "out", "projector", "lower_case", "revision", "dtype", "tokenizer")
OF_ARRAYS = ("energy", "gap", "task")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the action."""
    parser.usage = USAGE
    parser.set_defaults(refuse=parser.error)
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="FILE",
        help=f"MODEL: a causal language model: {MODEL_NAMES}; or three files: STATES (n, d), one a row, and"
        " SENSITIVITIES (m, d), gradients with respect to the state, in .npy or .safetensors, and CORE, to write",
    )
    model = parser.add_argument_group("of a model")
    model.add_argument(
        "--contrast", metavar="PAIRS", help=f"prompts that it tells apart: {TASK_NAMES}, or a file of minimal pairs"
    )
    model.add_argument("--out", type=Path, metavar="CORE", help="file to write")
    model.add_argument(
        "--projector", help="orthogonal (default) or oblique: what the site is chosen for, and edits use"
    )
    model.add_argument(
        "--lower-case", action="store_true", default=None, help="prompts of agreement without a capital, as yours are"
    )
    add_model_arguments(model)
    arrays = parser.add_argument_group("of arrays")
    arrays.add_argument("--energy", type=float, metavar="SHARE", help="of sigma^2 that the core holds (default 0.99)")
    arrays.add_argument(
        "--gap", action="store_true", default=None, help="as many dimensions as come before the largest relative gap"
    )
    arrays.add_argument("--task", metavar="TEXT", help="what the model was doing, kept with the core")
    both = parser.add_argument_group("of both")
    both.add_argument("--json", action="store_true", help="what was found as one JSON object on stdout")
    both.add_argument("--rank", type=int, metavar="N", help="number of dimensions; of a model as many as suffice")
    both.add_argument(
        "--site", help="index of a model's site, chosen on the selection split by default; for arrays any text, kept"
    )


def run(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Extract and write the core; what it is goes to stdout.

    Raises:
        SystemExit: with code 2 for words that do not go together.
    """
    count = len(chosen.sources)
    if count == 1 and (chosen.contrast is None or chosen.out is None):
        chosen.refuse("a model needs --contrast and --out; arrays are three files: STATES SENSITIVITIES CORE")
    if count not in (1, 3):
        chosen.refuse(f"expected one model, or three files STATES SENSITIVITIES CORE, got {count} words")
    for name in OF_ARRAYS if count == 1 else OF_MODEL:
        if getattr(chosen, name) is not None:
            chosen.refuse(f"argument --{name.replace('_', '-')}: not of {'a model' if count == 1 else 'arrays'}")
    if sum(value is not None for value in (chosen.rank, chosen.energy, chosen.gap)) > 1:
        chosen.refuse("arguments --rank, --energy and --gap: one of them at most")
    return _of_model(chosen) if count == 1 else _of_arrays(chosen)


def _of_model(chosen: argparse.Namespace) -> int:
    from ace.check import check_choice, check_count
    from ace.core import ORTHOGONAL, PROJECTORS
    from ace.errors import InputError
    from ace.study.found_core import STAGES, find_core
    from ace.study.prompts import PromptStudy

    # All that can be known before a model is loaded.
    index, projector = _index(chosen.site), chosen.projector or ORTHOGONAL
    check_choice("projector", projector, PROJECTORS)
    if chosen.rank is not None:
        check_count("rank", chosen.rank)
    if not chosen.out.absolute().parent.is_dir() or chosen.out.is_dir():
        raise InputError(f"out: expected a file in a folder that is there, got {chosen.out}")
    asked = asked_model(chosen.sources[0], chosen, chosen.contrast, "contrast")
    source = in_lower_case(asked.prompts()) if chosen.lower_case else asked.prompts()
    with shown(steps=1 + len(STAGES), opened=lambda: sys.stderr) as line:
        line.step("loading the model")
        found = find_core(
            PromptStudy(asked.language(), source),
            task=Path(chosen.contrast).stem,
            index=index,
            rank=chosen.rank,
            projector=projector,
            stage=line.step,
        )
    found.save(chosen.out)
    if chosen.json:
        of_model = {
            "model": found.model,
            "site": found.index,
            "path": found.path,
            "projector": found.projector,
            "wanted": list(found.contrast.wanted),
            "other": list(found.contrast.other),
            "auc": found.auc,
            "separation": dict(found.separation),
        }
        return _write_found(chosen.out, found.core, of_model)
    core, apart = found.core, ", ".join(f"{mode} {value:.3g}" for mode, value in found.separation.items())
    sys.stdout.write(
        f"{chosen.out}: {found.model}, {core.site}\n"
        f"rank {core.dimension} of {core.width}, {core.rank.rule}; {found.projector} projector\n"
        f"{core.task}: {found.contrast}, AUC {found.auc:.3f}\n"
        f"separation (1 untouched, 0 gone, -1 mirrored): {apart}\n"
    )
    return 0


def _index(site: str | None) -> int | None:
    from ace.errors import InputError

    try:
        return None if site is None else int(site)
    except ValueError:
        raise InputError(f"site: expected the index of a model's site, got {site!r}") from None


def _of_arrays(chosen: argparse.Namespace) -> int:
    from ace.extract import extract_core
    from ace.rank import Energy, Fixed, Gap

    energy = 0.99 if chosen.energy is None else chosen.energy
    rule = Gap() if chosen.gap else Energy(energy) if chosen.rank is None else Fixed(chosen.rank)
    paths = [Path(name) for name in chosen.sources]
    states, sensitivities = (
        read_matrix(path, name) for path, name in zip(paths, ("states", "sensitivities"), strict=False)
    )
    core = extract_core(states, sensitivities, rank=rule, site=chosen.site or "", task=chosen.task or "")
    core.save(paths[2])
    if chosen.json:
        return _write_found(paths[2], core, {"site": core.site})
    shown = ", ".join(f"{value:.3g}" for value in core.sigma[: core.dimension + 1].tolist())
    sys.stdout.write(
        f"{paths[2]}: {core.dimension} of {core.width} dimensions by {core.rank.rule}; sigma and the next: {shown}\n"
    )
    return 0


def _write_found(path: Path, core: Core, more: Mapping[str, Any]) -> int:
    found = {
        "core": str(path),
        "rank": core.dimension,
        "width": core.width,
        "rule": core.rank.rule,
        "sigma": core.sigma[: core.dimension + 1].tolist(),
        "task": core.task,
        **more,
    }
    write_json(found)
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
