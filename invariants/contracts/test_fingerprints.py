"""What a subject's fingerprint tells apart, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ace.errors import Inapplicable
from ace.report.fingerprints import differences, other_task
from ace.study.fingerprint import ELSEWHERE, fingerprint, weights_digest
from ace.study.language_subjects import AGREEMENT_FAMILY, Scales, language_subject
from ace.study.subject import Subject
from ace.study.tokens import TokenStudy
from ace.tasks.agreement import AgreementTask
from ace.tasks.base import HELD_OUT, Batch, Split, Task
from ace.tasks.by_name import TASKS
from ace.tasks.markov import circulant_chain
from ace.tasks.pairs import MinimalPairs, Pair, read_pairs
from ace.tasks.prompt import Prompts, PromptTask
from ace.verify import verify_claim
from ace.zoo.named import ModelSource
from invariants.contracts import builders

STORED = sorted((Path(__file__).parents[2] / "fixtures" / "weights").glob("agreement-small-*"))[0] / "0"


# --- weights ----------------------------------------------------------------------------------------------------------
def test_equal_weights_have_one_digest_wherever_they_lie() -> None:
    assert weights_digest(builders.model()) == weights_digest(builders.model())


def smallest_change(model: nn.Module) -> None:
    weight = next(model.parameters()).data.view(-1)
    weight[0] = torch.nextafter(weight[0], torch.tensor(1.0, dtype=weight.dtype))


class Swapped(nn.Module):
    """Two weights of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Linear(3, 3, bias=False) for _ in range(2))


CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "the last bit of one weight": smallest_change,
    "the dtype": lambda model: model.float(),
    "a buffer": lambda model: model.register_buffer("more", torch.zeros(1)),
    "a buffer without entries": lambda model: model.register_buffer("more", torch.zeros(0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_gives_another_digest(change: str) -> None:
    model = builders.model()
    CHANGES[change](model)
    assert weights_digest(model) != weights_digest(builders.model())


def test_weights_that_change_places_have_another_digest() -> None:
    model = Swapped()
    before = weights_digest(model)
    model.first.weight.data, model.second.weight.data = model.second.weight.data, model.first.weight.data
    assert weights_digest(model) != before


def test_a_tied_weight_is_told_from_a_copy() -> None:
    model = Swapped()
    model.second.weight.data.copy_(model.first.weight.data)
    copied = weights_digest(model)
    model.second.weight = model.first.weight
    assert weights_digest(model) != copied


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8, torch.bool])
def test_weights_of_any_dtype_have_a_digest(dtype: torch.dtype) -> None:
    model = nn.Module()
    model.register_buffer("weight", torch.ones(3, 2).to(dtype))
    model.register_buffer("single", torch.ones(()).to(dtype))
    assert len(weights_digest(model)) == 64


def test_weights_that_are_not_in_memory_are_called_so() -> None:
    assert weights_digest(builders.model().to("meta")) == ELSEWHERE


# --- subjects ---------------------------------------------------------------------------------------------------------
def small(name: str = "small", **source: Any) -> Any:
    asked = ModelSource(str(STORED), label=name, **source)
    return language_subject(name, asked.language(), TASKS[source.get("task", "agreement")])


def test_a_language_model_has_task_weights_dtype_device_and_threads() -> None:
    found = fingerprint(small())
    assert (found["task"], found["dtype"], found["device"]) == ("agreement", "float32", "cpu")
    assert found["threads"] == torch.get_num_threads()
    assert fingerprint(small()) == found
    rounded = fingerprint(small(dtype="bfloat16"))
    assert {name for name in found if rounded[name] != found[name]} == {"weights", "dtype"}
    simple = fingerprint(small(task="agreement-simple"))
    assert {name for name in found if simple[name] != found[name]} == {"task", "task_digest"}


def test_several_models_have_one_fingerprint_together_and_one_alone_has_none() -> None:
    one, other = small(), small("rounded", dtype="bfloat16")
    both = fingerprint(Subject("both", AGREEMENT_FAMILY, Scales((one, other))))
    assert both["dtype"] == "float32 and bfloat16"
    assert len({both["weights"], fingerprint(one)["weights"], fingerprint(other)["weights"]}) == 3
    assert fingerprint(Subject("one", AGREEMENT_FAMILY, Scales((one,)))) == {}


def runs(length: int = 5) -> Subject[TokenStudy]:
    study = TokenStudy([builders.model(), builders.model(blocks=1)], circulant_chain(5, 0.6, length))
    return Subject("runs", "runs", study)


def test_ones_own_runs_have_a_fingerprint_of_all_models_and_sequences() -> None:
    found, longer = fingerprint(runs()), fingerprint(runs(4))
    assert (found["task"], found["dtype"]) == (circulant_chain().name, "float64")
    assert {name for name in found if longer[name] != found[name]} == {"task_digest"}


NOUNS = ("key", "cat", "dog", "car", "cup", "tree", "boy", "ring")


@pytest.fixture
def pairs(tmp_path: Path) -> MinimalPairs:
    """A file of minimal pairs: eight nouns in both numbers, a row each."""
    lines = [f"The {noun},is,are,singular,{noun}" for noun in NOUNS]
    lines += [f"The {noun}s,are,is,plural,{noun}" for noun in NOUNS]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(["prompt,good,bad,label,head", *lines]))
    return read_pairs(path)


def digest_of(source: PromptTask) -> str:
    found = fingerprint(language_subject("tiny", ModelSource(str(STORED)).language(), source))
    return str(found["task_digest"])


ROWS: dict[str, Callable[[Pair], Pair]] = {
    "text": lambda pair: replace(pair, prompt=f"Near {pair.prompt}"),
    "continuation": lambda pair: replace(pair, other="seems"),
    "group": lambda pair: replace(pair, group=f"{pair.group} alone"),
}


@pytest.mark.parametrize("change", ROWS)
@pytest.mark.parametrize("split", HELD_OUT)
def test_a_changed_row_of_any_split_is_another_task(pairs: MinimalPairs, split: Split, change: str) -> None:
    """Cores come from the extraction split, sites from the selection split, and intervals hang on groups."""
    first, *others = pairs.pairs[split]
    changed = replace(pairs, pairs={**pairs.pairs, split: (ROWS[change](first), *others)})
    assert digest_of(pairs) == digest_of(replace(pairs))
    assert digest_of(changed) != digest_of(pairs)


class OtherAttractors(AgreementTask):
    """Every noun beside a head is said to be of the other class than it is."""

    def prompts(self, split: Split, count: int, seed: int = 0) -> Prompts:
        found = super().prompts(split, count, seed)
        assert found.attractors is not None
        return replace(found, attractors=1 - found.attractors)


def test_other_attractors_are_another_task() -> None:
    assert digest_of(OtherAttractors(capital=True)) != digest_of(AgreementTask(capital=True))


class OneOther(Task):
    """A chain's sequences, but for one token of one split."""

    def __init__(self, split: Split | None) -> None:
        self._chain, self._split = circulant_chain(5, 0.6, 5), split
        self.name, self.vocabulary = self._chain.name, self._chain.vocabulary

    def draw(self, split: Split, sequences: int, seed: int = 0) -> Batch:
        batch = self._chain.draw(split, sequences, seed)
        if split == self._split:
            batch.inputs[0, 0] = (batch.inputs[0, 0] + 1) % 5
        return batch


@pytest.mark.parametrize("split", HELD_OUT)
def test_one_changed_token_of_any_split_is_another_task(split: Split) -> None:
    digests = [
        fingerprint(Subject("runs", "runs", TokenStudy([builders.model()], OneOther(each))))["task_digest"]
        for each in (None, split)
    ]
    assert digests[0] != digests[1]


class NoSelection(OneOther):
    """There is nothing to choose by."""

    def draw(self, split: Split, sequences: int, seed: int = 0) -> Batch:
        if split is Split.SELECTION:
            raise Inapplicable("nothing to choose by")
        return super().draw(split, sequences, seed)


def test_a_subject_that_lacks_a_split_has_none() -> None:
    assert fingerprint(Subject("runs", "runs", TokenStudy([builders.model()], NoSelection(None)))) == {}


class Foreign:
    """A study of a kind that is not the library's."""

    site = "somewhere"

    def require_behaviour(self, name: str) -> None:
        """Perform anything."""


def test_a_study_of_another_kind_has_none() -> None:
    assert fingerprint(Subject("foreign", "runs", Foreign())) == {}


def test_several_models_of_which_one_is_of_another_kind_have_none() -> None:
    foreign: Any = Subject("foreign", "runs", Foreign())
    assert fingerprint(Subject("both", AGREEMENT_FAMILY, Scales((small(), foreign)))) == {}


def test_every_verdict_has_the_fingerprint_of_its_subject() -> None:
    subject = small()
    assert verify_claim("agreement.behaviour", subject).fingerprint == fingerprint(subject)


# --- in words ---------------------------------------------------------------------------------------------------------
def test_what_either_does_not_say_is_no_difference() -> None:
    assert not list(differences({"environment": {"versions": {"torch": "1"}}, "subjects": {"a": {"dtype": "x"}}}, {}))
    assert other_task("a", {}, {"task": "pairs"}) == ""


def test_only_what_differs_is_told() -> None:
    before = {"environment": {"python": "3.11", "versions": {"torch": "1", "numpy": "2"}}}
    after = {"environment": {"python": "3.11", "versions": {"torch": "3", "numpy": "2"}}}
    assert list(differences(after, before)) == ["environment differs: torch 1 -> 3"]
