"""Properties of the fragment, its judge, its tokenizer and the prompts made from it."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ace.tasks import Split
from ace.tasks.agreement import COPULA, FRAMES, HAVE, REGULAR, SIMPLE, AgreementTask
from ace.tasks.base import HELD_OUT
from ace.tasks.fragment.judge import judge
from ace.tasks.fragment.story import story
from ace.tasks.fragment.words import COPULAS, NOUNS, VERBS, vocabulary
from ace.tasks.prompt import Contrast
from ace.training.language.tokenizer import END, word_tokenizer
from invariants.properties.strategies import seeds

# Each form that shows its number, and the form of the other number.
OTHER = {form: forms[1 - number] for forms in (*COPULAS.values(), ("has", "have")) for number, form in enumerate(forms)}
OTHER |= {form: verb[1 - number] for verb in VERBS for number, form in enumerate(verb[:2])}

stories = st.builds(
    lambda seed, sentences: story(np.random.default_rng(seed), sentences), seed=seeds, sentences=st.integers(1, 6)
)
tasks = st.builds(AgreementTask, attractors=st.booleans(), capital=st.booleans())
splits = st.sampled_from(HELD_OUT)


@cache
def tokenizer() -> Any:
    return word_tokenizer(vocabulary(), 64)


# --- the judge --------------------------------------------------------------------------------------------------------
@given(text=stories)
def test_every_story_parses_and_agrees(text: str) -> None:
    verdicts = judge(text)
    assert len(verdicts) == text.count(".")
    assert all(found is not None and found.agrees is not False for found in verdicts)


@given(text=stories)
def test_a_main_verb_of_the_other_number_is_caught_and_only_it(text: str) -> None:
    clean = judge(text)
    sentences = text.removesuffix(".").split(". ")
    for place, found in enumerate(clean):
        assert found is not None
        if found.agrees is None:
            continue
        words = sentences[place].split()
        for at in [at for at, word in enumerate(words) if word == found.verb]:
            swapped = [*words[:at], OTHER[found.verb], *words[at + 1 :]]
            other = judge(". ".join([*sentences[:place], " ".join(swapped), *sentences[place + 1 :]]) + ".")
            # The same form may also stand in the relative clause, which the judge leaves alone.
            changed = other[place]
            if changed is not None and changed.verb == OTHER[found.verb]:
                assert changed.agrees is False
                break
        else:
            pytest.fail(f"no verb of {sentences[place]!r} was found to be changed")
        assert other[:place] + other[place + 1 :] == clean[:place] + clean[place + 1 :]


@given(text=stories)
def test_a_verb_without_number_agrees_with_either(text: str) -> None:
    for found in judge(text):
        assert found is not None
        assert (found.agrees is None) == (found.verb not in OTHER)


@given(text=stories, seed=seeds)
def test_a_sentence_with_a_word_missing_twice_or_moved_out_of_the_grammar_never_raises(text: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = text.split()
    at = int(rng.integers(len(words)))
    for broken in (words[:at] + words[at + 1 :], [*words[:at], words[at], *words[at:]], words[::-1]):
        joined = " ".join(broken)
        assert len(judge(joined)) == joined.count(".")


@given(text=stories)
def test_an_unfinished_sentence_is_not_judged(text: str) -> None:
    assert judge(text.rstrip(".")) == judge(text)[:-1]
    assert judge(text + " the key") == judge(text)


@given(seed=seeds, sentences=st.integers(1, 4))
def test_a_story_is_determined_by_its_stream(seed: int, sentences: int) -> None:
    first, second = (story(np.random.default_rng(seed), sentences) for _ in range(2))
    assert first == second
    assert first.count(".") == sentences


# --- the tokenizer ----------------------------------------------------------------------------------------------------
@given(text=stories)
def test_decoding_gives_the_text_back(text: str) -> None:
    ids = tokenizer()(text)["input_ids"]
    assert tokenizer().decode(ids, skip_special_tokens=True) == text
    assert ids[0] == tokenizer().convert_tokens_to_ids(END)
    assert tokenizer().unk_token_id not in ids
    assert len(ids) == 1 + len(re.findall(r"\w+|[.,]", text))


@given(text=stories, data=st.data())
def test_a_text_cut_at_a_word_is_a_prefix_in_tokens(text: str, data: st.DataObject) -> None:
    # What continuations rely on: what follows does not change how a prompt is split.
    cut = data.draw(st.sampled_from([match.start() for match in re.finditer(r" |$", text)]))
    whole, part = (tokenizer()(found)["input_ids"] for found in (text, text[:cut]))
    rest = tokenizer()(text[cut:], add_special_tokens=False)["input_ids"]
    assert part + rest == whole


# --- prompts ----------------------------------------------------------------------------------------------------------
@given(task=tasks, seed=seeds, count=st.integers(1, 60))
def test_splits_share_no_noun_and_no_frame(task: AgreementTask, seed: int, count: int) -> None:
    found = {split: task.prompts(split, count, seed % 1000) for split in HELD_OUT}
    nouns = {form: pair[0] for pair in NOUNS for form in pair}
    used = [{nouns[word] for text in p.texts for word in re.findall(r"\w+", text.lower()) if word in nouns}
            for p in found.values()]  # fmt: skip
    assert sum(map(len, used)) == len(set.union(*used))
    frames = [frame for table in (FRAMES, SIMPLE) for split in HELD_OUT for frame in table[split].frames]
    assert len(set(frames)) == len(frames)


@given(task=tasks, split=splits, seed=st.integers(0, 99), quarter=st.integers(1, 12))
def test_numbers_of_head_and_attractor_are_crossed_evenly(
    task: AgreementTask, split: Split, seed: int, quarter: int
) -> None:
    prompts = task.prompts(split, 4 * quarter, seed)
    assert (prompts.attractors is not None) == task.attractors
    others = [None] * len(prompts) if prompts.attractors is None else prompts.attractors.tolist()
    cells = Counter(zip(prompts.labels.tolist(), others, strict=True))
    wanted = {(0, 0), (0, 1), (1, 0), (1, 1)} if task.attractors else {(0, None), (1, None)}
    assert set(cells) == wanted
    assert len(set(cells.values())) == 1


@given(task=tasks, split=splits, seed=st.integers(0, 99), count=st.integers(1, 40))
def test_prompts_are_determined_by_split_count_and_seed(
    task: AgreementTask, split: Split, seed: int, count: int
) -> None:
    first, second = (task.prompts(split, count, seed) for _ in range(2))
    assert first.texts == second.texts
    assert np.array_equal(first.labels, second.labels)
    assert len(first) == count


@given(task=tasks, split=splits, seed=st.integers(0, 99), contrast=st.sampled_from([COPULA, HAVE, REGULAR]))
def test_a_label_is_the_number_that_the_judge_finds(
    task: AgreementTask, split: Split, seed: int, contrast: Contrast
) -> None:
    # Whatever follows the verb, the sentence agrees with the continuation of the label's number and with no other.
    rest = {COPULA: " old.", HAVE: " seen the key.", REGULAR: " the key."}[contrast]
    prompts = task.prompts(split, 8, seed)
    for text, label in zip(prompts.texts, prompts.labels, strict=True):
        for number, continuations in enumerate((contrast.other, contrast.wanted)):
            for continuation in continuations:
                (found,) = judge(text[0].lower() + text[1:] + continuation + rest)
                assert found is not None
                assert found.agrees == (number == label)
