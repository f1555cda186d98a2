"""`ace steer`: a prompt continued with an axis left alone and edited, side by side.

The axis comes from a file that `ace extract` wrote, or is found now: extracted from prompts of a task, at the site that
their selection split chooses. Either way the texts are the same.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ace.cli.models import MODEL_NAMES, TASK_NAMES, add_model_arguments, asked_model, in_lower_case
from ace.cli.words import write_json
from ace.progress import shown

if TYPE_CHECKING:
    from ace.model.language import LanguageModel
    from ace.model.steer import Steering
    from ace.study.found_core import FoundCore
    from ace.tasks.prompt import PromptTask

SUMMARY = "Continue a prompt with a language model, clean and with an axis edited: that of number, or one of your own."
EXAMPLE = """ace steer ./checkpoint "The keys to the cabinet" --flip
  ace steer smollm2-135m --core core.safetensors "The keys to the cabinet"
  ace steer smollm2-135m --core core.safetensors "The keys to the cabinet" --scale 2
  ace steer ./checkpoint "The keys to the cabinet" --flip --json"""
GAP = " | "
EDITED = {"flip": "flipped", "keep": "kept alone", "remove": "removed", "scale": "scaled"}  # headings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the action."""
    parser.add_argument("model", help=f"a causal language model: {MODEL_NAMES}")
    parser.add_argument("prompt", help='a subject whose verb is to come, such as "The keys to the cabinet"')
    edits = parser.add_mutually_exclusive_group()
    edits.add_argument(
        "--flip",
        action="store_true",
        help="reflect the axis, as far as it takes to turn the contrast round; the default with --core, and without"
        " any edit only clean text is printed",
    )
    edits.add_argument("--keep", action="store_true", help="keep the axis alone, all else at its mean")
    edits.add_argument("--remove", action="store_true", help="put the axis at its mean")
    edits.add_argument("--scale", type=float, metavar="G", help="multiply the axis: 0 removes it, -1 reflects it once")
    parser.add_argument("--core", type=Path, metavar="FILE", help="axis that `ace extract MODEL --contrast` wrote")
    parser.add_argument(
        "--any-model",
        action="store_true",
        help="use the axis of --core in another model than it was found in, of the same shape; it may do nothing there",
    )
    parser.add_argument("--tokens", type=int, default=50, help="tokens to generate (default 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling, the same for both texts (default 0)")
    parser.add_argument(
        "--site", type=int, metavar="INDEX", help="where to act; chosen on the selection split by default"
    )
    parser.add_argument(
        "--task",
        metavar="TASK",
        help=f"prompts that the axis is extracted from: {TASK_NAMES}, or a file of minimal pairs (default"
        " agreement-english, or agreement for want of words)",
    )
    parser.add_argument("--json", action="store_true", help="texts and axis as one JSON object on stdout")
    add_model_arguments(parser)


def run(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Load the model, find the axis or read it, write the texts to stdout."""
    from ace.check import check_count
    from ace.errors import InputError
    from ace.study.found_core import STAGES, FoundCore

    if not -(2**63) <= chosen.seed < 2**64:
        raise InputError(f"seed: expected a number of 64 bits, got {chosen.seed}")
    if not chosen.prompt.strip():
        raise InputError(f"prompt: expected a text, got {chosen.prompt!r}")
    if chosen.scale is not None and not math.isfinite(chosen.scale):
        raise InputError(f"scale: expected a finite number, got {chosen.scale}")
    check_count("tokens", chosen.tokens)
    edit = _edit(chosen)
    found = None if chosen.core is None else FoundCore.load(chosen.core)
    for name in ("site", "task"):
        if found is not None and getattr(chosen, name) is not None:
            raise InputError(f"{name}: expected without --core, which says where it acts, got both")
    if chosen.any_model and found is None:
        raise InputError("--any-model: expected with --core, whose axis comes from a model, got it alone")
    asked = asked_model(chosen.model, chosen, chosen.task or "")
    searches = edit is not None and found is None
    with shown(steps=1 + searches * len(STAGES), opened=lambda: sys.stderr) as line:
        line.step("loading the model")
        language = asked.language()
        _check_length(language, chosen)
        if searches:
            found = _found_now(language, asked.prompts_for(language), chosen, line.step)
    if edit is None or found is None:
        (text,) = _texts(language, chosen, {"clean": None}).values()
        if chosen.json:
            write_json({"model": language.name, "texts": {"clean": text}})
            return 0
        sys.stdout.write(f"{textwrap.fill(text, _width())}\n")
        return 0
    foreign = None if searches else _foreign(found, language, chosen)
    steering = found.steering(language, chosen.prompt, edit, chosen.scale, any_model=True)
    texts = _texts(language, chosen, {"clean": None, EDITED[edit]: steering})
    if chosen.json:
        axis = {"site": found.index, "path": found.path, "rank": found.core.dimension, "auc": found.auc}
        axis |= {"auc_of": found.model, "same_model": foreign is None}
        write_json({"model": language.name, "edit": edit, **axis, "texts": texts})
        return 0
    auc = f"AUC {found.auc:.3f}" + (f" measured in {found.model}; {foreign}" if foreign else "")
    sys.stdout.write(
        f"{language.name}, {found.core.site}, rank {found.core.dimension}, {auc}\n\n"
        + side_by_side(*texts.items(), width=_width())
    )
    return 0


def _check_length(language: LanguageModel, chosen: argparse.Namespace) -> None:
    """Refuse a prompt that the model does not take, or more tokens than it has positions for, before any work.

    Raises:
        InputError: such a prompt or number.
    """
    from ace.errors import InputError

    length = len(language.encode(chosen.prompt))
    room = None if language.positions is None else language.positions - length + 1
    if room is not None and chosen.tokens > room:
        raise InputError(
            f"tokens: expected at most {room} after a prompt of {length}, as {language.name} has"
            f" {language.positions} positions, got {chosen.tokens}"
        )


def _foreign(found: FoundCore, language: LanguageModel, chosen: argparse.Namespace) -> str | None:
    """Why a model is not known to be the one that an axis of a file was found in; refused unless any will do.

    Raises:
        InputError: it is not known to be, or the axis does not fit it.
    """
    from ace.errors import InputError

    found.site_in(language)
    foreign = found.foreign(language)
    if foreign and not chosen.any_model:
        raise InputError(f"core: expected one of {language.name}, got one {foreign}; --any-model uses it all the same")
    return foreign


def _edit(chosen: argparse.Namespace) -> str | None:
    """Which edit is asked for: with a core to flip, where nothing is said."""
    if chosen.scale is not None:
        return "scale"
    named = [edit for edit in ("flip", "keep", "remove") if getattr(chosen, edit)]
    return named[0] if named else "flip" if chosen.core is not None else None


def _found_now(
    language: LanguageModel, source: PromptTask, chosen: argparse.Namespace, stage: Callable[[str], object]
) -> FoundCore:
    """The core of a task's prompts, those of the fragment in lower case where the prompt is."""
    from ace.study.found_core import find_core
    from ace.study.prompts import PromptStudy
    from ace.tasks.agreement import AgreementTask

    lower_case = isinstance(source, AgreementTask) and chosen.prompt[:1].islower()
    study = PromptStudy(language, in_lower_case(source) if lower_case else source)
    return find_core(study, task=source.name, index=chosen.site, stage=stage)


def _texts(
    language: LanguageModel, chosen: argparse.Namespace, steerings: Mapping[str, Steering | None]
) -> dict[str, str]:
    """Heading -> the prompt continued under each steering, from the same seed."""
    import torch

    from ace.model.generate import continue_text

    prompt = torch.tensor([language.encode(chosen.prompt)])
    texts = {}
    with shown(steps=len(steerings), opened=lambda: sys.stderr) as line:
        for heading, steering in steerings.items():
            generator = torch.Generator().manual_seed(chosen.seed)
            line.step(f"{heading} text")
            tokens = continue_text(language, prompt, chosen.tokens, generator, steering)
            texts[heading] = language.decode(tokens[0])
    return texts


def _width() -> int:
    """Columns of the terminal, within what can be read well."""
    return max(60, min(shutil.get_terminal_size().columns, 120))


def side_by_side(*columns: tuple[str, str], width: int) -> str:
    """(heading, text) pairs as columns of equal width, `width` characters in all."""
    each = (width - len(GAP) * (len(columns) - 1)) // len(columns)
    wrapped = [[heading, "-" * each, *textwrap.wrap(text, each)] for heading, text in columns]
    height = max(map(len, wrapped))
    rows = zip(*(lines + [""] * (height - len(lines)) for lines in wrapped), strict=True)
    return "".join(GAP.join(cell.ljust(each) for cell in row).rstrip() + "\n" for row in rows)
