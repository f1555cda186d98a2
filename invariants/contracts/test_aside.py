"""A twin before training in the place of the trained model: whose weights wait, fail a run meanwhile, and come back.

There is no accelerator here: main memory stands for one.
"""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn

import ace.model.aside as aside
import ace.study.language_subjects as language_subjects
from ace.errors import AceError
from ace.families.family import find_claim
from ace.model.aside import weights_aside
from ace.model.language import LanguageModel
from ace.study.language_subjects import fresh_twin, language_subject
from ace.study.measurement import Measurement
from ace.study.prompt_seeds import TWINS, PromptSubject
from ace.tasks.by_name import ENGLISH, TASKS
from invariants.bench.random_models import as_if_it_agreed, random_model

ASK_FOR_TWINS = ("agreement.behaviour", "agreement.one_dimension", "agreement.final_norm")


@pytest.fixture
def small_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Main memory counts as an accelerator's."""
    monkeypatch.setattr(aside, "takes_room", lambda tensor: True)


class Tied(nn.Module):
    """Two parameters that are one, one that is a part of another's memory, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.arange(12.0).reshape(3, 4))
        self.same = self.first
        self.part = nn.Parameter(self.first.detach()[1:].T)
        self.register_buffer("counts", torch.arange(5))


def test_nothing_of_main_memory_is_moved() -> None:
    model = Tied()
    with weights_aside(model) as waiting:
        assert not waiting
        assert model.first.shape == (3, 4)


@pytest.mark.usefixtures("small_room")
def test_weights_come_back_as_they_were_and_share_memory_as_before() -> None:
    model = Tied()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with weights_aside(model) as waiting:
        assert waiting
        assert [value.numel() for value in model.state_dict().values()] == [0] * len(before)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.same is model.first
    with torch.no_grad():
        model.first[1, 2] = -1.0
    assert model.part[2, 0] == -1.0
    assert model.part.stride() == (1, 4)


@pytest.mark.usefixtures("small_room")
def test_weights_come_back_after_an_error_and_a_run_meanwhile_is_one() -> None:
    language = random_model("llama", 32, 2, 400)
    ids = torch.tensor([[1, 2, 3]])
    before, _ = language.run(ids)
    with pytest.raises((RuntimeError, IndexError)), weights_aside(language.model):
        language.run(ids)
    assert torch.equal(language.run(ids)[0], before)


def measured(subject: PromptSubject) -> list[Measurement]:
    with as_if_it_agreed(all_draws=False):
        return [find_claim(name).measure(subject) for name in ASK_FOR_TWINS]


def subject_of(language: LanguageModel) -> PromptSubject:
    return language_subject("random", language, TASKS[ENGLISH])


def told(found: list[Measurement]) -> list[object]:
    """Values, and those of controls."""
    return [
        ([e.value for e in one.estimates], {k: [e.value for e in each] for k, each in one.controls.items()})
        for one in found
    ]


def test_claims_are_the_same_where_twins_take_the_models_place(request: pytest.FixtureRequest) -> None:
    language = random_model("llama", 32, 2, 2048)
    beside = told(measured(subject_of(language)))
    request.getfixturevalue("small_room")
    subject = subject_of(language)
    assert told(measured(subject)) == beside
    with subject.twins().alone(0), pytest.raises((AceError, RuntimeError, IndexError)):
        language.run(torch.tensor([[1, 2, 3]]))


def test_one_twin_at_a_time_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[LanguageModel]] = []

    def twin(language: LanguageModel, seed: int) -> LanguageModel:
        gc.collect()
        alive = [one for one in made if one() is not None]
        assert not alive, f"{len(alive)} twins beside the one that is asked for"
        fresh = fresh_twin(language, seed)
        made.append(weakref.ref(fresh))
        return fresh

    monkeypatch.setattr(language_subjects, "fresh_twin", twin)
    measured(subject_of(random_model("llama", 32, 2, 2048)))
    assert len(made) >= TWINS


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_twin_is_as_precise_as_the_model_and_other_tensors_stay_as_they_were(dtype: torch.dtype) -> None:
    language = random_model("llama", 32, 2, 400)
    object.__setattr__(language, "model", language.model.to(dtype))
    twin = fresh_twin(language)
    assert {weight.dtype for weight in twin.model.parameters()} == {dtype}
    assert torch.empty(1).dtype == torch.float32
    assert twin.run(torch.tensor([[1, 2, 3]]))[0].isfinite().all()
