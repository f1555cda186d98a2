"""Warnings: errors where they are ours, shown where a dependency deprecates something of another's."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
FILTERS: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"][
    "filterwarnings"
]
# A module of that name calls something that warns with stacklevel 2, so that the warning is attributed to the module.
TEST = """
import warnings

def test_call():
    def deprecated():
        warnings.warn("use the new one", {category}, stacklevel=2)

    exec("deprecated()", {{"__name__": "{module}", "deprecated": deprecated}})
"""
DEPRECATIONS = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
OURS = (
    "ace",
    "ace.model.sites",
    "invariants.test_markov",
    "fixtures.explore",
    "conftest",
    "invariants.contracts.conftest",
)
# In a user's repository, whose policy is the user's: every module of ours, and a core extracted and put to use.
USERS = """
import importlib, pkgutil
import torch
import ace
from ace import Fixed, Intervention, extract_core, find_sites, head_sensitivities, intervening, states_at
from ace.training.transformer import Architecture, SmallTransformer

def test_every_module_can_be_imported():
    for module in pkgutil.walk_packages(ace.__path__, "ace."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

def test_a_core_is_extracted_and_removed():
    model = SmallTransformer(Architecture(5, 6, 1, width=8, heads=2, hidden=12)).eval().requires_grad_(False)
    site, inputs = find_sites(model).site(-1), torch.randint(5, (40, 6))
    states = states_at(model, inputs, site).flatten(0, 1)
    core = extract_core(states, head_sensitivities(model.head.weight), rank=Fixed(2))
    with intervening(model, site, Intervention(core, "remove")):
        model(inputs)
"""
OTHERS = ("torch.nn.modules.module", "transformers", "acetone", "their.ace", "fixtures_of_theirs.zoo", "__main__")


def outcome(pytester: pytest.Pytester, module: str, category: str, *options: str) -> pytest.RunResult:
    """Run a test in which a module of that name makes a call that warns, under the project's filters."""
    pytester.makeini("\n".join(["[pytest]", "filterwarnings =", *(f"    {line}" for line in FILTERS)]))
    pytester.makepyfile(TEST.format(module=module, category=category))
    # The warning is about running pytest within pytest, of no interest here.
    quiet = "-Wignore::pytest.PytestAssertRewriteWarning"
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options, quiet)


@pytest.mark.parametrize("category", DEPRECATIONS)
@pytest.mark.parametrize("module", OURS)
def test_a_deprecated_call_of_ours_is_an_error(pytester: pytest.Pytester, module: str, category: str) -> None:
    run = outcome(pytester, module, category)
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines([f"*{category}: use the new one*"])


@pytest.mark.parametrize("category", DEPRECATIONS)
@pytest.mark.parametrize("module", OTHERS)
def test_a_deprecated_call_of_a_dependency_is_shown_and_no_error(
    pytester: pytest.Pytester, module: str, category: str
) -> None:
    run = outcome(pytester, module, category)
    run.assert_outcomes(passed=1, warnings=1)
    run.stdout.fnmatch_lines([f"*{category}: use the new one*"])


@pytest.mark.parametrize("category", ["UserWarning", "RuntimeWarning", "ResourceWarning"])
def test_any_other_warning_is_an_error_wherever_it_comes_from(pytester: pytest.Pytester, category: str) -> None:
    outcome(pytester, "torch.nn.modules.module", category).assert_outcomes(failed=1)


def test_a_deprecation_of_pytest_is_an_error(pytester: pytest.Pytester) -> None:
    outcome(pytester, "_pytest.fixtures", "__import__('pytest').PytestDeprecationWarning").assert_outcomes(failed=1)


def test_the_command_line_may_ask_for_errors_everywhere(pytester: pytest.Pytester) -> None:
    outcome(pytester, "transformers", "FutureWarning", "-W", "error").assert_outcomes(failed=1)


def test_in_a_users_repository_nothing_of_ours_warns(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USERS)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error").assert_outcomes(passed=2)
