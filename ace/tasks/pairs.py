"""Prompts from files of minimal pairs: BLiMP's JSON lines in their one-prefix form, or a user's own CSV or JSON lines.

A row is a prompt, the continuation that is right (good) and the one that is wrong (bad), and the prompt's class: the
number that a verb agrees with, or one of any other two. What is right for one class is wrong for the other. Rows of one
prompt, or of one head noun where the file names it, go to the same split.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ace.check import check_choice, check_count
from ace.errors import InputError
from ace.tasks.agreement import NUMBERS
from ace.tasks.base import HELD_OUT, Split
from ace.tasks.prompt import Contrast, Prompts, PromptTask
from ace.tasks.verb_forms import told_number

BLIMP = ("one_prefix_prefix", "one_prefix_word_good", "one_prefix_word_bad")
OWN = ("prompt", "good", "bad", "label")
HEAD = "head"  # optional in a file of one's own
KNOWN = (NUMBERS, ("0", "1"))  # labels whose classes are 0 and 1 in this order; others go by alphabet
FEWEST = 2  # rows of each class in each split: less cannot be compared


@dataclass(frozen=True)
class Pair:
    """One row: `wanted` is the continuation right for class 1, `other` that for class 0; `label` is the class."""

    prompt: str
    wanted: str
    other: str
    label: int
    group: str

    @property
    def contrast(self) -> Contrast:
        """Its continuations, as they follow the prompt."""
        return Contrast((f" {self.wanted}",), (f" {self.other}",))


@dataclass(frozen=True, eq=False)
class MinimalPairs(PromptTask):
    """A file's pairs, dealt to the three splits by prompt or head noun.

    Attributes:
        name: stem of the file.
        names: of the classes 0 and 1, the labels in the file.
        pairs: split -> its rows.
        left_out: rows not used: of a number that their words do not tell, or the same as one before.
    """

    name: str
    names: tuple[str, str]
    pairs: Mapping[Split, tuple[Pair, ...]]
    left_out: int

    @cached_property
    def contrast(self) -> Contrast | None:  # type: ignore[override]
        """That of all pairs, where they have the same continuations."""
        contrasts = {pair.contrast for pairs in self.pairs.values() for pair in pairs}
        return contrasts.pop() if len(contrasts) == 1 else None

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        """At most `count` prompts of a split, in random order, as evenly as can be over the classes.

        Raises:
            InputError: the training split, or no prompts.
        """
        check_choice("split", split, HELD_OUT)
        check_count("count", count)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(HELD_OUT.index(split),)))
        shuffled = [self.pairs[split][row] for row in rng.permutation(len(self.pairs[split]))]
        # The k-th of either class before the k+1-th of the other: a prefix is balanced while both last.
        by_class = [[pair for pair in shuffled if pair.label == label] for label in (0, 1)]
        ranked = [(place, pair.label, pair) for rows in by_class for place, pair in enumerate(rows)]
        taken = [pair for *_, pair in sorted(ranked, key=lambda entry: entry[:2])][:count]
        taken = [taken[row] for row in rng.permutation(len(taken))]
        return Prompts(
            tuple(pair.prompt for pair in taken),
            np.array([pair.label for pair in taken]),
            self.names,
            tuple(pair.group for pair in taken),
            tuple(pair.contrast for pair in taken),
            split,
        )


def read_pairs(path: Path | str) -> MinimalPairs:
    """Minimal pairs of a .jsonl or .csv file.

    BLiMP's files have the columns of `BLIMP` and others; the number is told from the words, which are taken for verbs
    or reflexive pronouns. A file of one's own has `prompt`, `good`, `bad`, `label` (one of two names or numbers,
    whatever they are) and, if wanted, `head`, the noun that rows are grouped by. Of the labels, singular and 0 are
    class 0, plural and 1 are class 1, and others are ordered by alphabet. Continuations are written without the space
    before them.

    Raises:
        InputError: no such file, another kind, missing or unknown columns, empty or equal continuations, a label that
            is none or a third one (naming the line), or too few rows of a class for three splits.
    """
    path = Path(path)
    rows = [_row(f"{path.name}, line {line}", entries) for line, entries in _entries(path)]
    labelled = [row for row in rows if row.label is not None]
    names = _class_names(path.name, labelled)
    kept = list(dict.fromkeys(row.pair(names) for row in labelled))
    dealt = _deal(kept)
    for split, members in dealt.items():
        for label, name in enumerate(names):
            count = sum(pair.label == label for pair in members)
            if count < FEWEST:
                raise InputError(
                    f"{path.name}: expected at least {FEWEST} {name} rows of different prompts for each of 3 splits,"
                    f" got {count} for {split}, {sum(pair.label == label for pair in kept)} in all"
                )
    return MinimalPairs(path.stem, names, dealt, len(rows) - len(kept))


def _entries(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows with the number of their line."""
    if path.suffix not in (".jsonl", ".csv"):
        raise InputError(f"path: expected a .jsonl or .csv file, got {path.name!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"path: expected a readable file at {str(path)!r}: {error}") from error
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        yield from ((reader.line_num, row) for row in reader)
        return
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip():
            try:
                entries = json.loads(content)
            except json.JSONDecodeError as error:
                raise InputError(f"{path.name}, line {line}: expected JSON: {error}") from error
            if not isinstance(entries, dict):
                raise InputError(f"{path.name}, line {line}: expected an object, got {type(entries).__name__}")
            yield line, entries


@dataclass(frozen=True)
class _Row:
    """A row as it stands in the file; `label` is the name of its class, None where its words do not tell the number."""

    where: str
    prompt: str
    good: str
    bad: str
    label: str | None
    group: str

    def pair(self, names: tuple[str, str]) -> Pair:
        label = int(self.label == names[1])
        wanted, other = (self.good, self.bad) if label else (self.bad, self.good)
        return Pair(self.prompt, wanted, other, label, self.group)


def _row(where: str, entries: Mapping[str, Any]) -> _Row:
    columns = set(entries)
    blimp = columns >= set(BLIMP)
    if not blimp and not set(OWN) <= columns <= {*OWN, HEAD}:
        raise InputError(
            f"{where}: expected columns {', '.join(OWN)} and perhaps {HEAD}, or {', '.join(BLIMP)},"
            f" got {', '.join(map(str, entries))}"
        )
    prompt, good, bad = (_text(where, name, entries[name]) for name in (BLIMP if blimp else OWN[:3]))
    if good == bad:
        raise InputError(f"{where}: expected different continuations, got {good!r} twice")
    if blimp:
        number = told_number(good, bad)
        return _Row(where, prompt, good, bad, None if number is None else NUMBERS[number], prompt)
    group = _text(where, HEAD, entries[HEAD]) if HEAD in entries else prompt
    return _Row(where, prompt, good, bad, _label(where, entries["label"]), group)


def _text(where: str, name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: expected {name} to be a text that is not empty, got {value!r}")
    return value.strip()


def _label(where: str, value: object) -> str:
    name = str(value).strip().lower() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name:
        raise InputError(f"{where}: expected label to be a name or a number, got {value!r}")
    return name


def _class_names(file: str, rows: Sequence[_Row]) -> tuple[str, str]:
    """Names of the classes 0 and 1: the two labels that most rows have."""
    common = [label for label, _ in Counter(row.label or "" for row in rows).most_common(2)]
    for row in rows:
        if row.label not in common:
            raise InputError(f"{row.where}: expected label {' or '.join(common)}, as most rows have, got {row.label!r}")
    for names in KNOWN:
        if set(common) <= set(names):
            return names
    if len(common) < 2:
        raise InputError(f"{file}: expected labels of two classes, got {common[0]!r} alone")
    second = {names[1] for names in KNOWN}
    first, last = sorted(common, key=lambda name: (name in second, name))
    return first, last


def _deal(pairs: list[Pair]) -> dict[Split, tuple[Pair, ...]]:
    """Pairs by split: whole groups in turn to each split, in an order that does not depend on the file's.

    Rows of one prompt are one group even if their heads differ: no prompt may occur in two splits.
    """
    group_of = {pair.prompt: pair.group for pair in reversed(pairs)}
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(group_of[pair.prompt], []).append(pair)

    def order(group: str) -> tuple[int, str]:
        # By class first, so that every split gets its share of both.
        return min(pair.label for pair in groups[group]), hashlib.sha256(group.encode()).hexdigest()

    dealt: dict[Split, list[Pair]] = {split: [] for split in HELD_OUT}
    for place, group in enumerate(sorted(groups, key=order)):
        dealt[HELD_OUT[place % len(HELD_OUT)]] += groups[group]
    return {split: tuple(members) for split, members in dealt.items()}
