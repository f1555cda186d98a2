"""What is wrong with the values of options, with their combinations, and with paths; told before anything runs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ace.plugin.options import DTYPES, SCALES, Options

FUNCTION = "package.module:function"


@dataclass(frozen=True)
class Problem:
    """A value that cannot be used; `explicit` where it was given on the command line, for this very run."""

    text: str
    explicit: bool


def find_problems(options: Options) -> list[Problem]:
    """What is wrong with values, combinations of them, and paths; each text names the option."""
    found = [*_wrong_values(options), *_wrong_combinations(options), *_unusable_paths(options)]
    return [Problem(f"{options.given[name]}: {text}", options.explicit(name)) for name, text in found]


def _wrong_values(options: Options) -> Iterator[tuple[str, str]]:
    if options.scale not in (None, *SCALES):
        yield "scale", f"expected one of {', '.join(SCALES)}, got {options.scale!r}"
    if options.dtype not in (None, *DTYPES):
        yield "dtype", f"expected one of {', '.join(DTYPES)}, got {options.dtype!r}"
    if options.device is not None and not re.fullmatch(r"cpu|cuda(:\d+)?", options.device):
        yield "device", f"expected cpu, cuda or cuda:N, got {options.device!r}"
    if options.seed_text is not None and not (options.seed_text.isascii() and options.seed_text.isdecimal()):
        yield "seed_text", f"expected a whole number of at least 0, got {options.seed_text!r}"
    for name, functions in (("extractor", (options.extractor or "a:a",)), ("subjects", options.subjects)):
        for function in functions:
            if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", function):
                yield name, f"expected {FUNCTION}, got {function!r}"


def _wrong_combinations(options: Options) -> Iterator[tuple[str, str]]:
    for name in ("names", "revision", "dtype", "tokenizer", "task"):
        if name in options.given and not options.models:
            yield name, "expected with --ace-model and only there"
    counts = {len(options.models), len(options.names), len(set(options.names))}
    if options.names and options.models and len(counts) > 1:
        yield "names", f"expected {len(options.models)} different names, one for each model, got {list(options.names)}"
    if options.strict and options.compare is None:
        yield "strict", "expected with --ace-compare and only there"
    if options.seed_text is not None and not options.retrain:
        yield "seed_text", "expected with --ace-retrain and only there"


def _unusable_paths(options: Options) -> Iterator[tuple[str, str]]:
    """Files and folders that could not be written at the end of the run, or read at its beginning."""
    for name in ("json", "save_baseline", "accept"):
        path: Path | None = getattr(options, name)
        if path is not None:
            yield from ((name, text) for text in _unwritable_file(path))
    if options.report is not None:
        existing = next(folder for folder in (options.report, *options.report.parents) if folder.exists())
        yield from (("report", text) for text in _unwritable_folder(existing, options.report))
    if options.fixtures is not None and not options.fixtures.is_dir():
        yield "fixtures", f"expected an existing folder, got {options.fixtures}"


def _unwritable_file(path: Path) -> Iterator[str]:
    if path.is_dir():
        yield f"expected a file, got the folder {path}"
    elif not path.parent.exists():
        yield f"expected an existing folder for {path}"
    else:
        yield from _unwritable_folder(path.parent, path)


def _unwritable_folder(folder: Path, wanted: Path) -> Iterator[str]:
    """Try it: permission bits say little about a file system that is mounted read-only, or to the superuser."""
    if not folder.is_dir():
        yield f"{wanted}: expected a folder, got the file {folder}"
        return
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield f"{wanted}: the folder {folder} cannot be written to: {error.strerror}"
