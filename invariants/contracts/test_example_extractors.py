"""The extractors of examples/extractors, and the labels that one may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ace.alternatives.classes import mean_difference
from ace.alternatives.directions import principal_components
from ace.alternatives.evidence import Evidence
from ace.arrays import Ints
from ace.compare import overlap
from ace.core import Core
from ace.errors import Inapplicable
from ace.extract import checked, extract_core, extracted, wants_labels
from ace.files import default_cache
from ace.imports import load_attribute
from ace.rank import Fixed
from ace.study.checks import scored_classes
from ace.study.tokens import TokenStudy
from ace.tasks.base import Split
from ace.zoo.fixtures import StoredFixtures
from ace.zoo.named import ModelSource
from ace.zoo.obtain import Store
from invariants.calibration import extractors as comparison
from invariants.contracts.builders import gaussian

ROOT = Path(__file__).parents[2]
STORED = sorted((ROOT / "fixtures" / "weights").glob("agreement-small-*"))[0] / "0"
WIDTH = 6


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives the extractor of an example by its file's name."""
    monkeypatch.syspath_prepend(str(comparison.FOLDER))
    return lambda name: checked(load_attribute(f"{name}:extract"))


def labelled() -> tuple[torch.Tensor, torch.Tensor, Ints]:
    """States of three classes with means of their own, sensitivities, and the classes."""
    labels = np.arange(60) % 3
    return gaussian(0, 60, WIDTH) + 4 * gaussian(1, 3, WIDTH)[labels], gaussian(2, 5, WIDTH), labels


def same(first: Core, second: Core) -> None:
    assert first.dimension == second.dimension
    assert overlap(first.basis, second.basis) == pytest.approx(1.0)


def test_every_example_is_compared_and_described() -> None:
    names = {path.stem for path in comparison.FOLDER.glob("*.py")}
    assert names == set(comparison.EXTRACTORS.values())
    text = (comparison.FOLDER / "README.md").read_text()
    assert all(f"`{name}.py`" in text for name in names)


def test_the_balanced_example_finds_what_the_project_finds(examples: Any) -> None:
    states, read, _ = labelled()
    same(examples("balanced")(states, read, rank=Fixed(2)), extract_core(states, read, rank=Fixed(2)))


def test_the_other_examples_find_what_the_alternatives_of_their_names_find(examples: Any) -> None:
    states, read, labels = labelled()
    evidence = Evidence(states, read, labels)
    same(examples("pca")(states, read, rank=Fixed(2)), principal_components(evidence, 2))
    found = examples("mean_difference")(states, read, rank=Fixed(2), labels=labels)
    same(found, mean_difference(evidence, 2))
    core = examples("gradients")(states, read, rank=Fixed(2))
    axes = torch.linalg.svd(read.double()).Vh[:2]
    same(core, Core.from_basis(axes.T, states=states))


def test_more_dimensions_than_the_means_have_are_inapplicable(examples: Any) -> None:
    states, read, labels = labelled()
    with pytest.raises(Inapplicable, match="3 classes: basis: expected at least the 3 columns of fixed 3, got 2"):
        examples("mean_difference")(states, read, rank=Fixed(3), labels=labels)


# --- labels -----------------------------------------------------------------------------------------------------------
class Seen:
    """An extractor that asks for labels, and keeps what came."""

    def __init__(self) -> None:
        self.calls: list[tuple[torch.Tensor, Ints]] = []

    def __call__(self, states: torch.Tensor, sensitivities: torch.Tensor, *, rank: Any, labels: Ints) -> Core:
        self.calls.append((states, labels))
        return extract_core(states, sensitivities, rank=rank)


def test_labels_are_given_to_whoever_asks_for_them_and_to_nobody_else() -> None:
    states, read, labels = labelled()
    seen: Any = Seen()
    assert wants_labels(seen)
    assert wants_labels(checked(seen))
    assert not wants_labels(extract_core)
    extracted(checked(seen), states, read, rank=Fixed(1), labels=lambda: labels)
    ((_, given),) = seen.calls
    assert given is labels

    def never() -> Ints:
        raise AssertionError("asked for labels")

    same(extracted(extract_core, states, read, rank=Fixed(1), labels=never), extract_core(states, read, rank=Fixed(1)))


def test_labels_where_there_are_no_classes_are_inapplicable() -> None:
    states, read, _ = labelled()
    seen: Any = Seen()
    with pytest.raises(Inapplicable, match="asks for labels, and what the task has for targets are no classes"):
        extracted(seen, states, read, rank=Fixed(1), labels=lambda: None)


def test_labels_of_a_language_model_are_in_the_order_of_its_states() -> None:
    seen: Any = Seen()
    (study,) = ModelSource(str(STORED), task="agreement").load(extractor=seen).trained.studies
    study.core(study.sites[-1], 1)
    ((states, labels),) = seen.calls
    prompts = study.prompts(Split.EXTRACTION)
    assert sorted(labels) == sorted(prompts.labels)
    rows = torch.cat([group.rows for group in study.encoded(Split.EXTRACTION)]).numpy()
    assert labels.tolist() == prompts.labels[rows].tolist()
    assert torch.equal(states, study.observed[0][study.sites[-1].index])
    # They say what the contrast says of a model that agrees: so they belong to these states.
    centred = states.double() - states.double().mean(dim=0)
    means = [centred[torch.from_numpy(labels == label)].mean(dim=0) for label in (0, 1)]
    assert float((means[1] - means[0]).norm()) > 0.1 * float(centred.norm(dim=1).mean())


def test_labels_of_tokens_are_the_targets_of_the_scored_positions() -> None:
    seen: Any = Seen()
    fixtures = StoredFixtures(Store(ROOT / "fixtures", default_cache()), seen)
    subject = next(one for one in fixtures.subjects() if one.name == "markov-compact").subject()
    study: TokenStudy = subject.trained
    study.core(0)
    ((states, labels),) = seen.calls
    assert labels.tolist() == study.batch(Split.EXTRACTION).targets.reshape(-1).tolist()
    assert len(labels) == len(states)
    assert scored_classes(study.batch(Split.EXTRACTION)) is not None


# --- the page ---------------------------------------------------------------------------------------------------------
def test_the_table_has_a_row_for_every_property_and_claim() -> None:
    met = {name: {"one_property": "holds"} for name in comparison.EXTRACTORS}
    met["PCA"] = {"one_property": "**fails**"}
    found = {name: {("chain", "markov.rank"): "HOLDS, 3"} for name in comparison.EXTRACTORS}
    text = comparison.page(met, found)
    assert "| one property | holds | **fails** | holds | holds |" in text
    assert "## Claims on chain\n" in text
    assert "| markov.rank | HOLDS, 3 | HOLDS, 3 | HOLDS, 3 | HOLDS, 3 |" in text
