"""Properties of the English prompts: splits that share no word that matters, numbers and tenses crossed evenly."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ace.study.checks import require_different_prompts
from ace.study.prompts import SIZES
from ace.tasks import Split
from ace.tasks.agreement import AgreementTask
from ace.tasks.base import HELD_OUT
from ace.tasks.by_name import TASKS
from ace.tasks.english.published import ATTRACTORS, HEADS, PublishedTask
from ace.tasks.english.task import WORDINGS, EnglishTask, Wording
from ace.tasks.english.words import NOUNS, plural_of
from ace.tasks.head_nouns import derived_head, stem

TASK, PUBLISHED = EnglishTask(), PublishedTask()
FEWEST_NOUNS = 60  # of each split
splits = st.sampled_from(HELD_OUT)
seeds = st.integers(0, 99)
LEMMAS = {form: noun.forms[0] for nouns in NOUNS.values() for noun in nouns for form in noun.forms}
MARKED = re.compile(r"\b(a|an|this|these|those|is|are|was|were|has|have|do|does|some|many|every|each)\b")


def nouns_in(text: str) -> set[str]:
    return {LEMMAS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in LEMMAS}


def words_of(wording: Wording) -> set[str]:
    """Everything that a split's prompts are made of but nouns."""
    lists = (
        *wording.cues,
        *wording.words.values(),
        *wording.acts.values(),
        tuple(each.text for each in wording.frames),
    )
    return {word for words in lists for word in words}


# --- words ------------------------------------------------------------------------------------------------------------
def test_every_split_has_sixty_nouns_of_its_own_of_every_kind() -> None:
    forms = [form for nouns in NOUNS.values() for noun in nouns for form in noun.forms]
    assert len(set(forms)) == len(forms)  # no plural is a singular, of its own noun or another
    for nouns in NOUNS.values():
        assert len(nouns) >= FEWEST_NOUNS
        kinds = Counter(noun.kind for noun in nouns)
        assert min(kinds.values()) >= 10
        assert sum(plural != f"{singular}s" for singular, plural in (noun.forms for noun in nouns)) >= 10


@pytest.mark.parametrize(
    ("one", "several"),
    [("key", "keys"), ("box", "boxes"), ("bench", "benches"), ("brush", "brushes"), ("lady", "ladies"), ("boy", "boys"),
     ("boss", "bosses"), ("bus", "buses"), ("man", "men"), ("policeman", "policemen"), ("hero", "heroes"),
     ("knife", "knives"), ("horse", "horses"), ("monkey", "monkeys")],
)  # fmt: skip
def test_plurals(one: str, several: str) -> None:
    assert plural_of(one) == several


def test_the_forms_of_a_noun_have_one_stem_and_different_nouns_have_different_ones() -> None:
    stems = {singular: stem(singular) for singular in LEMMAS.values()}
    assert all(stem(form) == stems[singular] for form, singular in LEMMAS.items())
    assert len(set(stems.values())) == len(stems)
    others = (("glove", "gloves"), ("movie", "movies"), ("shoe", "shoes"), ("tree", "trees"), ("person", "people"))
    assert all(stem(one) == stem(several) for one, several in others)


def test_wordings_of_different_splits_share_no_frame_and_no_word() -> None:
    for one, other in combinations(WORDINGS.values(), 2):
        assert not words_of(one) & words_of(other)
    for wording in WORDINGS.values():
        assert len(wording.cues[0]) == len(wording.cues[1])
        assert len(wording.frames) >= 5


# --- prompts ----------------------------------------------------------------------------------------------------------
@given(seed=seeds, count=st.integers(1, 250))
def test_splits_share_no_noun(seed: int, count: int) -> None:
    used = [set().union(*map(nouns_in, TASK.prompts(split, count, seed).texts)) for split in HELD_OUT]
    assert sum(map(len, used)) == len(set.union(*used))


@given(split=splits, seed=seeds, times=st.integers(1, 6))
def test_numbers_tenses_and_frames_are_crossed_evenly(split: Split, seed: int, times: int) -> None:
    wording = WORDINGS[split]
    prompts = TASK.prompts(split, 8 * len(wording.frames) * times, seed)
    assert prompts.attractors is not None
    cells = Counter(
        (int(label), int(other), tense_of(text, wording), frame_of(text, wording))
        for text, label, other in zip(prompts.texts, prompts.labels, prompts.attractors, strict=True)
    )
    assert len(cells) == 8 * len(wording.frames)
    assert set(cells.values()) == {times}


def tense_of(text: str, wording: Wording) -> int:
    said = [tense for tense, cues in enumerate(wording.cues) for cue in cues if re.search(rf"\b{cue}\b", text, re.I)]
    assert len(said) == 1
    return said[0]


def frame_of(text: str, wording: Wording) -> str:
    """The one frame that a text fills, with the words of its split in their places."""
    places = {
        **wording.words,
        "cue": sum(wording.cues, ()),
        "did": sum(wording.acts.values(), ()),
        "who": ("who", "that"),
    }
    nouns = "|".join(LEMMAS)
    filled = {place: f"({'|'.join(words)})" for place, words in places.items()} | {
        "head": f"({nouns})",
        "other": f"({nouns})",
    }
    fits = [frame.text for frame in wording.frames if re.fullmatch(frame.text.format(**filled), text, re.I)]
    assert len(fits) == 1
    return fits[0]


@given(split=splits, seed=seeds, count=st.integers(1, 250))
def test_only_the_head_tells_its_number(split: Split, seed: int, count: int) -> None:
    prompts = TASK.prompts(split, count, seed)
    for text, head in zip(prompts.texts, prompts.groups, strict=True):
        assert text[0].isupper()
        assert nouns_in(text) > {head}
        bare = re.sub("|".join(cue for cues in WORDINGS[split].cues for cue in cues), "", text.lower())
        assert not MARKED.findall(bare)


@given(split=splits, seed=seeds)
def test_every_noun_of_a_split_is_a_head_before_any_is_twice(split: Split, seed: int) -> None:
    count = 2 * len(NOUNS[split])  # each heads a pair of prompts
    assert len(set(TASK.prompts(split, count, seed).groups)) == count // 2
    assert set(Counter(TASK.prompts(split, 3 * count, seed).groups).values()) == {6}


@given(split=splits, seed=seeds)
def test_prompts_of_a_head_come_in_pairs_that_differ_in_the_attractor_alone(split: Split, seed: int) -> None:
    prompts = TASK.prompts(split, 40, seed)
    assert prompts.attractors is not None
    pairs = defaultdict(set)
    for text, head, label, other in zip(prompts.texts, prompts.groups, prompts.labels, prompts.attractors, strict=True):
        words = re.findall(r"[a-z']+", text.lower())
        bare = [word if LEMMAS.get(word) == head else LEMMAS.get(word, word) for word in words]
        pairs[" ".join(bare), head, int(label)].add(int(other))
    assert list(pairs.values()) == [{0, 1}] * 20


@given(split=splits, seed=seeds, count=st.integers(1, 60), name=st.sampled_from(["english", "published"]))
def test_prompts_are_determined_by_split_count_and_seed(split: Split, seed: int, count: int, name: str) -> None:
    first, second = (TASKS[f"agreement-{name}"].prompts(split, count, seed) for _ in range(2))
    assert first.texts == second.texts
    assert np.array_equal(first.labels, second.labels)
    assert len(first) == count


@pytest.mark.parametrize("name", TASKS)
def test_no_text_is_in_two_splits(name: str) -> None:
    require_different_prompts(TASKS[name], SIZES)


@pytest.mark.parametrize("name", ["agreement", "agreement-english", "agreement-published"])
def test_the_rule_for_heads_finds_those_of_all_prompts(name: str) -> None:
    for split in HELD_OUT:
        prompts = TASKS[name].prompts(split, 400)
        for text, head in zip(prompts.texts, prompts.groups, strict=True):
            told = derived_head(text)
            assert told is not None
            assert stem(told) == stem(head)


# --- the published prompts --------------------------------------------------------------------------------------------
@given(seed=seeds, count=st.integers(2, 300))
def test_published_prompts_confound_head_and_attractor_and_share_their_nouns(seed: int, count: int) -> None:
    heads = {form for head in HEADS for form in (head, plural_of(head))}
    others = {form for other in ATTRACTORS for form in (other, plural_of(other))}
    for split in HELD_OUT:
        prompts = PUBLISHED.prompts(split, count, seed)
        assert prompts.attractors is not None
        assert (prompts.attractors == 1 - prompts.labels).all()
        assert abs(int(2 * prompts.labels.sum()) - count) <= 1
        assert set(prompts.groups) <= set(HEADS)
        for text, label in zip(prompts.texts, prompts.labels, strict=True):
            words = re.findall(r"[a-z]+", text.lower())
            (head,) = [word for word in words if word in heads]
            (other,) = [word for word in words if word in others]
            assert (head in HEADS, other in ATTRACTORS) == (label == 0, label == 1)


def test_half_of_the_published_prompts_are_about_the_past_and_no_two_are_the_same() -> None:
    found = [PUBLISHED.prompts(split, 10_000) for split in HELD_OUT]
    texts = [text for prompts in found for text in prompts.texts]
    assert len(set(texts)) == len(texts)
    assert sum(text.startswith("In the past, ") for text in texts) * 2 == len(texts)
    assert {int(label) for prompts in found for label in prompts.labels} == {0, 1}


def test_the_published_prompts_are_those_of_the_english_ones() -> None:
    assert isinstance(TASK.published, PublishedTask)
    assert TASKS["agreement"].published is None
    assert not PUBLISHED.attractors  # they are not crossed: nothing tells the two nouns apart


def test_prompts_that_differ_are_recorded_under_names_that_differ() -> None:
    every = [*TASKS.values(), AgreementTask(fragment=True), AgreementTask(attractors=False)]
    assert [task.name for task in TASKS.values()] == list(TASKS)  # a record says what was asked for
    texts = {task.name: task.prompts(Split.EVALUATION, 8).texts for task in every}
    assert len(set(texts.values())) == len(texts) == len(every)
    assert AgreementTask().name == AgreementTask(fragment=True).name == "agreement-lower-case"  # the same prompts
