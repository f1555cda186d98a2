"""Command line: python -m ace steer MODEL "prompt" --flip

Finds the axis of number in a causal language model, at the site that a selection split chooses, and continues a prompt
with that axis left alone and acted on, side by side.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ace.errors import AceError

GAP = " | "


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when it went well, 1 for an error that it names, 2 for a call that it cannot read."""
    parser = argparse.ArgumentParser(prog="python -m ace", description=__doc__.splitlines()[0] if __doc__ else None)
    actions = parser.add_subparsers(dest="action", required=True)
    steer = actions.add_parser("steer", help="continue a prompt with the axis of number reflected, beside clean text")
    steer.add_argument("model", help="hub name or folder of a causal language model")
    steer.add_argument("prompt", help='a subject whose verb is to come, such as "The keys to the cabinet"')
    steer.add_argument("--flip", action="store_true", help="reflect the axis; without it only clean text is printed")
    steer.add_argument("--tokens", type=int, default=50, help="tokens to generate (default 50)")
    steer.add_argument("--seed", type=int, default=0, help="of the sampling, the same for both texts")
    steer.add_argument("--site", type=int, help="where to act; chosen on the selection split by default")
    steer.add_argument(
        "--task", default="agreement", help="prompts that the axis is extracted from (default agreement)"
    )
    steer.add_argument("--revision", help="branch, tag or commit on the hub")
    steer.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    steer.add_argument("--tokenizer", help="where it does not lie with the model")
    chosen = parser.parse_args(arguments)
    try:
        sys.stdout.write(_steer(chosen))
    except AceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _steer(chosen: argparse.Namespace) -> str:
    import torch

    from ace.model.generate import continue_text
    from ace.model.language import load_language_model
    from ace.model.steer import Steering, core_component, first_tokens
    from ace.study.prompts import PromptStudy
    from ace.study.site_choice import rank_of
    from ace.tasks.agreement import TASKS, AgreementTask
    from ace.tasks.base import Split
    from ace.tasks.pairs import read_pairs

    language = load_language_model(
        chosen.model, revision=chosen.revision, dtype=chosen.dtype, tokenizer=chosen.tokenizer
    )
    source = TASKS.get(chosen.task) or read_pairs(Path(chosen.task))
    if isinstance(source, AgreementTask) and chosen.prompt[:1].islower():
        source = replace(source, capital=False)  # as the prompt is written
    prompt = torch.tensor([language.encode(chosen.prompt)])

    def written(steering: Steering | None) -> str:
        generator = torch.Generator().manual_seed(chosen.seed)
        return language.decode(continue_text(language, prompt, chosen.tokens, generator, steering)[0])

    if not chosen.flip:
        return f"{textwrap.fill(written(None), _width())}\n"
    study = PromptStudy(language, source)
    study.require_behaviour(language.name)
    site = study.top.site if chosen.site is None else language.anatomy.site(chosen.site)
    core = study.core(site, rank_of(study.top) if chosen.site is None else 1)
    contrast = source.contrast or study.prompts(Split.EXTRACTION).contrasts[0]
    steering = Steering(site, core_component(core), *first_tokens(language, chosen.prompt, contrast))
    heading = f"{language.name}, {site}, rank {core.dimension}, AUC {study.behaviour.auc[0]:.3f}\n\n"
    return heading + _side_by_side(("clean", written(None)), ("flipped", written(steering)))


def _width() -> int:
    return max(60, min(shutil.get_terminal_size().columns, 120))


def _side_by_side(*columns: tuple[str, str]) -> str:
    """Two headed texts in columns of equal width."""
    width = (_width() - len(GAP)) // 2
    wrapped = [[heading, "-" * width, *textwrap.wrap(text, width)] for heading, text in columns]
    height = max(map(len, wrapped))
    rows = zip(*(lines + [""] * (height - len(lines)) for lines in wrapped), strict=True)
    return "".join(GAP.join(cell.ljust(width) for cell in row).rstrip() + "\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
