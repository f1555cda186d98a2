"""Families are folders: a new one touches no file there is, a removed one leaves no trace, and its claims are whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import ace
import ace.families
from ace.errors import ClaimError
from ace.families.family import Family, families, find_claim, registry
from ace.stats import exact
from ace.study.claim import DIRECTIONS, OURS, PAPER, Bound, Claim, Replication
from ace.study.measurement import Measurement, measures
from ace.suite.parametrize import claims_of
from ace.suite.subjects import Asked, asked_subjects
from ace.verify import Status, verify_claim
from fixtures import __file__ as fixtures_file
from invariants.controls.test_claims_fail import FAULTS

LINES = 300  # of a module
FIXTURES = Path(fixtures_file).parent

# Nothing but `ace` is imported: what a family of one's own needs is public.
TOY = '''
"""Numbers that are positive."""

import ace


class Numbers:
    """Numbers in the place of models."""

    site = "nowhere"

    def __init__(self, *values):
        self.values = values

    def require_behaviour(self, name):
        """Numbers have no task to fail in."""


@ace.measures("negated")
def smallest(subject):
    """Each number, and its negative."""
    values = subject.trained.values
    return ace.Measurement(
        tuple(ace.Estimate(str(k), value) for k, value in enumerate(values)),
        {"negated": tuple(ace.Estimate(str(k), -value) for k, value in enumerate(values))},
    )


CLAIMS = (
    ace.Claim(
        "toy.positive", "Numbers are positive.", "ours", "a number", ace.Bound(">=", 0.0), "theorem", "by definition",
        controls=("negated",), measure=smallest,
    ),
)


def subjects(fixtures):
    """One subject that is as it should be, and one with a number that is not."""
    for name, values in (("good", (1.0, 2.0)), ("planted", (1.0, -2.0))):
        made = ace.Subject(name, "toy", Numbers(*values))
        yield ace.LazySubject(name, "toy", lambda made=made: made, memory=fixtures.memory("toy"))


FAMILY = ace.Family("toy", CLAIMS, subjects)
'''


@pytest.fixture
def add_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Writes the folder of a family where `ace.families` looks; afterwards nothing of it is left."""
    monkeypatch.setattr(ace.families, "__path__", [*ace.families.__path__, str(tmp_path)])
    added: list[str] = []

    def add(text: str = TOY, name: str = "toy") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text(dedent(text), encoding="utf-8")
        added.append(name)
        return folder

    yield add
    for name in added:
        sys.modules.pop(f"ace.families.{name}", None)
        vars(ace.families).pop(name, None)


@measures("control")
def one(subject: object) -> Measurement:
    """A number and a control."""
    return Measurement((exact("0", 1.0),), {"control": (exact("0", -1.0),)})


def claim(**changes: Any) -> Claim:
    fields: dict[str, Any] = {"controls": ("control",), "measure": one, **changes}
    source = f"{PAPER}, somewhere" if fields.get("kind") == "P" else OURS
    return Claim("t.one", "A sentence.", source, "a number", Bound(">=", 0.0), "null", "why", **fields)


# --- a claim and its measure ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"controls": ("absent",)}, "t.one: expected controls out of control, each once, got absent"),
        ({"controls": ("control", "control")}, "each once, got control, control"),
    ],
)
def test_a_claim_is_refused_when_it_is_defined_where_its_measure_lacks_a_control(
    changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ClaimError, match=named):
        claim(**changes)


def test_a_sentence_of_the_paper_brings_its_figure_and_one_of_ours_has_none() -> None:
    figure = Replication("3", lambda subject: (3.0,), "the same")
    assert claim(kind="P", replication=figure).replication is figure
    with pytest.raises(ClaimError, match=r"t\.one: expected a replication of a sentence of the paper.*, got None"):
        claim(kind="P")
    with pytest.raises(ClaimError, match=r"t\.one: expected no bound and no figure of the paper"):
        claim(replication=figure)
    with pytest.raises(ClaimError, match=r"t\.one: expected kind P .* got S for 'arXiv 2602\.22600, somewhere'"):
        replace(claim(kind="P", replication=figure), kind="S", replication=None)
    with pytest.raises(ClaimError, match=r"t\.one: expected kind P .* got P for 'ours'"):
        replace(claim(), kind="P", replication=figure)


def test_a_family_with_such_a_claim_is_refused_when_claims_are_collected(add_family: Callable[..., Path]) -> None:
    add_family(TOY.replace('controls=("negated",)', 'controls=("negated", "shuffled")'))
    with pytest.raises(ClaimError, match=r"toy\.positive: expected controls out of negated, each once, got shuffled"):
        _own_subjects("toy")


@pytest.mark.parametrize("names", [(), ("other",), ("control", "more")])
def test_a_measurement_with_other_controls_than_declared_is_an_error(names: tuple[str, ...]) -> None:
    number = (exact("0", 1.0),)
    measure = replace(one, compute=lambda subject: Measurement(number, dict.fromkeys(names, number)))
    with pytest.raises(ClaimError, match=r"expected the controls \['control'\], got \["):
        measure(object())


def test_such_a_measurement_is_no_verdict(add_family: Callable[..., Path]) -> None:
    add_family(TOY.replace('{"negated": tuple', '{"shuffled": tuple'))
    (good, _) = _own_subjects("toy")
    with pytest.raises(ClaimError, match=r"smallest: expected the controls \['negated'\], got \['shuffled'\]"):
        verify_claim("toy.positive", good)


# --- a folder is a family ---------------------------------------------------------------------------------------------
def _own_subjects(about: str) -> list[Any]:
    return [subject for subject in asked_subjects(Asked(fixtures=FIXTURES)) if subject.about == about]


def test_a_new_folder_is_a_new_family_and_its_claims_are_verified(add_family: Callable[..., Path]) -> None:
    before = [family.name for family in families()]
    add_family()
    assert [family.name for family in families()] == sorted([*before, "toy"])
    assert registry()["toy.positive"].statement == "Numbers are positive."
    subjects = _own_subjects("toy")
    assert claims_of(subjects) == [("toy.positive", subject) for subject in subjects]
    verdicts = {subject.name: verify_claim("toy.positive", subject) for subject in subjects}
    assert {name: verdict.status for name, verdict in verdicts.items()} == {
        "good": Status.HOLDS,
        "planted": Status.FAILS,
    }
    assert "outside the bound in 1" in verdicts["planted"].reason


def test_a_folder_that_is_gone_leaves_no_trace(add_family: Callable[..., Path]) -> None:
    before, claims, own = families(), dict(registry()), _own_subjects("toy")
    folder = add_family()
    assert find_claim("toy.positive").about == "toy"
    shutil.rmtree(folder)
    assert families() == before
    assert dict(registry()) == claims
    assert _own_subjects("toy") == own == []
    with pytest.raises(ClaimError, match=r"no claim 'toy\.positive'"):
        find_claim("toy.positive")


def test_files_beside_the_folders_are_no_families(add_family: Callable[..., Path]) -> None:
    folder = add_family()
    (folder.parent / "notes.py").write_text("raise AssertionError")
    (folder.parent / "empty").mkdir()
    assert [family.name for family in families() if family.name in ("toy", "notes", "empty")] == ["toy"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", r"ace\.families\.toy: expected a record FAMILY, got NoneType"),
        ("FAMILY = 3", "expected a record FAMILY, got int"),
        (TOY.replace('ace.Family("toy"', 'ace.Family("other"'), "expected a family of the folder's name, got 'other'"),
    ],
)
def test_a_folder_without_a_family_of_its_name_is_an_error(
    text: str, named: str, add_family: Callable[..., Path]
) -> None:
    add_family(text)
    with pytest.raises(ClaimError, match=named):
        registry()


def test_two_claims_of_one_id_are_an_error(add_family: Callable[..., Path]) -> None:
    add_family(TOY.replace('"toy.positive"', '"markov.spectrum"'))
    with pytest.raises(ClaimError, match=r"toy: expected ids that no other claim has, got 'markov\.spectrum'"):
        registry()


def test_two_claims_of_one_id_in_a_family_are_an_error(add_family: Callable[..., Path]) -> None:
    add_family(TOY.replace('ace.Family("toy", CLAIMS', 'ace.Family("toy", CLAIMS * 2'))
    with pytest.raises(ClaimError, match=r"got 'toy\.positive'"):
        registry()


# --- the claims there are ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("identifier", registry())
def test_a_claim_says_what_it_claims_where_it_comes_from_and_whom_it_is_about(identifier: str) -> None:
    sentence = find_claim(identifier)
    for name in ("statement", "source", "quantity", "bound_source", "rationale"):
        assert getattr(sentence, name).strip(), name
    assert sentence.statement.endswith(".")
    assert sentence.bound.direction in DIRECTIONS
    assert sentence.controls or any(identifier in planted for planted in FAULTS.values())
    assert sentence.measure.compute.__doc__
    about = {subject.about for subject in asked_subjects(Asked(fixtures=FIXTURES))}
    assert sentence.about in about | {"runs"}  # of anyone's own training runs the project has none


def test_each_subject_of_the_project_has_a_claim_that_is_about_it() -> None:
    subjects = asked_subjects(Asked(fixtures=FIXTURES))
    assert {subject.name for subject in subjects} == {subject.name for _, subject in claims_of(subjects)}


def test_a_claim_asks_a_subject_of_its_own_kind(add_family: Callable[..., Path]) -> None:
    add_family()
    with pytest.raises(ClaimError, match="expected a subject about markov, got good: toy"):
        verify_claim("markov.spectrum", _own_subjects("toy")[0])


def test_families_are_records_with_what_their_folder_gives() -> None:
    for family in families():
        assert isinstance(family, Family)
        assert family.claims
        if family.figures:
            assert family.figures.startswith(f"ace.families.{family.name}.")


@pytest.mark.slow
@pytest.mark.parametrize("name", [family.name for family in families() if family.name != "core"])
def test_deleting_a_family_is_deleting_its_folder(name: str, tmp_path: Path) -> None:
    (root,) = ace.__path__
    shutil.copytree(root, tmp_path / "ace", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(tmp_path / "ace" / "families" / name)
    code = """
        import ace
        [getattr(ace, name) for name in ace.__all__]
        import ace.cli, ace.report.figures, ace.suite.subjects, ace.zoo.fixtures
        print(*sorted({claim.measure.compute.__module__.split(".")[2] for claim in ace.registry().values()}))
    """
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", dedent(code)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted({family.name for family in families()} - {name})


# --- the house --------------------------------------------------------------------------------------------------------
def test_no_module_is_longer_than_one_can_read() -> None:
    (root,) = ace.__path__
    lengths = {path: path.read_text(encoding="utf-8").count("\n") for path in Path(root).rglob("*.py")}
    assert len(lengths) > 100
    assert {str(path): length for path, length in lengths.items() if length > LINES} == {}
