"""Prompts from files of minimal pairs: BLiMP's JSON lines in their one-prefix form, or a user's own CSV or JSON lines.

A row is a prompt, the continuation that agrees (good) and the one that does not (bad), and the number of what they
agree with. Rows of one prompt, or of one head noun where the file names it, go to the same split.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ace.check import check_choice, check_count
from ace.errors import InputError
from ace.tasks.agreement import HELD, Contrast, Prompts
from ace.tasks.base import Split
from ace.tasks.fragment.words import PLURAL, SINGULAR

BLIMP = ("one_prefix_prefix", "one_prefix_word_good", "one_prefix_word_bad")
OWN = ("prompt", "good", "bad", "label")
HEAD = "head"  # optional in a file of one's own
LABELS = {"singular": SINGULAR, "plural": PLURAL, "0": SINGULAR, "1": PLURAL}
FEWEST = 2  # rows of each number in each split: less cannot be compared
_SINGULAR = {"is", "was", "has", "does", "himself", "herself", "itself"}
_PLURAL = {"are", "were", "have", "do", "themselves"}


@dataclass(frozen=True)
class Pair:
    """One row: `plural` and `singular` are the continuations that each number wants; `label` is the right number."""

    prompt: str
    plural: str
    singular: str
    label: int
    head: str


@dataclass(frozen=True, eq=False)
class MinimalPairs:
    """A file's pairs, dealt to the three splits by prompt or head noun.

    Attributes:
        name: stem of the file.
        pairs: split -> its rows.
        left_out: rows not used: of a number that their words do not tell, or the same as one before.
    """

    name: str
    pairs: Mapping[Split, tuple[Pair, ...]]
    left_out: int

    attractors = False
    fragment = False

    @property
    def transfers(self) -> Mapping[str, Contrast]:
        """Contrasts of other words: a file names none."""
        return {}

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        """At most `count` prompts of a split, in random order, as evenly as can be over the numbers.

        Raises:
            InputError: the training split, or no prompts.
        """
        check_choice("split", split, HELD)
        check_count("count", count)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(HELD.index(split),)))
        found = [self.pairs[split][row] for row in rng.permutation(len(self.pairs[split]))]
        # The k-th of either number before the k+1-th of the other: a prefix is balanced while both last.
        numbered = [[pair for pair in found if pair.label == number] for number in (SINGULAR, PLURAL)]
        ranked = [(place, pair.label, pair) for rows in numbered for place, pair in enumerate(rows)]
        taken = [pair for *_, pair in sorted(ranked, key=lambda entry: entry[:2])][:count]
        taken = [taken[row] for row in rng.permutation(len(taken))]
        return Prompts(
            tuple(pair.prompt for pair in taken),
            np.array([pair.label for pair in taken]),
            tuple(pair.head for pair in taken),
            np.full(len(taken), -1),
            tuple(Contrast((f" {pair.plural}",), (f" {pair.singular}",)) for pair in taken),
            split,
        )


def read_pairs(path: Path | str) -> MinimalPairs:
    """Minimal pairs of a .jsonl or .csv file.

    BLiMP's files have the columns of `BLIMP` and others; the number is told from the words, which are taken for verbs
    or reflexive pronouns. A file of one's own has `prompt`, `good`, `bad`, `label` (singular or plural, 0 or 1) and,
    if wanted, `head`, the noun that rows are grouped by. Continuations are written without the space before them.

    Raises:
        InputError: no such file, another kind, missing or unknown columns, empty or equal continuations, an unknown
            label (naming the line), or too few rows of a number for three splits.
    """
    path = Path(path)
    rows = [(f"{path.name}, line {line}", entries) for line, entries in _rows(path)]
    pairs = [_pair(where, entries) for where, entries in rows]
    kept = list(dict.fromkeys(pair for pair in pairs if pair is not None))
    dealt = _deal(kept)
    for split, members in dealt.items():
        for name, number in (("singular", SINGULAR), ("plural", PLURAL)):
            count = sum(pair.label == number for pair in members)
            if count < FEWEST:
                raise InputError(
                    f"{path.name}: expected at least {FEWEST} {name} rows of different prompts for each of 3 splits,"
                    f" got {count} for {split}, {sum(pair.label == number for pair in kept)} in all"
                )
    return MinimalPairs(path.stem, dealt, len(pairs) - len(kept))


def told_number(good: str, bad: str) -> int | None:
    """Number of the subject that `good` agrees with and `bad` does not, 0 or 1; None where their forms do not tell.

    A verb in -s is singular, as are is, was, has, does, with or without n't, and the reflexive pronouns of one.
    """
    first, second = (text.lower().split() for text in (good, bad))
    if not first or not second or first[1:] != second[1:]:
        return None
    for number, (one, other) in ((SINGULAR, (first[0], second[0])), (PLURAL, (second[0], first[0]))):
        known = one.removesuffix("n't") in _SINGULAR and other.removesuffix("n't") in _PLURAL
        if (known and one.endswith("n't") == other.endswith("n't")) or one in _third_person(other):
            return number
    return None


def _third_person(verb: str) -> set[str]:
    endings = {f"{verb}s", f"{verb}es"}
    return endings | {f"{verb[:-1]}ies"} if verb.endswith("y") else endings


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
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


def _pair(where: str, entries: Mapping[str, Any]) -> Pair | None:
    """A row as a pair; None where its number cannot be told."""
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
    label = told_number(good, bad) if blimp else _label(where, entries["label"])
    if label is None:
        return None
    plural, singular = (good, bad) if label == PLURAL else (bad, good)
    head = prompt if blimp or HEAD not in entries else _text(where, HEAD, entries[HEAD])
    return Pair(prompt, plural, singular, label, head)


def _text(where: str, name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: expected {name} to be a text that is not empty, got {value!r}")
    return value.strip()


def _label(where: str, value: object) -> int:
    found = None if isinstance(value, bool) else LABELS.get(str(value).strip().lower())
    if found is None:
        raise InputError(f"{where}: expected label singular, plural, 0 or 1, got {value!r}")
    return found


def _deal(pairs: list[Pair]) -> dict[Split, tuple[Pair, ...]]:
    """Pairs by split: groups of one head, in an order of their own whatever the file's, in turn to each split.

    Rows of one prompt are one group even if their heads differ: no prompt may occur in two splits.
    """
    head_of = {pair.prompt: pair.head for pair in reversed(pairs)}
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(head_of[pair.prompt], []).append(pair)

    def order(head: str) -> tuple[int, str]:
        # By number first, so that every split gets its share of both.
        return min(pair.label for pair in groups[head]), hashlib.sha256(head.encode()).hexdigest()

    dealt: dict[Split, list[Pair]] = {split: [] for split in HELD}
    for place, head in enumerate(sorted(groups, key=order)):
        dealt[HELD[place % len(HELD)]] += groups[head]
    return {split: tuple(members) for split, members in dealt.items()}
