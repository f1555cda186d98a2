"""The judge of English copulas: right often enough on texts with known answers, and never at a loss."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ace.families.agreement import generation
from ace.tasks.base import HELD_OUT, Split
from ace.tasks.by_name import TASKS
from ace.tasks.english_judge import count_copulas, find_copulas
from ace.tasks.english_words import noun_number
from ace.tasks.fragment.words import NOUNS, PLURAL, SINGULAR
from ace.tasks.verb_forms import told_number
from invariants.calibration import english_judge as calibration
from invariants.contracts.test_minimal_pairs import BLIMP

PRECISION, RECALL = 0.95, 0.7  # bounds set before the judge was asked about the parts held out
SWAPPED = {"is": "are", "are": "is", "was": "were", "were": "was"}
LIKELY = """the a these no each dogs dog children that who which of near and or but there it they I is are was were
    isn't it's they're here's if said seen running very one of some , . ? ! " ' ( ) -"""
likely = st.lists(st.sampled_from(LIKELY.split()), max_size=60).map(" ".join)


def swapped(text: str) -> str:
    return re.sub(r"\b(is|are|was|were)(?=\b|n['\u2019]t\b)", lambda verb: SWAPPED[verb.group()], text)


# --- measured on texts with known answers -----------------------------------------------------------------------------
@pytest.mark.parametrize("part", [calibration.TUNED, calibration.HELD_OUT, "generated"])
def test_what_is_told_is_right_and_most_is_told(part: str) -> None:
    counts = calibration.score(part)
    assert counts.precision.value >= PRECISION
    assert counts.recall.value >= RECALL
    assert counts.owned >= PRECISION * counts.right


def test_the_texts_with_known_answers_are_many_and_of_both_kinds() -> None:
    texts = calibration.answered_texts()
    written = [text for text in texts if text.part.startswith("written")]
    assert len(written) >= 200
    assert sum(text.part == calibration.HELD_OUT for text in texts) >= 100
    assert sum(text.part in calibration.PARTS["generated"] for text in texts) == 60
    assert len({text.text for text in texts}) == len(texts)
    assert all(bool(text.prompt) == (text.label is not None) for text in texts)
    tellable = [answer for text in written for answer in text.answers if answer.subject is not None]
    assert 0.4 < sum(answer.subject == answer.verb for answer in tellable) / len(tellable) < 0.6


def test_every_written_copula_has_an_answer() -> None:
    for text in calibration.answered_texts():
        for verb in re.finditer(r"\b(?:is|are|was|were)\b", text.text, re.IGNORECASE):
            if verb.start() >= len(text.prompt):
                assert any(answer.start <= verb.start() < answer.end for answer in text.answers), text.text


def test_the_table_and_the_mistakes_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert calibration.main([]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(calibration.PARTS) + 1
    assert calibration.main(["--wrong", calibration.TUNED]) == 0


@pytest.mark.skipif(not BLIMP.is_dir(), reason="the folder of BLiMP's files is absent")
def test_subjects_of_minimal_pairs_have_the_number_that_their_good_sentence_says() -> None:
    pairs = told = right = 0
    for name in ("distractor_agreement_relational_noun", "regular_plural_subject_verb_agreement_1"):
        for line in (BLIMP / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            pair = json.loads(line)
            number = told_number(pair["one_prefix_word_good"], pair["one_prefix_word_bad"])
            for verb in ("is", "are") if number is not None else ():
                copulas = find_copulas(f"{pair['one_prefix_prefix']} {verb} here.")
                pairs += 1
                told += len(copulas)
                right += sum(copula.subject == number for copula in copulas)
    assert pairs > 3000
    assert right / told >= PRECISION
    assert right / pairs >= RECALL


# --- contracts --------------------------------------------------------------------------------------------------------
@given(st.one_of(st.text(), likely), st.sampled_from([None, SINGULAR, PLURAL]), st.integers(0, 200))
@example("some of " * 3000 + "dogs are", None, 0)
@example("The dog " + "seen " * 500 + "is", 0, 7)
def test_no_text_is_too_broken(text: str, label: int | None, size: int) -> None:
    prompt = text[:size]
    copulas = find_copulas(text, prompt, label)
    places = [copula.place for copula in copulas]
    assert places == sorted(set(places))
    assert len(places) <= count_copulas(text, prompt)
    for copula in copulas:
        assert len(prompt) - 1 <= copula.place < len(text)
        verb = re.match(r"(?:is|are|was|were)(?:n['\u2019]t)?|['\u2019](?:s|re)", text[copula.place :], re.IGNORECASE)
        assert verb is not None
        assert (copula.verb == PLURAL) == (
            verb.group().lower().startswith(("are", "were")) or "re" in verb.group().lower()
        )


@given(st.one_of(st.sampled_from([text.text for text in calibration.answered_texts()]), likely))
def test_the_other_verb_turns_agreement_over(text: str) -> None:
    copulas, others = find_copulas(text), find_copulas(swapped(text))
    turned = [
        (copula, other)
        for copula, other in zip(copulas, others, strict=True)
        if text[copula.place :].startswith(tuple(SWAPPED))
    ]
    assert [copula.subject for copula in copulas] == [other.subject for other in others]
    assert all(copula.agrees != other.agrees for copula, other in turned)


@given(st.sampled_from([text for text in calibration.answered_texts() if text.part.startswith("written")]))
def test_lower_case_and_curly_apostrophes_are_read_alike(text: calibration.Answered) -> None:
    curly = find_copulas(text.text.replace("'", "\u2019"), text.prompt.replace("'", "\u2019"), text.label)
    assert curly == text.told()
    lower = {
        copula.place: copula.subject for copula in find_copulas(text.text.lower(), text.prompt.lower(), text.label)
    }
    assert all(lower.get(copula.place, copula.subject) == copula.subject for copula in text.told())


@given(
    st.sampled_from(sorted(TASKS)),
    st.sampled_from(HELD_OUT),
    st.integers(0, 99),
    st.sampled_from(["", " often", " near the river", ", which the dogs liked,", " (so they say)"]),
)
def test_the_first_copula_is_held_against_the_prompts_own_subject(
    task: str, split: Split, seed: int, between: str
) -> None:
    prompts = TASKS[task].prompts(split, 8, seed)
    for prompt, label in zip(prompts.texts, prompts.labels.tolist(), strict=True):
        for verb in SWAPPED:
            (copula,) = find_copulas(f"{prompt}{between} {verb} old.", prompt, label)
            assert (copula.own, copula.subject) == (True, label)
            assert copula.agrees == (label == (verb in ("are", "were")))


@pytest.mark.parametrize(("singular", "plural"), NOUNS)
def test_nouns_of_the_fragment_have_their_number(singular: str, plural: str) -> None:
    assert (noun_number(singular), noun_number(plural)) == (SINGULAR, PLURAL)


def test_texts_are_counted_by_all_their_copulas() -> None:
    prompts = TASKS["agreement"].prompts(Split.EVALUATION, 8)
    verbs = ("is", "are")
    written = " {} old. The dogs is late, the key is here, and whoever I was or is."
    texts = [prompt + written.format(verbs[label]) for prompt, label in zip(prompts.texts, prompts.labels, strict=True)]
    study: Any = SimpleNamespace(source=SimpleNamespace(fragment=False))
    judged = generation._judged(study, texts, prompts)
    assert set(judged.copulas) == set(judged.parsed) == {3}
    assert set(judged.agreeing) == {2}
    assert (set(judged.subjects), set(judged.plural)) == ({2}, {1})
    assert set(judged.sentences) == {5}
