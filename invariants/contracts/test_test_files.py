"""A test file of a user's own: subjects of every kind, claims by pattern, verdicts that it expects."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import ace
from ace.errors import ClaimError, InputError
from ace.extract import extract_core
from ace.suite.subjects import Asked, asked_subjects
from ace.verify import Status
from ace.zoo.named import ModelSource, lazy_factory
from invariants.contracts.exact import Exact, Largest
from invariants.contracts.runs import SUFFICIENCY, Run, documented, expected, read

pytest_plugins = ["pytester"]


def lazy(name: str = "tiny", about: str = "markov") -> ace.LazySubject:
    return ace.LazySubject(name, about, lambda: pytest.fail("made before a claim was put to it"))


def runs_subject(name: str = "exact") -> ace.Subject[Any]:
    return ace.runs_subject(name, [Exact(0)], Largest(), sites="readout", sizes={ace.Split.EVALUATION: 50})


def parameters(mark: pytest.MarkDecorator) -> list[Any]:
    names, values = mark.args
    assert names == ("ace_claim", "ace_subject")
    return list(values)


# --- what the decorator makes -----------------------------------------------------------------------------------------
def test_every_claim_about_a_subject_is_a_parameter_with_its_id_and_mark() -> None:
    made = parameters(ace.parametrize_with_claims([lazy("a"), runs_subject("b")]))
    assert [one.id for one in made] == [
        f"{claim.id}-{name}"
        for name, about in (("a", "markov"), ("b", "runs"))
        for claim in ace.registry().values()
        if claim.about == about
    ]
    assert [one.marks[0].args for one in made] == [(one.values[0],) for one in made]
    assert {one.values[1].name for one in made} == {"a", "b"}


def test_claims_are_selected_by_one_pattern_or_several() -> None:
    def ids(select: Any) -> list[str]:
        return [one.values[0] for one in parameters(ace.parametrize_with_claims([lazy()], select=select))]

    assert ids("markov.suff*") == ["markov.sufficiency", "markov.sufficiency_loss"]
    assert ids(("markov.rank", "*.spectrum")) == ["markov.rank", "markov.spectrum"]


def test_models_by_name_are_not_loaded_before_a_claim_is_put_to_them(tmp_path: Path) -> None:
    (one,) = parameters(ace.parametrize_with_claims([str(tmp_path)], select="agreement.flip"))
    assert isinstance(one.values[1], ace.LazySubject)
    assert one.values[1].name == str(tmp_path.resolve())
    assert one.id == f"agreement.flip-{tmp_path.resolve()}"


def test_a_function_by_name_gives_its_subject() -> None:
    name = f"{__name__}:runs_subject"
    made = parameters(ace.parametrize_with_claims([name], select="core.rank"))
    assert [one.id for one in made] == ["core.rank-exact"]


@pytest.mark.parametrize(
    ("subjects", "settings", "words", "error"),
    [
        ([lazy()], {"select": "markov.spin"}, "select: .* about markov, got 'markov.spin'", ClaimError),
        ([lazy()], {"select": ["markov.*", "core.*"]}, "select: .* got 'core.*'", ClaimError),
        ([lazy()], {"expected": {"core.rank": "FAILS"}}, "expected: .* about markov, got 'core.rank'", ClaimError),
        ([lazy()], {"expected": {"markov.*": "FAILS"}}, "expected: .* got 'markov.*'", ClaimError),
        ([lazy()], {"expected": {"markov.rank": "FAIL"}}, r"expected\['markov.rank'\]: .* got 'FAIL'", InputError),
        ([], {}, r"about no subject, got '\*'", ClaimError),
        ("./checkpoint", {}, "subjects: expected a list .* got one str", InputError),
        (lazy(), {}, "subjects: expected a list .* got one LazySubject", InputError),
        ([3], {}, "subjects: expected subjects or names of them, got int", InputError),
        ([lazy(), lazy()], {}, "expected different names, got tiny more than once", InputError),
        (["no.such:thing"], {}, "no.such:thing", InputError),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str | dict) else "",
)
def test_what_cannot_be_parameterised_is_told(
    subjects: Any, settings: dict[str, Any], words: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=words):
        ace.parametrize_with_claims(subjects, **settings)


# --- expected verdicts ------------------------------------------------------------------------------------------------
FILE = """
import ace
from invariants.contracts.builders import verdict
ONE = ace.LazySubject("tiny", "markov", lambda: 1 / 0)

@ace.parametrize_with_claims([ONE], select="markov.sufficiency", expected={expected})
def test_own(ace_claim, ace_subject, ace_settle):
    ace_settle(verdict("{status}", subject=ace_subject.name, identifier=ace_claim))
"""


@pytest.mark.parametrize(
    ("status", "known", "outcome"),
    [
        ("FAILS", "FAILS", "xfailed"),
        ("FAILS", ["VACUOUS", "FAILS"], "xfailed"),
        ("HOLDS", "FAILS", "failed"),
        ("VACUOUS", "VACUOUS", "passed"),
        ("HOLDS", "VACUOUS", "failed"),
        ("INAPPLICABLE", "INAPPLICABLE", "skipped"),
        ("FAILS", "INAPPLICABLE", "failed"),
    ],
)
def test_expected_verdicts_are_documented_ones(
    run: Run, pytester: pytest.Pytester, status: str, known: Any, outcome: str
) -> None:
    pytester.makepyfile(test_own=FILE.format(expected={SUFFICIENCY: known}, status=status))
    found = run()
    assert found.parseoutcomes() == {outcome: 1}
    if outcome in ("xfailed", "failed"):
        found.stdout.fnmatch_lines(["*expected in the test file*"])


def test_what_the_test_file_expects_goes_before_the_file_of_documented_verdicts(
    run: Run, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    file = expected(tmp_path, documented(SUFFICIENCY, '["HOLDS"]', subject='"tiny"'))
    pytester.makepyfile(test_own=FILE.format(expected={SUFFICIENCY: "FAILS"}, status="FAILS"))
    assert run(f"--ace-expected={file}").parseoutcomes() == {"xfailed": 1}


def test_a_mark_excuses_no_other_claim(run: Run, pytester: pytest.Pytester) -> None:
    text = FILE.format(expected={SUFFICIENCY: "FAILS"}, status="FAILS").replace("=ace_claim", "='markov.transplant'")
    pytester.makepyfile(test_own=text)
    assert run().parseoutcomes() == {"failed": 1}


# --- what a run is asked for ------------------------------------------------------------------------------------------
MINE = """
import ace
from invariants.contracts.exact import Exact, Largest
def make():
    sizes = dict.fromkeys(ace.Split, 300)
    sizes.pop(ace.Split.TRAINING)
    return ace.runs_subject("mine own", [Exact(0)], Largest(), sites="readout", sizes=sizes)
def broken():
    return ace.runs_subject("mine own", [Exact(0)], Largest(), sites="nowhere")
def other(): pass
"""


def test_a_function_may_lie_in_the_folder_where_pytest_is_started(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makefile(".py", mine=MINE)  # no test imports it, and the folder is on no path
    found = run("--pyargs", "ace.suite", "--ace-subject=mine:make")
    found.assert_outcomes(passed=2, skipped=5)
    found.stdout.fnmatch_lines(["mine own", "*core.sufficiency*HOLDS*"])


def test_the_command_of_a_verdict_selects_that_claim_on_the_subject_of_a_function(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makefile(".py", mine=MINE)
    run("--pyargs", "ace.suite", "--ace-subject=mine:make", "-k", "necessity", "--ace-json=all.json")
    (entry,) = read(pytester.path / "all.json")["results"]
    run(*shlex.split(entry["command"])[1:]).assert_outcomes(passed=1, deselected=6)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine:broken", "*--ace-subject: *nowhere*"),
        ("mine:other", "*--ace-subject: mine:other: expected a function that gives an ace.Subject, got NoneType*"),
        ("mine:nothing", "*--ace-subject: expected package.module:function, got 'mine:nothing'*"),
        ("spoilt:make", "*--ace-subject: expected package.module:function, got 'spoilt:make': SyntaxError*"),
    ],
)
def test_a_function_that_makes_no_subject_is_a_usage_error(
    run: Run, pytester: pytest.Pytester, name: str, words: str
) -> None:
    pytester.makefile(".py", mine=MINE, spoilt="def make(:")
    found = run("--pyargs", "ace.suite", f"--ace-subject={name}")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines([f"ERROR: {words.removeprefix('*')}"])


def test_nothing_asked_for_is_a_usage_error_that_says_what_to_give(run: Run) -> None:
    found = run("--pyargs", "ace.suite")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: nothing to verify: *--ace-model*--ace-subject*"])


def test_several_models_are_a_subject_each_and_one_together_named_after_its_members() -> None:
    models = [ModelSource(name) for name in ("hub/a", "hub/b", "hub/c")]
    made = asked_subjects(Asked(models=models, rerun=lambda subject: f"again {subject}"))
    assert [(one.name, one.about) for one in made] == [
        ("hub/a", "agreement"),
        ("hub/b", "agreement"),
        ("hub/c", "agreement"),
        ("hub/a and hub/b and hub/c", "agreement_family"),
    ]
    assert made[-1].command("agreement.scales") == "again hub/a and hub/b and hub/c"
    for order in ([2, 0, 1], [1, 2, 0]):
        again = asked_subjects(Asked(models=[models[place] for place in order]))
        assert again[-1].name == made[-1].name
    alone = asked_subjects(Asked(models=models[:1]))
    assert [(one.name, one.about) for one in alone] == [("hub/a", "agreement"), ("hub/a", "agreement_family")]


def test_a_family_is_ordered_by_size_and_leaves_out_by_name_what_does_not_agree(tmp_path: Path) -> None:
    small, large = (
        sorted((Path(__file__).parents[2] / "fixtures" / "weights").glob(f"agreement-{size}-*"))[0] / "0"
        for size in ("small", "large")
    )
    weak = tmp_path / "weak"
    language = ace.load_language_model(small)
    with torch.no_grad():  # the same shape, and no behaviour
        for weight in language.model.parameters():
            weight.normal_(std=0.02, generator=torch.Generator().manual_seed(0))
    language.model.save_pretrained(weak)  # type: ignore[operator]
    language.tokenizer.save_pretrained(weak)
    sources = [ModelSource(str(place)) for place in (large, weak, small)]
    *_, family = asked_subjects(Asked(models=sources))
    made = family.subject()
    assert [one.name for one in made.trained.subjects] == [str(small), str(large)]
    assert list(made.left_out) == [str(weak)]
    verdict = ace.verify_claim("agreement.scales", family)
    assert verdict.status is not Status.INAPPLICABLE
    assert f"; left out: {weak} does not agree: AUC " in verdict.reason
    assert list(verdict.details["left out"]) == [str(weak)]
    *_, pair = asked_subjects(Asked(models=sources[:2]))
    alone = ace.verify_claim("agreement.scales", pair)
    assert alone.status is Status.INAPPLICABLE
    assert alone.reason.startswith(
        f"one model alone has no other scale to be compared with; left out: {weak} does not agree"
    )


def test_two_copies_of_a_model_agree_with_each_other(tmp_path: Path) -> None:
    stored = sorted((Path(__file__).parents[2] / "fixtures" / "weights").glob("agreement-small-*"))[0] / "0"
    folders = [shutil.copytree(stored, tmp_path / name) for name in ("first", "second")]
    *_, family = asked_subjects(Asked(models=[ModelSource(str(folder)) for folder in folders]))
    assert family.name == " and ".join(map(str, folders))
    ids = [claim.id for claim in ace.registry().values() if claim.about == family.about]
    assert ids
    found = {name: ace.verify_claim(name, family) for name in ids}
    assert {verdict.subject for verdict in found.values()} == {family.name}
    overall, within = found["agreement.scales"], found["agreement.scales_within"]
    assert [seed.value for seed in overall.seeds] == pytest.approx([1.0, 1.0])
    # Over a ceiling that two halves of the prompts set, which is at most 1.
    assert [seed.value >= 1.0 - 1e-9 for seed in within.seeds] == [True]
    assert within.controls["other prompts"].place != "inside"


def test_a_model_asked_for_twice_is_refused() -> None:
    with pytest.raises(InputError, match="different names, got hub/a more than once"):
        asked_subjects(Asked(models=[ModelSource("hub/a"), ModelSource("hub/a")]))


def test_the_extractor_under_test_takes_the_place_of_the_functions_own() -> None:
    def mine(states: Any, sensitivities: Any, *, rank: Any) -> ace.Core:
        return extract_core(states, sensitivities, rank=ace.Fixed(1))

    name = f"{__name__}:runs_subject"
    assert lazy_factory(name).subject().trained.core(0).dimension == 2
    made = lazy_factory(name, extractor=mine, rerun=lambda subject: f"again {subject} {{claim}}")
    assert made.subject().trained.core(0).dimension == 1
    assert made.command("core.rank") == made.subject().command("core.rank") == "again exact core.rank"


def test_an_extractor_for_subjects_that_extract_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = ace.Subject("bare", "runs", SimpleNamespace(site="nowhere", require_behaviour=lambda name: None))
    monkeypatch.setattr("ace.zoo.named.factory_subject", lambda name: subject)
    with pytest.raises(InputError, match="extractor: expected with subjects whose cores are extracted, got a:b"):
        lazy_factory("a:b", extractor=lambda *_, **__: pytest.fail("called"))
