"""Prompts from files of minimal pairs: BLiMP's JSON lines in their one-prefix form, or a user's own CSV or JSON lines.

A row is a prompt, the continuation that is right (good) and the one that is wrong (bad), and the prompt's class: the
number that a verb agrees with, or one of any other two. What is right for one class is wrong for the other. Rows of one
head noun, whether singular or plural, go to the same split: those of the file's column `head`, or where the file is
about number those that the prompts tell. In a file about something else, without that column, rows of one prompt do.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ace.check import check_choice, check_count
from ace.errors import InputError
from ace.tasks.agreement import NUMBERS
from ace.tasks.base import HELD_OUT, Split
from ace.tasks.head_nouns import derived_head, stem
from ace.tasks.pair_files import HEAD, Row, read_rows
from ace.tasks.prompt import Contrast, Prompts, PromptTask

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
    """A file's pairs, dealt to the three splits by head noun or prompt.

    Attributes:
        name: stem of the file.
        names: of the classes 0 and 1, the labels in the file.
        pairs: split -> its rows.
        left_out: rows not used: of a number that their words do not tell, or the same as one before.
        note: what of the file is not used, and how its rows are grouped, in words.
    """

    name: str
    names: tuple[str, str]
    pairs: Mapping[Split, tuple[Pair, ...]]
    left_out: int
    note: str = ""

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

    BLiMP's files have the columns of `pair_files.BLIMP`; the number is told from the words, which are taken for verbs
    or reflexive pronouns. A file of one's own has `prompt`, `good`, `bad`, `label` (one of two names or numbers,
    whatever they are) and `head`, the noun that rows are grouped by, which may be left out: see `derived_head`. Columns
    of other names are ignored. Of the labels, singular and 0 are class 0, plural and 1 are class 1, and others are
    ordered by alphabet. Continuations are written without the space before them.

    Raises:
        InputError: as `read_rows`; or (naming the line) a third label, a label that contradicts the words of other
            rows, a prompt about number that tells no head noun; or too few rows of a class for three splits.
    """
    rows = read_rows(path)
    file = Path(path).name
    labelled = [row for row in rows if row.label is not None]
    names = _class_names(file, labelled)
    _require_one_direction(labelled)
    heads, how = _heads(labelled, names)
    kept = list(dict.fromkeys(_pair(row, names, head) for row, head in zip(labelled, heads, strict=True)))
    dealt = _deal(kept)
    for split, members in dealt.items():
        for label, name in enumerate(names):
            count = sum(pair.label == label for pair in members)
            if count < FEWEST:
                raise InputError(
                    f"{file}: expected at least {FEWEST} {name} rows, of heads of its own, for each of 3 splits,"
                    f" got {count} for {split}, {sum(pair.label == label for pair in kept)} in all"
                )
    note = _note(file, rows, len(labelled), len(kept), how)
    return MinimalPairs(Path(path).stem, names, dealt, len(rows) - len(kept), note)


def _pair(row: Row, names: tuple[str, str], head: str) -> Pair:
    label = int(row.label == names[1])
    wanted, other = (row.good, row.bad) if label else (row.bad, row.good)
    return Pair(row.prompt, wanted, other, label, head)


def _note(file: str, rows: Sequence[Row], labelled: int, kept: int, how: str) -> str:
    """What is not used of a file, and how its rows are grouped."""
    ignored = sorted({name for row in rows for name in row.ignored})
    parts = [f"columns not read: {', '.join(ignored)}"] if ignored else []
    reasons = {"whose words do not tell a number": len(rows) - labelled, "given twice": labelled - kept}
    left_out = [f"{count} {reason}" for reason, count in reasons.items() if count]
    if left_out:
        parts.append(f"{len(rows) - kept} of {len(rows)} rows left out: {', '.join(left_out)}")
    return f"{file}: {'; '.join([*parts, how])}"


def _require_one_direction(rows: Sequence[Row]) -> None:
    """Refuse a row whose class wants a continuation that most rows of this class, with the same two, call wrong."""
    wanted: dict[tuple[str, str], Counter[tuple[str | None, str]]] = defaultdict(Counter)
    for row in rows:
        first, last = sorted((row.good, row.bad))
        wanted[first, last][row.label, row.good] += 1
    for row in rows:
        first, last = sorted((row.good, row.bad))
        votes = wanted[first, last]
        if votes[row.label, row.bad] >= votes[row.label, row.good]:
            raise InputError(
                f"{row.where}: expected {row.bad!r} to be right and {row.good!r} wrong for {row.label}, as in"
                f" {votes[row.label, row.bad]} other rows, got the reverse"
            )


def _heads(rows: Sequence[Row], names: tuple[str, str]) -> tuple[list[str], str]:
    """What each row is grouped by, and how that was found, in words."""
    number = names == NUMBERS or all(row.number is not None for row in rows)
    given = [row.head for row in rows if row.head is not None]
    if not number:
        heads = [row.prompt if row.head is None else row.head for row in rows]
        caveat = f"grouped by prompt: without a column {HEAD} a noun may be in two splits"
        return heads, f"grouped by {HEAD}" if len(given) == len(rows) else caveat
    forms = [row.head.lower() if row.head else _told_head(row) for row in rows]
    shown: dict[str, str] = {}  # of a noun's forms the shortest stands for both
    for form in sorted(set(forms), key=lambda form: (len(form), form)):
        shown.setdefault(stem(form), form)
    how = f"grouped by {HEAD}" if len(given) == len(rows) else "grouped by head nouns told from the prompts"
    return [shown[stem(form)] for form in forms], how


def _told_head(row: Row) -> str:
    reflexive = row.good.lower().endswith(("self", "selves"))
    head = derived_head(row.prompt, verb=reflexive)
    if head is None:
        raise InputError(f"{row.where}: expected a column {HEAD}, as no noun can be told from {row.prompt!r}")
    return head


def _class_names(file: str, rows: Sequence[Row]) -> tuple[str, str]:
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
    """Pairs by split: whole groups, the largest first, each to the split with the fewest of its classes.

    The order does not depend on the file's. Rows of one prompt are one group even if their heads differ: no prompt may
    occur in two splits.
    """
    group_of = {pair.prompt: pair.group for pair in reversed(pairs)}
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(group_of[pair.prompt], []).append(pair)

    def order(group: str) -> tuple[int, int, str]:
        members = groups[group]
        return -len(members), min(pair.label for pair in members), hashlib.sha256(group.encode()).hexdigest()

    dealt: dict[Split, list[Pair]] = {split: [] for split in HELD_OUT}
    for group in sorted(groups, key=order):
        own = Counter(pair.label for pair in groups[group])

        def crowded(split: Split, own: Counter[int] = own) -> tuple[int, int]:
            held = Counter(pair.label for pair in dealt[split])
            return sum(held[label] * count for label, count in own.items()), len(dealt[split])

        dealt[min(HELD_OUT, key=crowded)] += groups[group]
    return {split: tuple(members) for split, members in dealt.items()}
