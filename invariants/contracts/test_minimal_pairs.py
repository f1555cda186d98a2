"""Files of minimal pairs: what is read, which number it is given, how it is dealt to splits, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ace.errors import InputError
from ace.tasks import Split
from ace.tasks.base import HELD_OUT
from ace.tasks.pairs import MinimalPairs, read_pairs
from ace.tasks.prompt import Contrast, Prompts, PromptTask
from ace.tasks.verb_forms import told_number

BLIMP = Path(__file__).parents[3] / "shared" / "data" / "blimp"
NOUNS = ("key", "cat", "dog", "car", "cup", "tree", "boy", "ring")


def own(**changes: Any) -> dict[str, Any]:
    return {"prompt": "The key", "good": "is", "bad": "are", "label": "singular"} | changes


def rows() -> list[dict[str, Any]]:
    one = [own(prompt=f"The {noun}") for noun in NOUNS]
    return one + [own(prompt=f"The {noun}s", good="are", bad="is", label="plural") for noun in NOUNS]


def blimp(prompt: str, good: str, bad: str) -> dict[str, Any]:
    fields = {"one_prefix_prefix": prompt, "one_prefix_word_good": good, "one_prefix_word_bad": bad}
    return {**fields, "UID": "some_set", "sentence_good": f"{prompt} {good} here."}


def json_lines(folder: Path, entries: list[dict[str, Any]]) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def comma_separated(folder: Path, entries: list[dict[str, Any]]) -> Path:
    path = folder / "pairs.csv"
    lines = [",".join(entries[0]), *(",".join(f'"{value}"' for value in entry.values()) for entry in entries)]
    path.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    return path


def everything(pairs: MinimalPairs) -> dict[Split, Prompts]:
    return {split: pairs.prompts(split, 10_000) for split in HELD_OUT}


@pytest.mark.parametrize("write", [json_lines, comma_separated])
def test_a_row_becomes_a_prompt_with_its_contrast(tmp_path: Path, write: Any) -> None:
    pairs = read_pairs(write(tmp_path, rows()))
    assert (pairs.name, pairs.left_out) == ("pairs", 0)
    found = everything(pairs)
    assert sum(len(prompts) for prompts in found.values()) == 16
    for split, prompts in found.items():
        assert prompts.split == split
        assert set(prompts.contrasts) == {Contrast((" are",), (" is",))}
        assert prompts.labels.tolist() == [int(text.endswith("s")) for text in prompts.texts]
        assert prompts.groups == tuple(text.removeprefix("The ").removesuffix("s") for text in prompts.texts)
        assert prompts.names == ("singular", "plural")
        assert prompts.attractors is None


@pytest.mark.parametrize("label", ["plural", "Plural", "1", 1])
def test_labels_are_words_or_numbers(tmp_path: Path, label: object) -> None:
    entries = [entry | ({"label": label} if entry["label"] == "plural" else {"label": 0}) for entry in rows()]
    found = everything(read_pairs(json_lines(tmp_path, entries)))
    assert Counter(int(label) for prompts in found.values() for label in prompts.labels) == {0: 8, 1: 8}
    for prompts in found.values():
        assert prompts.labels.tolist() == [int(text.endswith("s")) for text in prompts.texts]


@pytest.mark.parametrize(("one", "other"), [("masculine", "feminine"), ("present", "past"), ("dual", "plural"), (7, 3)])
def test_labels_are_any_two_names(tmp_path: Path, one: object, other: object) -> None:
    entries = [entry | {"label": other if entry["label"] == "plural" else one} for entry in rows()]
    pairs = read_pairs(json_lines(tmp_path, entries))
    assert set(pairs.names) == {str(one), str(other)}
    assert read_pairs(json_lines(tmp_path, entries[::-1])).names == pairs.names
    for prompts in everything(pairs).values():
        names = [prompts.names[label] for label in prompts.labels]
        assert names == [str(other if text.endswith("s") else one) for text in prompts.texts]
        wanted = [prompts.each_contrast[row].wanted for row in np.flatnonzero(prompts.labels)]
        assert set(wanted) == {(" are",) if prompts.names[1] == str(other) else (" is",)}


def test_pairs_are_a_task_of_prompts(tmp_path: Path) -> None:
    pairs = read_pairs(json_lines(tmp_path, rows()))
    assert isinstance(pairs, PromptTask)
    assert pairs.contrast == Contrast((" are",), (" is",))
    assert (dict(pairs.transfers), pairs.attractors, pairs.fragment) == ({}, False, False)
    entries = rows()
    entries[0] |= {"good": "was", "bad": "were"}
    assert read_pairs(json_lines(tmp_path, entries)).contrast is None


def test_splits_share_no_prompt_and_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    # Two rows a prompt: with one verb and with another.
    past = {"is": "was", "are": "were"}
    entries = rows() + [entry | {name: past[entry[name]] for name in ("good", "bad")} for entry in rows()]
    found = everything(read_pairs(json_lines(tmp_path, entries)))
    texts = [set(prompts.texts) for prompts in found.values()]
    assert sum(map(len, texts)) == len(set.union(*texts)) == 16
    again = everything(read_pairs(json_lines(tmp_path, entries[::-1])))
    assert [set(prompts.texts) for prompts in again.values()] == texts


def test_rows_of_one_head_stay_together(tmp_path: Path) -> None:
    entries = [
        entry | {"prompt": f"{front} {entry['prompt']}", "head": entry["prompt"].removeprefix("The ")}
        for front in ("Today", "Now")
        for entry in rows()
    ]
    found = everything(read_pairs(json_lines(tmp_path, entries)))
    heads = [set(prompts.groups) for prompts in found.values()]
    assert sum(map(len, heads)) == len(set.union(*heads)) == 8  # key and keys are one
    assert set.union(*heads) == set(NOUNS)


@pytest.mark.parametrize("other", ["labels", "label"])
def test_heads_are_told_where_a_file_about_number_does_not_name_them(tmp_path: Path, other: str) -> None:
    # Fronts and attractors are shared by all; no noun of one split is in another.
    entries = [
        entry | {"prompt": f"{front} {entry['prompt'].lower()} near the {other}"}
        for front in ("These days,", "In the past", "They say that")
        for entry in rows()
    ]
    found = everything(read_pairs(json_lines(tmp_path, entries)))
    heads = [set(prompts.groups) for prompts in found.values()]
    assert sum(map(len, heads)) == len(set.union(*heads)) == 8
    assert set.union(*heads) == set(NOUNS)


def test_prompts_about_something_else_are_grouped_by_prompt_and_the_note_says_so(tmp_path: Path) -> None:
    entries = [own(prompt=f"{name} fell because", good="he", bad="she", label="man") for name in NOUNS]
    entries += [own(prompt=f"{name}a fell because", good="she", bad="he", label="woman") for name in NOUNS]
    pairs = read_pairs(json_lines(tmp_path, entries))
    assert all(prompts.groups == prompts.texts for prompts in everything(pairs).values())
    assert "a noun may be in two splits" in pairs.note
    named = read_pairs(json_lines(tmp_path, [entry | {"head": entry["prompt"].split()[0]} for entry in entries]))
    assert named.note == "pairs.jsonl: grouped by head"


def test_columns_of_other_names_are_ignored_and_named(tmp_path: Path) -> None:
    entries = [entry | {"source": "mine", "Label": 3, "note": None} for entry in rows()]
    pairs, bare = read_pairs(json_lines(tmp_path, entries)), read_pairs(json_lines(tmp_path, rows()))
    assert pairs.pairs == bare.pairs
    assert "columns not read: Label, note, source" in pairs.note
    assert "columns" not in bare.note


def test_prompts_are_balanced_random_by_seed_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    pairs = read_pairs(json_lines(tmp_path, rows()))
    first, second = (pairs.prompts(Split.EXTRACTION, 4, seed=3) for _ in range(2))
    assert first.texts == second.texts
    assert sorted(first.labels) == [0, 0, 1, 1]
    assert len({pairs.prompts(Split.EXTRACTION, 4, seed=seed).texts for seed in range(5)}) > 1


def test_rows_that_do_not_tell_their_number_and_rows_given_twice_are_left_out_and_counted(tmp_path: Path) -> None:
    told = [blimp(f"The {noun}", "runs", "run") for noun in NOUNS]
    told += [blimp(f"The {noun}s", "haven't", "hasn't") for noun in NOUNS]
    untold = [blimp("The sheep", "ran", "run"), blimp("The fish", "swam", "swims")]
    pairs = read_pairs(json_lines(tmp_path, told + untold + told[:3]))
    assert pairs.left_out == 5
    said = "5 of 21 rows left out: 2 whose words do not tell a number, 3 given twice"
    assert said in pairs.note
    assert sum(len(prompts) for prompts in everything(pairs).values()) == 16


@pytest.mark.parametrize(
    ("one", "several"),
    [("is", "are"), ("was", "were"), ("has", "have"), ("hasn't", "haven't"), ("doesn't", "don't"), ("isn't", "weren't"),
     ("runs", "run"), ("goes", "go"), ("passes", "pass"), ("worries", "worry"), ("looks like", "look like"),
     ("herself", "themselves"), ("Is", "are")],
)  # fmt: skip
def test_forms_tell_their_number(one: str, several: str) -> None:
    assert told_number(one, several) == 0
    assert told_number(several, one) == 1


@pytest.mark.parametrize(
    ("good", "bad"), [("ran", "run"), ("looks like", "look for"), ("is", "was"), ("isn't", "are"), ("say", "sies")]
)
def test_other_forms_do_not(good: str, bad: str) -> None:
    assert told_number(good, bad) is told_number(bad, good) is None


# --- refused ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt": " "}, "line 3 | prompt | not empty"),
        ({"good": ""}, "line 3 | good | not empty"),
        ({"bad": None}, "line 3 | bad | None"),
        ({"bad": " is"}, "line 3 | different continuations | 'is' twice"),
        ({"label": "dual"}, "line 3 | label plural or singular | 'dual'"),
        ({"label": True}, "line 3 | label | True"),
        ({"label": " "}, "line 3 | label | name | ' '"),
        ({"label": 1.5}, "line 3 | label | 1.5"),
        ({"label": "plural"}, "line 3 | expected label singular | 'is' | 'are' | got plural"),
        ({"good": "are", "bad": "is"}, "line 3 | expected label plural | 'are' | got singular"),
        ({"prompt": "near the"}, "line 3 | expected a column head | 'near the'"),
        ({"prompt": "The \ud800"}, "line 3 | prompt | surrogate"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    entries = rows()
    entries[2] |= change
    refused(words, json_lines(tmp_path, entries))


def refused(words: str, path: Path) -> None:
    with pytest.raises(InputError) as raised:
        read_pairs(path)
    for word in words.split(" | "):
        assert word in str(raised.value)


def test_a_row_that_calls_wrong_what_its_class_wants_is_refused_whatever_the_labels(tmp_path: Path) -> None:
    entries = [own(prompt=f"{name} fell because", good="he", bad="she", label="man") for name in NOUNS]
    entries += [own(prompt=f"{name}a fell because", good="she", bad="he", label="woman") for name in NOUNS]
    entries[9] |= {"good": "he", "bad": "she"}
    refused(
        "pairs.jsonl, line 10 | 'she' to be right | 'he' wrong for woman | 7 other rows", json_lines(tmp_path, entries)
    )


def test_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    entries = [{name: value for name, value in entry.items() if name != "bad"} for entry in rows()]
    refused("line 1 | expected columns prompt, good, bad, label | no bad", json_lines(tmp_path, entries))


def test_what_the_standard_readers_give_up_on_is_refused_with_file_and_line(tmp_path: Path) -> None:
    lines = "".join(f"The key number {number},is,are,singular\n" for number in range(6000))
    (tmp_path / "quote.csv").write_text(f'prompt,good,bad,label\n"The cat,is,are,singular\n{lines}', encoding="utf-8")
    refused("quote.csv, line | every quote closed", tmp_path / "quote.csv")
    row = json.dumps(own()).replace('"singular"', "1" * 5000)
    (tmp_path / "digits.jsonl").write_text(f"{row}\n", encoding="utf-8")
    refused("digits.jsonl, line 1: expected JSON", tmp_path / "digits.jsonl")
    (tmp_path / "deep.jsonl").write_text("[" * 100_000, encoding="utf-8")
    refused("deep.jsonl, line 1: expected JSON", tmp_path / "deep.jsonl")
    refused("path: expected a readable file | nul", tmp_path / "nul\0.csv")
    (tmp_path / "latin.csv").write_bytes("prompt,good,bad,label\nThe caf\u00e9,is,are,singular\n".encode("latin-1"))
    refused("path: expected a readable file | latin.csv", tmp_path / "latin.csv")


def test_a_csv_row_with_too_many_or_too_few_cells_is_refused(tmp_path: Path) -> None:
    for cells in ("The key,is,are,singular,more", "The key,is,are"):
        path = tmp_path / "pairs.csv"
        path.write_text(f"prompt,good,bad,label\n{cells}\n", encoding="utf-8")
        refused("pairs.csv, line 2", path)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    refused("path: expected a readable file | nowhere", tmp_path / "nowhere.csv")
    refused("path: expected a .jsonl or .csv | pairs.txt", tmp_path / "pairs.txt")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": ', encoding="utf-8")
    refused("broken.jsonl, line 1: expected JSON", broken)
    broken.write_text("[1]", encoding="utf-8")
    refused("broken.jsonl, line 1: expected an object, got list", broken)
    refused("line 1 | expected columns", json_lines(tmp_path, [{"sentence_good": "a", "sentence_bad": "b"}]))


def test_too_few_rows_of_a_number_are_refused(tmp_path: Path) -> None:
    refused("at least 2 singular rows | 0 in all", json_lines(tmp_path, rows()[8:]))
    refused("at least 2 plural rows | 5 in all", json_lines(tmp_path, rows()[:13]))
    refused("0 in all", json_lines(tmp_path, []))
    refused("pairs.jsonl | two classes | 'past' alone", json_lines(tmp_path, [own(label="past")]))


# --- real files -------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not BLIMP.exists(), reason="no shared/data/blimp beside the repository")
@pytest.mark.parametrize(
    "name",
    ["distractor_agreement_relational_noun", "regular_plural_subject_verb_agreement_1", "anaphor_number_agreement"],
)
def test_blimp_is_read(name: str) -> None:
    pairs = read_pairs(BLIMP / f"{name}.jsonl")
    found = everything(pairs)
    assert sum(len(prompts) for prompts in found.values()) + pairs.left_out == 1000
    assert "grouped by head nouns told from the prompts" in pairs.note
    heads = [set(prompts.groups) for prompts in found.values()]
    assert sum(map(len, heads)) == len(set.union(*heads))
    assert pairs.left_out <= 70  # short prompts recur with the same verb
    for prompts in found.values():
        assert len(prompts) > 300
        assert 0.25 < prompts.labels.mean() < 0.75
        taken = prompts.take(range(4))
        assert len(taken.contrasts) == 4
