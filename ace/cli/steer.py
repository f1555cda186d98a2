"""`ace steer`: a prompt continued with the axis of number left alone and reflected, side by side.

The axis is extracted from prompts of a task, at the site that their selection split chooses.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace

SUMMARY = "Continue a prompt with a language model, clean and with its axis of number reflected."
EXAMPLE = 'ace steer ./checkpoint "The keys to the cabinet" --flip'
GAP = " | "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the action."""
    parser.add_argument("model", help="hub name or folder of a causal language model")
    parser.add_argument("prompt", help='a subject whose verb is to come, such as "The keys to the cabinet"')
    parser.add_argument("--flip", action="store_true", help="reflect the axis; without it only clean text is printed")
    parser.add_argument("--tokens", type=int, default=50, help="tokens to generate (default 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling, the same for both texts (default 0)")
    parser.add_argument("--site", type=int, help="where to act; chosen on the selection split by default")
    parser.add_argument(
        "--task", default="agreement", help="prompts that the axis is extracted from (default agreement)"
    )
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--dtype", default="auto", help="auto (default), float32, bfloat16 or float16")
    parser.add_argument("--tokenizer", help="hub name or folder, where it does not lie with the model")


def run(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Load the model, find the axis, write the texts to stdout."""
    import torch

    from ace.errors import InputError
    from ace.model.generate import continue_text
    from ace.model.language import load_language_model
    from ace.model.steer import Steering, core_component, first_tokens
    from ace.study.prompts import PromptStudy
    from ace.study.site_choice import rank_of
    from ace.tasks.agreement import AgreementTask
    from ace.tasks.base import Split
    from ace.zoo.named import ModelSource

    if not -(2**63) <= chosen.seed < 2**64:
        raise InputError(f"seed: expected a number of 64 bits, got {chosen.seed}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what the terminal cannot show must not cost the text
    source = ModelSource(
        chosen.model, chosen.revision, chosen.dtype, tokenizer=chosen.tokenizer, task=chosen.task
    ).prompts()
    if isinstance(source, AgreementTask) and chosen.prompt[:1].islower():
        source = replace(source, capital=False)  # as the prompt is written
    language = load_language_model(
        chosen.model, revision=chosen.revision, dtype=chosen.dtype, tokenizer=chosen.tokenizer
    )
    prompt = torch.tensor([language.encode(chosen.prompt)])

    def written(steering: Steering | None) -> str:
        generator = torch.Generator().manual_seed(chosen.seed)
        return language.decode(continue_text(language, prompt, chosen.tokens, generator, steering)[0])

    if not chosen.flip:
        sys.stdout.write(f"{textwrap.fill(written(None), _width())}\n")
        return 0
    study = PromptStudy(language, source)
    study.require_behaviour(language.name)
    site = study.choice().site if chosen.site is None else language.anatomy.site(chosen.site)
    core = study.core(site, rank_of(study.choice()) if chosen.site is None else 1)
    contrast = source.contrast or study.prompts(Split.EXTRACTION).contrasts[0]
    steering = Steering(site, core_component(core), *first_tokens(language, chosen.prompt, contrast))
    sys.stdout.write(
        f"{language.name}, {site}, rank {core.dimension}, AUC {study.behaviour.auc[0]:.3f}\n\n"
        + side_by_side(("clean", written(None)), ("flipped", written(steering)), width=_width())
    )
    return 0


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
