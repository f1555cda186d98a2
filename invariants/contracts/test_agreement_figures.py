"""Figures about agreement in anyone's model: each from one claim's entries in a stored record alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ace import PromptStudies, Split, Subject, verify_claim
from ace.auc import separations, simple_auc
from ace.core import ORTHOGONAL
from ace.families.agreement.figures import FIGURES, texts
from ace.families.agreement.shown import BAND, DRAWS, digits, rest_by_depth
from ace.model.intervene import Intervention
from ace.report.folder import write_report
from ace.report.record import document, read_document, result
from ace.report.stems import file_stem
from ace.study.prompts import PromptStudy
from ace.study.subspaces import rest_subspaces
from ace.zoo.named import ModelSource
from invariants.contracts.test_models import STORED, STORIES, needs_stories

Record = dict[str, Any]
OF_ONE_MODEL = {drawing.ending: drawing.claims[0] for drawing in FIGURES if drawing.ending != "scales"}
NUMBERS = 900  # a claim's entries, of one model, are no more


def measured(source: ModelSource) -> tuple[Subject[PromptStudies], Record]:
    """The model, and a record of all claims that have figures."""
    subject = source.load()
    claims = [*OF_ONE_MODEL.values(), "agreement.knob_within"]
    return subject, document([result(verify_claim(claim, subject)) for claim in claims])


@pytest.fixture(scope="module")
def verified() -> tuple[Subject[PromptStudies], Record]:
    return measured(ModelSource(str(STORED)))


@pytest.fixture
def study(verified: tuple[Subject[PromptStudies], Record]) -> PromptStudy:
    return verified[0].trained.study(0)


@pytest.fixture
def record(verified: tuple[Subject[PromptStudies], Record]) -> Record:
    return copy.deepcopy(verified[1])


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def details(record: Record, claim: str) -> dict[str, Any]:
    (found,) = [entry["details"] for entry in record["results"] if entry["claim"] == claim]
    return found


def only(record: Record, *claims: str) -> Record:
    return {**record, "results": [entry for entry in record["results"] if entry["claim"] in claims]}


def redrawn(tmp_path: Path, record: Record) -> None:
    """Figures of a user's model, drawn from the run and again from the record that it stored."""
    write_report(tmp_path / "first", record)
    drawn = pictures(tmp_path / "first")
    stem = file_stem(record["results"][0]["subject"])
    assert set(drawn) == {f"{stem}-{name}.png" for name in OF_ONE_MODEL}
    write_report(tmp_path / "second", read_document(tmp_path / "first" / "results.json"))
    assert pictures(tmp_path / "second") == drawn


def test_a_users_model_has_figures_and_the_record_alone_redraws_them(tmp_path: Path, record: Record) -> None:
    redrawn(tmp_path, record)


@needs_stories
@pytest.mark.slow
def test_a_model_that_others_trained_has_them_too(tmp_path: Path) -> None:
    redrawn(tmp_path, measured(ModelSource(str(STORIES), task="agreement-story"))[1])


REMOVED: dict[str, Callable[[Record], object]] = {
    "depth": lambda record: [each.pop("the rest") for each in details(record, "agreement.depth")["by depth"]],
    "alternatives": lambda record: details(record, "agreement.advantage").pop("seeds"),
    "knob": lambda record: details(record, "agreement.knob").pop("points"),
    "dose": lambda record: details(record, "agreement.dose").pop("curves"),
    "texts": lambda record: [seed.pop("texts") for seed in details(record, "agreement.generation")["seeds"]],
}


@pytest.mark.parametrize("name", OF_ONE_MODEL)
def test_a_record_without_the_data_has_fewer_figures_and_no_error(tmp_path: Path, record: Record, name: str) -> None:
    other = "knob" if name == "dose" else "dose"
    REMOVED[name](record)
    write_report(tmp_path, only(record, OF_ONE_MODEL[name], OF_ONE_MODEL[other]))
    assert [drawn.rpartition("-")[2] for drawn in pictures(tmp_path)] == [f"{other}.png"]


def test_each_claim_brings_its_figure_by_itself(tmp_path: Path, record: Record) -> None:
    for name, claim in OF_ONE_MODEL.items():
        write_report(tmp_path / name, only(record, claim))
        assert [drawn.rpartition("-")[2] for drawn in pictures(tmp_path / name)] == [f"{name}.png"]


def test_lines_and_the_rest_of_an_older_record_may_be_missing(tmp_path: Path, record: Record) -> None:
    del details(record, "agreement.knob")["lines"], details(record, "agreement.dose")["the rest"]
    write_report(tmp_path, only(record, "agreement.knob", "agreement.dose"))
    assert len(pictures(tmp_path)) == 2


def leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    elif isinstance(value, int | float):
        yield value


def test_what_is_kept_for_figures_is_little(record: Record) -> None:
    for claim in OF_ONE_MODEL.values():
        assert len(list(leaves(details(record, claim)))) <= NUMBERS, claim
    for kept in (details(record, "agreement.depth")["by depth"], details(record, "agreement.knob")):
        assert all(number == float(f"{number:.4g}") for number in leaves(kept))


# --- the numbers, each got plainly ------------------------------------------------------------------------------------
def test_bands_of_the_rest_are_those_of_draws_pushed_one_by_one(study: PromptStudy) -> None:
    bands, rows = rest_by_depth(study), study.few_rows(Split.EVALUATION)
    labels, base = study.labels(Split.EVALUATION)[rows], study.base(Split.EVALUATION)[rows]
    for place, index in enumerate(bands["sites"]):
        site = study.sites[index]
        core = study.core(site)
        drawn = rest_subspaces(core, study.observed[0][index], DRAWS, seed=index)
        for mode in ("keep", "remove", "flip"):
            edits = [Intervention(core.with_basis(basis), mode) for basis in drawn.directions]
            pushed = np.stack([study.push(Split.EVALUATION, site, [edit])[0, rows] for edit in edits])
            for name, values in (
                ("separation", separations(pushed, base, labels)),
                ("AUC", simple_auc(pushed, labels)),
            ):
                expected = np.percentile(values, BAND)
                np.testing.assert_allclose(bands[name][ORTHOGONAL][mode][place], expected, atol=1e-3)


def test_the_line_is_least_squares_on_the_selection_split(study: PromptStudy, record: Record) -> None:
    (line,) = details(record, "agreement.knob")["lines"]
    site = study.choice().site
    coordinate = study.core(site, 1).coordinates(study.states(Split.SELECTION, site))[:, 0].numpy()
    contrast, labels = study.base(Split.SELECTION), study.labels(Split.SELECTION)
    slope, intercept = np.polyfit(coordinate, contrast, 1)
    numbers = np.stack([coordinate, labels == 0, labels == 1], axis=1)
    within = np.linalg.lstsq(numbers, contrast, rcond=None)[0][0]
    assert (line["slope"], line["intercept"]) == pytest.approx((slope, intercept), rel=1e-3)
    assert line["slope within"] == pytest.approx(within, rel=1e-3)


def test_numbers_have_four_digits() -> None:
    assert digits([[1.23456, 0.000123456], [-98765.4, 0.0]]) == [[1.235, 0.0001235], [-98770.0, 0.0]]
    assert digits(2.00001) == 2.0


def test_texts_with_signs_of_their_own_are_drawn(tmp_path: Path, record: Record) -> None:
    (seed,) = details(record, "agreement.generation")["seeds"]
    seed["texts"] = {kind: ["a $x^ {b} \\frac 猫 \x00 \n “so” 🐈", ""] for kind in texts.KINDS}
    write_report(tmp_path, only(record, "agreement.generation"))
    assert [name.rpartition("-")[2] for name in pictures(tmp_path)] == ["texts.png"]
