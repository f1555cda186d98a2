"""Options of the plugin: how they are added to pytest, and the one record that they are read into."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ace.plugin.settings import add_settings, settings

SCALES = ("compact", "paper")
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Option:
    """One option of the command line, with a twin in the environment.

    Attributes:
        name: without the prefix: "save-baseline" is --ace-save-baseline, and ACE_SAVE_BASELINE in the environment.
        attribute: of `Options`, where it is kept.
        kind: "text", "path", "switch", or "list": given several times, and in the environment one value a line.
        measures: whether it bears on what is measured; the command that reruns a claim repeats those.
    """

    name: str
    attribute: str
    text: str
    metavar: str = ""
    kind: str = "text"
    measures: bool = True

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--ace-{self.name}"

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return "ACE_" + self.name.replace("-", "_").upper()

    def settings(self) -> dict[str, Any]:
        """What argparse is told beside name and help."""
        if self.kind == "switch":
            return {"action": "store_true", "default": None}
        return {"metavar": self.metavar, "default": None, "action": "append" if self.kind == "list" else "store"}

    def read(self, config: pytest.Config) -> tuple[Any, str]:
        """Its value and where that came from, or None and "" where it was not given."""
        found = config.getoption(self.flag)
        if found is not None:
            return (tuple(found) if self.kind == "list" else found), self.flag
        text = os.environ.get(self.variable, "")
        if not text.strip() or (self.kind == "switch" and text == "0"):
            return None, ""
        if self.kind == "list":
            return tuple(line.strip() for line in text.splitlines() if line.strip()), self.variable
        return (True if self.kind == "switch" else text), self.variable

    def words(self, value: Any) -> list[str]:
        """The option as words of a command line; one word each, for pytest takes a path by itself for tests."""
        if self.kind == "switch":
            return [self.flag]
        return [f"{self.flag}={each}" for each in (value if self.kind == "list" else (value,))]


OPTIONS = (
    Option(
        "model",
        "models",
        "verify agreement in this causal language model: a folder, a .gguf file, a short name of `ace zoo list`, or a"
        " hub name; may be given several times",
        "MODEL",
        "list",
    ),
    Option(
        "name",
        "names",
        "what results and baselines call the model, in place of its full path; given once for each --ace-model",
        "NAME",
        "list",
    ),
    Option(
        "subject",
        "subjects",
        "verify the subjects that this function makes; may be given several times",
        "PKG.MODULE:FACTORY",
        "list",
    ),
    Option("revision", "revision", "branch, tag or commit of the model on the hub", "REVISION"),
    Option("dtype", "dtype", f"dtype of the model's weights: {', '.join(DTYPES)}; as stored by default", "DTYPE"),
    Option("tokenizer", "tokenizer", "tokenizer of the model, where it does not lie with it", "TOKENIZER"),
    Option("task", "task", "prompts: agreement-english (default), another name of the docs, or a file", "TASK"),
    Option("scale", "scale", f"verify at one scale only, {' or '.join(SCALES)}; both by default", "SCALE"),
    Option("retrain", "retrain", "train the fixtures anew instead of loading stored weights", kind="switch"),
    Option("seed", "seed_text", "base seed of what --ace-retrain trains; the recipes' own by default", "N"),
    Option("device", "device", "device that fixtures train on and a model runs on: cpu (default) or cuda", "DEVICE"),
    Option("cache", "cache", "folder for weights trained here; ~/.cache/ace-invariants by default", "DIR", "path"),
    Option(
        "extractor",
        "extractor",
        "check this extraction function instead of the project's own",
        "PKG.MODULE:FUNCTION",
    ),
    Option("json", "json", "write all verdicts to this file", "FILE", "path", measures=False),
    Option("report", "report", "write page, record, tables and figures to this folder", "DIR", "path", measures=False),
    Option("save-baseline", "save_baseline", "write a baseline for --ace-compare", "FILE", "path", measures=False),
    Option(
        "compare",
        "compare",
        "fail where a claim regressed since this baseline, and only there",
        "FILE",
        "path",
        measures=False,
    ),
    Option(
        "strict",
        "strict",
        "with --ace-compare: exit code 7 where nothing regressed and yet something changed",
        kind="switch",
        measures=False,
    ),
    Option(
        "accept",
        "accept",
        "document the verdicts of this run in this file for --ace-expected, reasons yet to be written",
        "FILE",
        "path",
        measures=False,
    ),
    Option("expected", "expected", "documented verdicts other than HOLDS, applied strictly", "FILE", "path"),
)
SETTINGS = {"ace_expected": "expected", "ace_fixtures": "fixtures"}  # of the ini file, and their attributes


def add_options(parser: pytest.Parser) -> None:
    """Add the options to pytest's command line and ini file; nothing is read yet."""
    group = parser.getgroup("ace", "verification of algorithmic cores")
    for option in OPTIONS:
        group.addoption(option.flag, help=f"{option.text} [{option.variable}]", **option.settings())
    add_settings(parser)


@dataclass(frozen=True)
class Options:
    """All that was asked for, read once at the start of a run. Paths are absolute.

    Attributes:
        models: causal language models, as given.
        names: what results call the models, one for each of them, or none.
        subjects: functions that make subjects, as "package.module:function".
        seed_text: the base seed of what is trained anew, as given; see `seed`.
        fixtures: the project's folder of recipes and weights, from its ini file.
        selection: what pytest was told to collect, as words of its command line.
        given: attribute -> the name under which it was given: --ace-task, ACE_TASK or, in the ini file, ace_expected.
    """

    models: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    revision: str | None = None
    dtype: str | None = None
    tokenizer: str | None = None
    task: str | None = None
    scale: str | None = None
    retrain: bool = False
    seed_text: str | None = None
    device: str | None = None
    cache: Path | None = None
    extractor: str | None = None
    json: Path | None = None
    report: Path | None = None
    save_baseline: Path | None = None
    compare: Path | None = None
    strict: bool = False
    accept: Path | None = None
    expected: Path | None = None
    fixtures: Path | None = None
    selection: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def seed(self) -> int | None:
        """The base seed of what is trained anew; None for the recipes' own."""
        return int(self.seed_text) if self.seed_text is not None else None

    def explicit(self, attribute: str) -> bool:
        """Whether it was given on the command line."""
        return self.given.get(attribute, "").startswith("--")

    def rerun(self, claim: str, subject: str = "") -> str:
        """The command line that verifies one claim again, on what was asked for this time.

        Args:
            claim: its id.
            subject: the part of the test's id that follows the claim's, where one claim has several subjects.
        """
        words = ["pytest", *self.selection]
        for option in OPTIONS:
            if option.measures and option.attribute in self.given and self.given[option.attribute] not in SETTINGS:
                words += option.words(getattr(self, option.attribute))
        return shlex.join([*words, "-k", _expression(f"{claim}-{subject}" if subject else claim)])


def _expression(name: str) -> str:
    """An expression for -k that matches ids with `name` in them; characters that -k cannot read are left out."""
    return " and ".join(part for part in re.split(r"[^\w:+.\[\]\\/{}-]+", name) if part not in ("", "and", "or", "not"))


def read_options(config: pytest.Config) -> Options:
    """What was asked for on the command line, in the environment and in the ini file, in this order of precedence."""
    values: dict[str, Any] = {}
    given: dict[str, str] = {}
    for option in OPTIONS:
        value, source = option.read(config)
        if source:
            path = option.kind == "path"
            values[option.attribute] = Path(config.invocation_params.dir, value).absolute() if path else value
            given[option.attribute] = source
    project = settings(config)
    for name, attribute in SETTINGS.items():
        if project.values[name] and attribute not in given:
            values[attribute], given[attribute] = Path(project.folder, project.values[name]).absolute(), name
    return Options(**values, selection=_selection(config), given=given)


def _selection(config: pytest.Config) -> tuple[str, ...]:
    """The files and folders that pytest was given, without the tests in them."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return ()
    chosen = dict.fromkeys(argument.partition("::")[0] for argument in config.args)
    return (*(("--pyargs",) if config.getoption("pyargs") else ()), *chosen)
