"""`ace verify`: the claims as tests, run by pytest in a process of its own.

Each option of the plugin is a flag here without its prefix: --model stands for --ace-model. What is no such flag goes
on to pytest as it is. A process of its own, for pytest reads the settings of the current folder before it loads
plugins, and `python -m pytest` finds modules there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ace.cli.engines import ARGUMENTS, add_engine_arguments, asked_engine
from ace.cli.words import exit_code

SUMMARY = "Verify the claims on language models or on training runs of your own."
EXAMPLE = """ace verify --model ./checkpoint
  ace verify --model ./ckpt-100 --name nightly --save-baseline base.json
  ace verify --model ./ckpt-200 --name nightly --compare base.json
  ace verify --model ./checkpoint --accept expected.toml
  ace verify --subject mypackage.runs:subject -k core.sufficiency -n 2
  ace verify --model ./checkpoint --json - > verdicts.json
  ace verify --models checkpoints.txt --workers 2 --json verdicts.json
  ace verify --plan ./checkpoint

Further words go to pytest (-k, -n, -x, ...)."""
EXITS = """the same under pytest itself
  0  all came out as documented; with --compare: no claim regressed
  1  something came out otherwise; with --compare: a claim regressed; or a file could not be written; with --plan,
     --models or what goes with it also a model, file or setting that cannot be used
  2  interrupted, or a call that cannot be read
  3  an error within pytest
  4  a call that cannot be used: a wrong option, a model or baseline that cannot be read, a baseline of other prompts
  5  -k selected nothing
  6  --compare had nothing to compare: no claim was measured on the same subject in both
  7  --compare --strict: no claim regressed, but something changed: a value moved, a verdict tipped or improved, or a
     claim was measured in one of both only
  8  no verdict: every claim is INAPPLICABLE and nobody documented that; a baseline of such a run holds nothing
128 + N: signal N ended the process"""
STDOUT = "-"  # in place of a file of verdicts
PLANNED = ("revision", "dtype", "device", "task", "json")  # options of the plugin that a plan takes
ONE_RUN = ("model", "subject", "name", "report", "save-baseline", "compare", "accept")
TAKES_MORE = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A flag for each option of the plugin.

    Raises:
        InputError: pytest is not installed.
    """
    from ace.errors import InputError

    if find_spec("pytest") is None:
        raise InputError("verify: expected pytest, which is not installed: pip install 'ace-invariants[test]'")
    from ace.plugin.options import OPTIONS

    parser.add_argument(
        "--plan", metavar="MODEL", help="print what verifying this model would take, in memory and time; runs nothing"
    )
    many = parser.add_argument_group("many models", "each in a process of its own; called again, it goes on")
    many.add_argument(
        "--models",
        dest="model_file",
        type=Path,
        metavar="FILE",
        help="a model a line; asks for --json, the record of all",
    )
    add_engine_arguments(many, local="one")
    for option in OPTIONS:
        parser.add_argument(
            f"--{option.name}", dest=option.attribute, help=option.text.replace("--ace-", "--"), **option.settings()
        )


def pytest_words(chosen: argparse.Namespace, rest: Sequence[str]) -> list[str]:
    """What pytest is called with: the suite, the plugin's options, and what was meant for pytest itself."""
    from ace.plugin.options import OPTIONS

    words = ["--pyargs", "ace.suite"]
    for option in OPTIONS:
        value: Any = getattr(chosen, option.attribute)
        if value is not None:
            words += option.words(value)
    return [*words, *rest]


def run(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run pytest and give its exit code; that of a process that a signal ended is 128 and the signal's number.

    Verdicts that are asked for on stdout come there alone, at the end, and what pytest prints goes to stderr.

    Raises:
        InputError: words that do not go together.
    """
    from ace.errors import InputError

    sharing = [name for name in ARGUMENTS if getattr(chosen, name) is not None]
    if chosen.plan is not None:
        from ace.cli.plan import run_plan

        many = ["models"] if chosen.model_file is not None else []
        others = [f"--{name}" for name in (*many, *sharing, *_given(chosen)) if name not in PLANNED]
        if others or rest:
            raise InputError(f"plan: expected without {(*others, *rest)[0]}, which no plan takes, got both")
        return run_plan(chosen)
    if chosen.model_file is not None:
        return _run_many(chosen, rest)
    if sharing:
        raise InputError(f"{sharing[0]}: expected with --models FILE, whose models are shared out, got it alone")
    if chosen.json != STDOUT:
        return exit_code(subprocess.call([sys.executable, "-m", "pytest", *pytest_words(chosen, rest)]))
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "verdicts.json")
        chosen.json = str(written)
        words = [sys.executable, "-m", "pytest", *pytest_words(chosen, rest)]
        code = exit_code(subprocess.call(words, stdout=sys.stderr.fileno()))
        if written.exists():
            sys.stdout.write(written.read_text(encoding="utf-8"))
    return code


def _given(chosen: argparse.Namespace) -> list[str]:
    """Names of the plugin's options that were given."""
    from ace.plugin.options import OPTIONS

    return [option.name for option in OPTIONS if getattr(chosen, option.attribute) is not None]


def _run_many(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    from ace.cli.verify_many import read_models, verify_many
    from ace.errors import InputError

    alone = sorted(set(_given(chosen)) & set(ONE_RUN))
    if alone:
        raise InputError(f"models: expected without --{alone[0]}, which speaks of one run, got both")
    if chosen.json in (None, STDOUT):
        raise InputError("models: expected with --json FILE, the record of all; beside it lies what is done so far")
    record, chosen.json = Path(chosen.json), None
    engine = asked_engine(chosen, local=1)  # a model alone uses all cores
    return verify_many(read_models(chosen.model_file), pytest_words(chosen, rest), record, engine)
