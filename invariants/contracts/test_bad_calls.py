"""Every public function answers a bad call with a named error: which argument, what was expected, what came."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ace
from ace import auc as discrimination
from ace import check, compare, core_arrays, core_file, dynamics, files, holm, intervals, linalg, rank, rotation, stats
from ace.alternatives import classes, directions, evidence, probe
from ace.core import Core
from ace.errors import (
    AceError,
    ArtifactError,
    ClaimError,
    ExtractorError,
    Inapplicable,
    InputError,
    InterventionError,
    RecipeError,
    SiteError,
    SplitError,
)
from ace.extract import checked, extract_core, extract_factors, extract_stream, head_sensitivities
from ace.families.core.subjects import runs_subject
from ace.families.family import find_claim
from ace.imports import load_attribute
from ace.model import (
    continuation,
    first_run,
    generate,
    head,
    language,
    observe,
    prefix,
    sites,
    steer,
    stored_prefix,
    token_ids,
)
from ace.model.intervene import Intervention, intervening, rank_scan
from ace.model.passes import outputs_of
from ace.model.tail import find_tail
from ace.moments import moments
from ace.report import record
from ace.spectrum import FactorSpectrum
from ace.study import claim as claims
from ace.study import fingerprint, prompts
from ace.study.checks import require_different_prompts
from ace.study.delays import delays_of
from ace.study.language_subjects import language_subject
from ace.study.measurement import Measurement, measures
from ace.study.memory import Memory
from ace.study.prompt_seeds import PromptStudies
from ace.study.rest import Rest, rank_test
from ace.study.run_history import RunHistory
from ace.study.subspaces import rest_subspaces, under_readers
from ace.study.sweep import SweepStudy, sweep_subject
from ace.study.tokens import TokenStudy, TokenSubject
from ace.suite.parametrize import parametrize_with_claims, require_different_names
from ace.tasks import (
    HiddenMarkov,
    MarkovChain,
    ModularAddition,
    PromptTask,
    Split,
    agreement,
    base,
    build_task,
    circulant_chain,
    hidden_permutation,
    low_rank_chain,
    mess3,
    pair_files,
    prompt,
)
from ace.tasks import pairs as minimal_pairs
from ace.tasks.english.published import PublishedTask
from ace.tasks.english.task import EnglishTask
from ace.tasks.english_judge import count_copulas, find_copulas
from ace.tasks.english_tags import check_continues
from ace.tasks.fragment.judge import judge as judge_agreement
from ace.tasks.fragment.story import story
from ace.training import checkpoint, ensemble, result, state, trainer
from ace.training.apart import alone, joined
from ace.training.course import parse_course
from ace.training.language import store as language_store
from ace.training.language import tokenizer as word_tokenizer
from ace.training.language import trainer as language_training
from ace.training.language.recipe import LanguageRecipe, read_language_recipe
from ace.training.recipe import (
    POSITIVE,
    check_in_range,
    check_keys,
    check_scales,
    parse_recipe,
    read_entries,
    read_recipe,
)
from ace.training.sweep.table import SweepTable
from ace.training.train import train, train_apart, trained_apart
from ace.training.transformer import Architecture, SmallTransformer
from ace.verdict import judge
from ace.verify import verify_claim
from ace.zoo import named
from ace.zoo.fixtures import StoredFixtures
from ace.zoo.obtain import Store
from ace.zoo.recipes import find_recipe, find_sweep
from invariants import FIXTURES
from invariants.contracts import builders, families
from invariants.contracts.builders import WIDTH, gaussian, holed
from invariants.contracts.test_courses import addition

Call = Callable[[Path], object]
NAN = float("nan")
GENERATOR = torch.Generator().manual_seed(0)


@dataclass(frozen=True)
class BadCall:
    """One wrong call of one public name, the error it must raise and what the message must tell."""

    id: str
    call: Call
    words: tuple[str, ...]
    error: type[AceError]

    @property
    def name(self) -> str:
        """The public name that is called, without its package."""
        return self.id.partition(": ")[0]


TABLE: list[BadCall] = []


def bad(identifier: str, call: Call, words: str, error: type[AceError] = InputError) -> None:
    """Add a row: "name: case", the call, and the words of its message, separated by bars."""
    TABLE.append(BadCall(identifier, call, tuple(words.split(" | ")), error))


# --- ace.check --------------------------------------------------------------------------------------------------------
bad(
    "check.as_matched: rows",
    lambda _: check.as_matched(("a", "b"), gaussian(0, 3, 4), gaussian(0, 2, 4)),
    "b | 3 rows as a has | 2",
)
bad("check.as_matched: one", lambda _: check.as_matched(("a", "b"), gaussian(0, 1, 4), gaussian(0, 1, 4)), "a | 2 rows")
bad("check.as_matrix: a vector", lambda _: check.as_matrix("H", gaussian(0, 3)), "H | matrix | (3,)")
bad("check.as_matrix: no rows", lambda _: check.as_matrix("H", gaussian(0, 0, 3)), "H | 1 rows | got 0")
bad("check.as_matrix: no columns", lambda _: check.as_matrix("H", gaussian(0, 3, 0)), "H | (3, 0)")
bad("check.as_matrix: width", lambda _: check.as_matrix("H", gaussian(0, 3, 4), width=5), "H | 5 | 4")
bad("check.as_finite: NaN", lambda _: check.as_finite("H", holed(3, 4, row=2)), "H | finite | row(s): 2")
bad("check.as_finite: infinity", lambda _: check.as_finite("g", float("inf")), "g | finite | inf")
bad("check.as_finite: text", lambda _: check.as_finite("H", ["a"]), "H | real numbers | list")
bad("check.as_finite: ragged", lambda _: check.as_finite("H", [[1.0], [1.0, 2.0]]), "H | array | list")
bad("check.as_finite: complex", lambda _: check.as_finite("H", np.ones(2) * 1j), "H | real | complex128")
bad("check.check_rank: above", lambda _: check.check_rank("r", 5, 4), "r | 1..4 | 5")
bad("check.check_rank: zero", lambda _: check.check_rank("r", 0, 4), "r | 1..4 | 0")
bad("check.check_rank: a truth value", lambda _: check.check_rank("r", True, 4), "r | integer | True")
bad("check.check_fraction: one", lambda _: check.check_fraction("p", 1.0), "p | between 0 and 1 | 1.0")
bad("check.check_choice: unknown", lambda _: check.check_choice("m", "c", ("a", "b")), "m | a, b | 'c'")
bad("check.check_device: unknown", lambda _: check.check_device("d", "tpu"), "d | cpu | 'tpu'")
bad("check.check_device: another kind", lambda _: check.check_device("d", "meta"), "d | cpu | 'meta'")
bad("check.check_device: not there", lambda _: check.check_device("d", "cuda:99"), "d | CUDA | 'cuda:99'")
bad("check.check_device: a list", lambda _: check.check_device("d", []), "d | cpu | []")
bad("check.check_count: a fraction", lambda _: check.check_count("n", 1.5), "n | integer | 1.5")
bad("check.check_count: too few", lambda _: check.check_count("n", 1, smallest=2), "n | at least 2 | 1")

# --- ace.linalg -------------------------------------------------------------------------------------------------------
FOUR = linalg.row_factor(gaussian(0, 3, 4), centred=True)
FIVE = linalg.row_factor(gaussian(0, 3, 5), centred=True)
RAW = linalg.row_factor(gaussian(0, 3, 4), centred=False)
BALANCE = linalg.balance(gaussian(0, 2, 4), gaussian(1, 3, 4))

bad("linalg.row_factor: a vector", lambda _: linalg.row_factor(gaussian(0, 3), centred=True), "rows | (3,)")
bad("linalg.row_factor: NaN", lambda _: linalg.row_factor(holed(3, 2), centred=True), "rows | row(s): 1")
bad("linalg.merge: widths differ", lambda _: linalg.merge(FOUR, FIVE), "factors | equal widths | 4 | 5")
bad("linalg.merge: one centred", lambda _: linalg.merge(FOUR, RAW), "factors | centred")
bad("linalg.stream_factor: no chunk", lambda _: linalg.stream_factor([], centred=True), "chunks | none")
bad(
    "linalg.stream_factor: NaN in the second chunk",
    lambda _: linalg.stream_factor([gaussian(0, 3, 4), holed(3, 4)], centred=True, name="states"),
    "states[1] | finite | row(s): 1",
)
bad(
    "linalg.stream_factor: an empty chunk",
    lambda _: linalg.stream_factor([gaussian(0, 0, 4)], centred=True),
    "chunks[0] | 1 rows | got 0",
)
bad(
    "linalg.stream_factor: widths differ",
    lambda _: linalg.stream_factor([gaussian(0, 3, 4), gaussian(0, 3, 5)], centred=True),
    "chunks[1] | width 4 | got 5",
)
bad("linalg.balance: widths", lambda _: linalg.balance(gaussian(0, 2, 4), gaussian(0, 2, 5)), "4 | 5")
bad("linalg.balance: NaN", lambda _: linalg.balance(holed(2, 4), gaussian(0, 2, 4)), "state_factor | 1")
bad("linalg.balance: no rows", lambda _: linalg.balance(FOUR.factor, gaussian(0, 0, 4)), "sensitivity | 0")
bad("linalg.Balance.directions: beyond the rank", lambda _: BALANCE.directions(3), "count | rank 2 | 3")
bad("linalg.Balance.readers: negative", lambda _: BALANCE.readers(-1), "count | at least 0 | -1")
bad("linalg.orthonormal: too many", lambda _: linalg.orthonormal(gaussian(0, 2, 3)), "columns | (2, 3)")
bad("linalg.orthonormal: infinity", lambda _: linalg.orthonormal(holed(3, 2, value=np.inf)), "columns | 1")
bad("linalg.nested_basis: a vector", lambda _: linalg.nested_basis(gaussian(0, 3)), "columns | (d, r) | (3,)")
bad("linalg.whitener: not square", lambda _: linalg.whitener(gaussian(0, 2, 3)), "moment | (2, 3)")
bad("linalg.whitener: NaN", lambda _: linalg.whitener(holed(3, 3)), "moment | finite | row(s): 1")
bad("linalg.random_frames: rank", lambda _: linalg.random_frames(3, 4, 1, GENERATOR), "rank | 3 | 4")
bad("linalg.random_frames: no draws", lambda _: linalg.random_frames(3, 2, 0, GENERATOR), "draws | 1 | 0")

# --- ace.alternatives -------------------------------------------------------------------------------------------------
STATES, LABELS, READ = gaussian(0, 6, 4), np.arange(6) % 2, gaussian(1, 3, 4)
EVIDENCE = evidence.Evidence(STATES, READ, LABELS)

bad("alternatives.evidence.Evidence: one state", lambda _: evidence.Evidence(STATES[:1], READ), "states | 2 rows | 1")
bad("alternatives.evidence.Evidence: widths", lambda _: evidence.Evidence(STATES, READ[:, :3]), "sensitivities | 4 | 3")
bad(
    "alternatives.evidence.Evidence: fewer labels",
    lambda _: evidence.Evidence(STATES, READ, LABELS[:5]),
    "labels | (6,) | (5,)",
)
bad(
    "alternatives.evidence.Evidence: labels that are no integers",
    lambda _: evidence.Evidence(STATES, READ, cast(Any, LABELS / 2)),
    "labels | integers | float64",
)
bad(
    "alternatives.evidence.Evidence: one class",
    lambda _: evidence.Evidence(STATES, READ, 0 * LABELS),
    "labels | two classes | [0]",
)
bad(
    "alternatives.evidence.Evidence: a mean of another width",
    lambda _: evidence.Evidence(STATES, READ, LABELS, gaussian(0, 3)),
    "mean | (4,) | (3,)",
)
bad("alternatives.evidence.Evidence.separable: no rank", lambda _: EVIDENCE.separable(0), "rank | at least 1 | 0")
bad(
    "alternatives.evidence.Evidence.core_of_directions: dependent",
    lambda _: EVIDENCE.core_of_directions(READ[:1].T.expand(4, 2), "given"),
    "directions | independent | column 1",
)
bad(
    "alternatives.evidence.Evidence.core_of_readers: where nothing varies",
    lambda _: evidence.Evidence(STATES * torch.tensor([1.0, 1, 1, 0]), READ).core_of_readers(torch.eye(4)[3:], "given"),
    "readers | vary along | given",
)
bad(
    "alternatives.evidence.Evidence.core_of_both: dependent",
    lambda _: EVIDENCE.core_of_both(READ[:1].T.expand(4, 2), READ[:2], "given"),
    "directions | independent | column 1",
)
bad(
    "alternatives.evidence.Evidence.core_of_both: not dual",
    lambda _: EVIDENCE.core_of_both(READ[:2].T, READ[1:], "given"),
    "readers | identity",
)
bad("alternatives.evidence.leading_rows: no rank", lambda _: evidence.leading_rows(READ, 0), "rank | at least 1 | 0")
bad("alternatives.evidence.leading_rows: zeros", lambda _: evidence.leading_rows(0 * READ, 1), "evidence | zeros")
for find in (
    classes.mean_difference,
    classes.least_squares_erasure,
    classes.linear_discriminants,
    probe.logistic_probe,
):
    stem = f"{find.__module__.removeprefix('ace.')}.{find.__name__}"
    bad(f"{stem}: no rank", lambda _, find=find: find(EVIDENCE, 0), "rank | at least 1 | 0")  # type: ignore[misc]
    bad(
        f"{stem}: no labels",
        lambda _, find=find: find(evidence.Evidence(STATES, READ), 1),  # type: ignore[misc]
        "labels | class of each state | none",
    )
bad(
    "alternatives.classes.linear_discriminants: shrinkage",
    lambda _: classes.linear_discriminants(EVIDENCE, 1, shrinkage=1.5),
    "shrinkage | 0..1 | 1.5",
)
bad(
    "alternatives.probe.logistic_probe: strength",
    lambda _: probe.logistic_probe(EVIDENCE, 1, strength=0.0),
    "strength | 0",
)
bad(
    "alternatives.directions.principal_components: a fraction",
    lambda _: directions.principal_components(EVIDENCE, cast(Any, 1.5)),
    "rank | integer | 1.5",
)
bad(
    "alternatives.directions.gradients_alone: zeros",
    lambda _: directions.gradients_alone(evidence.Evidence(STATES, 0 * READ), 1),
    "evidence | zeros",
)

# --- ace.stats --------------------------------------------------------------------------------------------------------
bad("stats.Estimate.interval: confidence", lambda _: stats.exact("0", 1.0).interval(1.5), "confidence | 1.5")
bad(
    "stats.Estimate: NaN",
    lambda _: stats.Estimate("seed 3", 1.0, replicates=np.array([1.0, NAN])),
    "replicates | seed 3 | (2,) with 1 that are NaN",
)
bad("stats.exact: NaN", lambda _: stats.exact("seed 3", NAN), "value | finite | seed 3 | nan")
bad("stats.proportion: no trials", lambda _: stats.proportion("0", 0, 0), "trials | at least 1 | 0")
bad("stats.proportion: too many hits", lambda _: stats.proportion("0", 4, 3), "hits | 0..3 | 4")
bad(
    "stats.clustered_proportion: one cluster",
    lambda _: stats.clustered_proportion("0", np.array([1]), np.array([2])),
    "hits | at least 2 clusters | (1,)",
)
bad(
    "stats.clustered_proportion: an empty cluster",
    lambda _: stats.clustered_proportion("0", np.array([0, 0]), np.array([2, 0])),
    "trials | at least 1 | 0",
)
bad(
    "stats.clustered_proportion: too many hits",
    lambda _: stats.clustered_proportion("0", np.array([1, 3]), np.array([2, 2])),
    "hits | between 0 and trials",
)
bad("intervals.binomial_limits: no trials", lambda _: intervals.binomial_limits(0, 0, 0.95), "trials | positive | 0")
bad("intervals.binomial_limits: hits", lambda _: intervals.binomial_limits(3, 2.5, 0.95), "hits | 0..2.5 | 3")
bad("intervals.binomial_limits: level", lambda _: intervals.binomial_limits(1, 2, 95), "confidence | 0 and 1 | 95")
bad("stats.bootstrap: one cluster", lambda _: stats.bootstrap("0", np.ones(1), float), "clusters | 2 | (1,)")
bad("stats.bootstrap: NaN", lambda _: stats.bootstrap("seed 3", np.array([1, NAN]), float), "seed 3 | NaN")
bad(
    "stats.bootstrap: no resamples",
    lambda _: stats.bootstrap("0", np.ones(3), float, resamples=0),
    "resamples | at least 1 | 0",
)
bad(
    "stats.bootstrap: one number for a stack",
    lambda _: stats.bootstrap("0", np.ones(3), lambda means: means.mean(), vectorized=True),
    "statistic | each of 1 means | ()",
)
bad("stats.bootstrap_mean: one cluster", lambda _: stats.bootstrap_mean("0", np.ones(1)), "clusters | 2")
bad(
    "stats.bootstrap_ratio: nothing below",
    lambda _: stats.bootstrap_ratio("0", np.zeros((3, 2))),
    "0 | finite statistic | NaN",
)
bad("stats.grouped: no groups", lambda _: stats.grouped(np.ones(3), 0), "groups | at least 1 | 0")
bad("holm.holm_intervals: none", lambda _: holm.holm_intervals([], float), "estimates | one | none")
bad("stats.quantile: no draws", lambda _: stats.quantile(np.ones(0), 0.9), "values | one draw | none")
bad("stats.quantile: level", lambda _: stats.quantile(np.ones(3), 99.9), "level | 0 and 1 | 99.9")
bad("stats.quantile: NaN", lambda _: stats.quantile(np.array([1.0, NAN]), 0.5), "values | NaN | 1 of 2")

# --- ace.moments ------------------------------------------------------------------------------------------------------
VIEW = np.ones((3, 4, 2))
bad("moments.moments: none", lambda _: moments(), "views | (n, t, k)")
bad("moments.moments: two axes", lambda _: moments(VIEW[0]), "views | (n, t, k) | (4, 2)")
bad("moments.moments: lengths differ", lambda _: moments(VIEW, VIEW[:, 1:]), "views | (3, 3, 2)")
bad("moments.moments: NaN", lambda _: moments(VIEW, holed(3, 4, 2).numpy()), "views[1] | row(s): 1")

# --- ace.rank ---------------------------------------------------------------------------------------------------------
SPECTRUM = rank.GivenSpectrum(torch.tensor([2.0, 1.0, 0.0]), 2, lambda draws, generator: torch.ones(draws))
CURVE = [0.2, 0.6, 0.9]
bad("rank.Energy: one", lambda _: rank.Energy(1.0), "threshold | between 0 and 1 | 1.0")
bad("rank.Fixed: zero", lambda _: rank.Fixed(0), "rank | at least 1 | 0")
bad("rank.Fixed.choose: above the numerical rank", lambda _: rank.Fixed(3).choose(SPECTRUM), "1..2 | 3")
bad("rank.Null: no draws", lambda _: rank.Null(draws=0), "draws | at least 1 | 0")
bad("rank.Null: quantile", lambda _: rank.Null(quantile=99.9), "quantile | 0 and 1 | 99.9")
bad("rank.check_rule: a number", lambda _: rank.check_rule("rank", 3), "rank | rule such as Fixed(3) | 3")
bad("rank.sufficient_rank: NaN", lambda _: rank.sufficient_rank([0.1, NAN], 1, 0), "kept | row(s): 1")
bad("rank.sufficient_rank: base", lambda _: rank.sufficient_rank(CURVE, NAN, 0.0), "base | finite | nan")
bad("rank.necessary_rank: bound", lambda _: rank.necessary_rank(CURVE, NAN), "bound | finite | nan")

# --- ace.spectrum, ace.core_arrays, ace.core_file, ace.core -----------------------------------------------------------
FOUND = FactorSpectrum(FOUR, RAW)
LINE = torch.eye(4, 1, dtype=torch.float64)
bad("spectrum.FactorSpectrum: widths", lambda _: FactorSpectrum(FIVE, RAW), "widths | 5 | 4")
bad("spectrum.FactorSpectrum.leading: beyond", lambda _: FOUND.leading(4), "count | at most | rank 2 | 4")
bad(
    "spectrum.FactorSpectrum.within: beyond what is read",
    lambda _: FOUND.within(torch.eye(4, dtype=torch.float64)),
    "basis | 4 dimensions | sensitivities read | got 3 | without sensitivities",
)
bad("core_arrays.independent_columns: a vector", lambda _: core_arrays.independent_columns("Q", CURVE), "Q | (3,)")
ARRAYS = {name: getattr(builders.core(), name) for name in core_arrays.ARRAYS}
bad(
    "core_file.write_core: NaN",
    lambda f: core_file.write_core(f / "c", {**ARRAYS, "mean": ARRAYS["mean"] * NAN}, builders.core().rank, {}),
    "core | mean | finite",
)
bad("core_file.read_use: no file", lambda f: core_file.read_use(f / "c"), "c: expected a saved core", ArtifactError)
bad("core_file.read_core: no file", lambda f: core_file.read_core(f / "c"), "c: expected a saved core", ArtifactError)
bad("core.Core.load: no file", lambda f: Core.load(f / "none"), "none: expected a saved core", ArtifactError)
bad("core.Core.load: a folder", lambda f: Core.load(f), "expected a saved core", ArtifactError)
bad("core.Core.save: a folder", lambda f: builders.core().save(f), "expected a place to write", ArtifactError)
bad("core.Core.projector: kind", lambda _: builders.core().projector("skew"), "kind | oblique | 'skew'")
bad("core.Core.coordinates: width", lambda _: builders.core().coordinates(gaussian(0, 2, 5)), "8 | 5")
bad("core.Core.coordinates: NaN", lambda _: builders.core().coordinates(holed(2, 8)), "states | row(s): 1")
bad("core.Core.truncated: beyond", lambda _: builders.core(3).truncated(4), "rank | 1..3 | 4")
bad("core.Core.truncated: zero", lambda _: builders.core(3).truncated(0), "rank | 1..3 | 0")
bad("core.Core.with_basis: skewed", lambda _: builders.core().with_basis(gaussian(0, 8, 2)), "orthonormal")
bad("core.Core.with_basis: width", lambda _: builders.core().with_basis(gaussian(0, 5, 2)), "(8, r) | (5, 2)")


def given_bad(case: str, words: str, basis: object, mean: object = None, **others: object) -> None:
    """A row for a call of `Core.from_basis`."""
    bad(f"core.Core.from_basis: {case}", lambda _: Core.from_basis(cast(Any, basis), cast(Any, mean), **others), words)  # type: ignore[arg-type]


DATA: Mapping[str, Tensor] = {"states": gaussian(0, 6, 4), "sensitivities": gaussian(1, 3, 4)}
UNREAD = {"states": DATA["states"], "sensitivities": DATA["sensitivities"] * torch.tensor([0.0, 1.0, 1.0, 1.0])}
STILL = {"states": DATA["states"] * torch.tensor([0.0, 1.0, 1.0, 1.0]), "sensitivities": torch.eye(4)}
TWICE = LINE.repeat(1, 2)
given_bad("a vector", "basis | (d, r) | (4,)", gaussian(0, 4), np.zeros(4))
given_bad("no rows", "basis | (d, r) | (0, 2)", gaussian(0, 0, 2), np.zeros(0))
given_bad("more columns than rows", "basis | r <= d | (2, 3)", gaussian(0, 2, 3), np.zeros(2))
given_bad("NaN", "basis | finite | row(s): 1", holed(4, 2), np.zeros(4))
given_bad("complex", "basis | real numbers | complex128", np.eye(4) * 1j, np.zeros(4))
given_bad("dependent columns", "basis | independent | column 1", TWICE, np.zeros(4))
given_bad("a column of zeros", "basis | independent | column 0", LINE * 0, np.zeros(4))
given_bad("neither mean nor states", "mean | states | neither", LINE)
given_bad("the mean's width", "mean | (4,) | (3,)", LINE, np.zeros(3))
given_bad("a mean with NaN", "mean | finite", LINE, np.array([0.0, NAN, 0.0, 0.0]))
given_bad("the states' width", "states | width 4 | got 5", LINE, states=gaussian(0, 6, 5))
given_bad(
    "sensitivities alone", "states | beside sensitivities", LINE, np.zeros(4), sensitivities=DATA["sensitivities"]
)
given_bad("one state", "states | at least 2 rows | got 1", LINE, **{**DATA, "states": gaussian(0, 1, 4)})
given_bad("the sensitivities' width", "sensitivities | 4 | 5", LINE, **{**DATA, "sensitivities": gaussian(0, 3, 5)})
given_bad("a number as rule", "rank | rule | 3", LINE, rank=3, **DATA)
given_bad("a rule without data", "rank | states and sensitivities", LINE, np.zeros(4), rank=rank.Full())
given_bad("a rule that asks for more", "basis | the 2 columns of fixed 2 | got 1", LINE, rank=rank.Fixed(2), **DATA)
given_bad("samples", "samples | at least 0 | -1", LINE, np.zeros(4), samples=-1)
given_bad("a span that is not read", "basis | 1 dimensions that the sensitivities read | got 0", LINE, **UNREAD)
given_bad("a span that states do not move in", "basis | 1 dimensions | states move | got 0", LINE, **STILL)
given_bad("too wide a span", "basis | 4 dimensions that the sensitivities read | got 3", torch.eye(4), **DATA)


# --- ace.extract ------------------------------------------------------------------------------------------------------
def returned(**changes: object) -> Callable[[Path], object]:
    """Call of a checked extractor that returns a good core with some parts replaced."""
    made = replace(builders.core(), **changes)  # type: ignore[arg-type]
    states = gaussian(0, 10, WIDTH)
    return lambda _: checked(lambda *_, rank: made)(states, states, rank=rank.Full())


H, J = gaussian(0, 6, 4), gaussian(1, 3, 4)
bad("extract.extract_core: no states", lambda _: extract_core(H[:0], J), "states | at least 2 rows | got 0")
bad("extract.extract_core: one state", lambda _: extract_core(H[:1], J), "states | at least 2 rows | got 1")
bad("extract.extract_core: three axes", lambda _: extract_core(H[None], J), "states | matrix | (1, 6, 4)")
bad("extract.extract_core: widths differ", lambda _: extract_core(H, J[:, 1:]), "sensitivities | 4 | 3")
bad("extract.extract_core: no sensitivities", lambda _: extract_core(H, J[:0]), "sensitivities | got 0")
bad("extract.extract_core: NaN in H", lambda _: extract_core(holed(6, 4, row=5), J), "states | row(s): 5")
bad("extract.extract_core: infinite J", lambda _: extract_core(H, holed(3, 4, value=np.inf)), "sensitivities | 1")
bad("extract.extract_core: a number as rule", lambda _: extract_core(H, J, rank=3), "rank | rule | 3")  # type: ignore[arg-type]
bad("extract.extract_core: rank above d", lambda _: extract_core(H, J, rank=rank.Fixed(5)), "rank | 1..3 | 5")
bad("extract.extract_stream: no chunk", lambda _: extract_stream([], [J]), "states | none")
bad("extract.extract_stream: width", lambda _: extract_stream([H], [J[:, 1:]]), "widths | 4 | 3")
bad("extract.extract_factors: centred", lambda _: extract_factors(RAW, RAW), "factors | centred")
bad(
    "extract.extract_factors: one state",
    lambda _: extract_factors(linalg.row_factor(H[:1], centred=True), RAW),
    "states | at least 2 rows | got 1",
)
bad("extract.head_sensitivities: one class", lambda _: head_sensitivities(J[:1]), "weight | 2 | 1")
bad(
    "extract.checked: no core at all",
    lambda _: checked(cast(Any, lambda *_, rank: H))(H, J, rank=rank.Full()),
    "ace.Core | Tensor",
    ExtractorError,
)
bad(
    "extract.checked: not orthonormal",
    returned(basis=2 * builders.core().basis),
    "orthonormal | 3.0e+00",
    ExtractorError,
)
bad("extract.checked: NaN", returned(basis=builders.core().basis * NAN), "basis | finite", ExtractorError)
bad("extract.checked: another width", returned(basis=gaussian(0, 5, 3)), "(8, r) | (5, 3)", ExtractorError)
bad("extract.checked: float32", returned(basis=builders.core().basis.float()), "float64 | float32", ExtractorError)
bad("extract.checked: no readers", returned(readers=gaussian(0, 0, 8)), "readers (3, 8) | (0, 8)", ExtractorError)
bad("extract.checked: no mean", returned(mean=gaussian(0, 1)), "mean (8,) | (1,)", ExtractorError)

# --- ace.model.sites --------------------------------------------------------------------------------------------------
FOREIGN = sites.Site(0, 0.0, "layers.0", linear_tail=False)
bad(
    "model.sites.Anatomy.site: above",
    lambda _: sites.find_sites(builders.model()).site(3),
    "site | 0..2 | 3",
    SiteError,
)
bad(
    "model.sites.Anatomy.site: a float",
    lambda _: sites.find_sites(builders.model()).site(1.0),  # type: ignore[arg-type]
    "0..2 | 1.0",
    SiteError,
)
bad(
    "model.sites.find_sites: no blocks",
    lambda _: sites.find_sites(builders.Blockless()),
    "ModuleList | Blockless",
    SiteError,
)
bad(
    "model.sites.find_sites: no head",
    lambda _: sites.find_sites(builders.Headless()),
    "linear head | Headless",
    SiteError,
)
bad("model.sites.head_of: no blocks", lambda _: sites.head_of(nn.Linear(2, 2)), "ModuleList | Linear", SiteError)


def run_hooked(site: sites.Site, edit: Callable[[Tensor], Any]) -> None:
    model = builders.model()
    with sites.hooked(model, site, edit):
        model(builders.tokens())


bad(
    "model.sites.hooked: a site of another model",
    lambda _: run_hooked(FOREIGN, lambda h: h),
    "layers.0 | none",
    SiteError,
)
bad(
    "model.sites.hooked: a smaller state",
    lambda _: run_hooked(builders.site(), lambda h: h[:1]),
    "(4, 5, 8) | (1, 5, 8)",
    InterventionError,
)
bad(
    "model.sites.hooked: no state",
    lambda _: run_hooked(builders.site(), lambda h: 1.0),
    "state | float",
    InterventionError,
)


# --- ace.model.observe ------------------------------------------------------------------------------------------------
def broken_model() -> SmallTransformer:
    """Token 4 has an infinite embedding, so the sequences that hold it have no finite states."""
    model = builders.model()
    model.tokens.weight[4] = torch.inf
    return model


def sensitivities(output: Callable[[Tensor], Any] = lambda x: x[:, -1, 0], **options: Any) -> object:
    options = {"inputs": builders.tokens(), "sites": [builders.site()], **options}
    return observe.sensitivities_at(builders.model(), output=output, **options)


IDS = torch.tensor([[0, 1], [1, 4], [2, 3]])
bad("model.observe.check_inputs: floats", lambda _: observe.check_inputs(gaussian(0, 2, 3)), "inputs | integer")
bad("model.observe.check_inputs: a vector", lambda _: observe.check_inputs(IDS[0]), "inputs | (n, t) | (2,)")
bad("model.observe.check_inputs: a list", lambda _: observe.check_inputs([[1]]), "inputs | (n, t) | list")  # type: ignore[arg-type]
bad("model.observe.states_at: empty", lambda _: observe.states_at(builders.model(), IDS[:0], builders.site()), "(0, 2)")
bad(
    "model.observe.states_at: a foreign site",
    lambda _: observe.states_at(builders.model(), IDS, FOREIGN),
    "layers.0",
    SiteError,
)
bad(
    "model.observe.states_at: infinite states",
    lambda _: observe.states_at(broken_model(), IDS, builders.site(0), chunk=1),
    "site 0 | finite states | rows [1]",
)
bad(
    "model.observe.states_at: longer than the position table",
    lambda _: observe.states_at(builders.model(), builders.tokens(1, 7), builders.site()),
    "inputs | at most 6 positions | got 7",
)
bad(
    "model.observe.stream_states: no chunk",
    lambda _: list(observe.stream_states(builders.model(), IDS, builders.site(), chunk=0)),
    "chunk | at least 1 | 0",
)
bad("model.observe.sensitivities_at: no site", lambda _: sensitivities(sites=[]), "sites | one site | none")
bad("model.observe.sensitivities_at: position", lambda _: sensitivities(position=5), "position | -5..4 | 5")
bad("model.observe.sensitivities_at: half a position", lambda _: sensitivities(position=0.5), "position | 0.5")
bad("model.observe.sensitivities_at: chunk", lambda _: sensitivities(chunk=0), "chunk | at least 1 | 0")
bad("model.observe.sensitivities_at: a foreign site", lambda _: sensitivities(sites=[FOREIGN]), "layers.0", SiteError)
bad("model.observe.sensitivities_at: all logits", lambda _: sensitivities(lambda x: x), "output | (4,) | (4, 5, 5)")
bad("model.observe.sensitivities_at: no tensor", lambda _: sensitivities(lambda x: 1.0), "output | (4,) | float")
bad("model.observe.sensitivities_at: a constant", lambda _: sensitivities(lambda x: torch.ones(4)), "output | depend")
bad(
    "model.observe.sensitivities_at: infinite gradients",
    lambda _: sensitivities(lambda x: (x[:, -1, 0] - x[:, -1, 0].detach()).abs().sqrt()),
    "site 2 | finite sensitivities | rows [0, 1, 2, 3]",
)

# --- ace.model.intervene ----------------------------------------------------------------------------------------------
KEEP = Intervention(builders.core(), "keep")
RESAMPLE = Intervention(builders.core(), "keep", reference="resample")


def intervened(intervention: Intervention = KEEP, **options: Any) -> None:
    model = builders.model()
    with intervening(model, builders.site(), intervention, **options):
        model(builders.tokens())


def scanned(**changes: Any) -> object:
    arguments = {
        "states": gaussian(0, 6, 8),
        "targets": torch.zeros(6),
        "weight": gaussian(1, 5, 8),
        "bias": torch.zeros(5),
    }
    return rank_scan(**{**arguments, "core": builders.core(), **changes})


bad("model.intervene.Intervention: mode", lambda _: Intervention(builders.core(), "drop"), "mode | 'drop'")
bad("model.intervene.Intervention: no core", lambda _: Intervention(H, "keep"), "core | Tensor")  # type: ignore[arg-type]
bad("model.intervene.Intervention: reference", lambda _: replace(KEEP, reference="median"), "reference | 'median'")
bad("model.intervene.Intervention: projector", lambda _: replace(KEEP, projector="skew"), "projector | 'skew'")
bad("model.intervene.Intervention: no strength", lambda _: replace(KEEP, mode="scale"), "strength | None")
bad("model.intervene.Intervention: needless strength", lambda _: replace(KEEP, strength=2.0), "strength | 2.0")
bad("model.intervene.Intervention: NaN", lambda _: replace(KEEP, mode="scale", strength=NAN), "strength | nan")
bad("model.intervene.Intervention.apply: width", lambda _: KEEP.apply(gaussian(0, 2, 5)), "states | 8 | 5")
bad("model.intervene.Intervention.apply: one row", lambda _: RESAMPLE.apply(gaussian(0, 1, 8)), "2 rows | (1, 8)")
bad("model.intervene.intervening: a position outside", lambda _: intervened(position=5), "position | -5..4 | 5")
bad("model.intervene.intervening: half a position", lambda _: intervened(position=0.5), "position | integer | 0.5")
bad("model.intervene.intervening: a row outside", lambda _: intervened(rows=torch.tensor([4])), "rows | 0..3 | 4")
bad("model.intervene.intervening: no row", lambda _: intervened(rows=IDS[0][:0]), "rows | 0..3 | []")
bad("model.intervene.intervening: a mask", lambda _: intervened(rows=IDS[0] > 0), "rows | int64 | bool")
bad("model.intervene.intervening: a list", lambda _: intervened(rows=[0, 1]), "rows | vector | list")
bad(
    "model.intervene.intervening: a core of another width",
    lambda _: intervened(Intervention(builders.core(2, 5), "keep")),
    "states | width 5 | got 8",
)
bad(
    "model.intervene.intervening: a site of another model",
    lambda _: intervening(builders.model(), FOREIGN, KEEP).__enter__(),
    "layers.0 | none",
    SiteError,
)
bad("model.intervene.rank_scan: width", lambda _: scanned(states=gaussian(0, 6, 5)), "states | 8 | 5")
bad("model.intervene.rank_scan: targets", lambda _: scanned(targets=torch.zeros(5)), "targets | (6,) | (5,)")
bad("model.intervene.rank_scan: bias", lambda _: scanned(bias=torch.zeros(4)), "bias | (5,) | (4,)")
bad("model.intervene.rank_scan: NaN bias", lambda _: scanned(bias=torch.full((5,), NAN)), "bias | finite")
bad("model.intervene.rank_scan: NaN states", lambda _: scanned(states=holed(6, 8)), "states | row(s): 1")
bad("model.intervene.rank_scan: resample", lambda _: scanned(reference="resample"), "reference | mean, zero")
bad("model.intervene.rank_scan: projector", lambda _: scanned(projector="skew"), "projector | 'skew'")
bad("model.intervene.rank_scan: chunk", lambda _: scanned(chunk=0), "chunk | at least 1 | 0")


# --- ace.model.generate -----------------------------------------------------------------------------------------------
def sampled(model: Any = None, start: Tensor = IDS[:, :1], steps: int = 3, **options: Any) -> object:
    return generate.sample_tokens(model or builders.model(), start, steps, torch.Generator(), **options)


bad("model.generate.sample_tokens: a start of two", lambda _: sampled(start=IDS), "start | one token | 2")
bad("model.generate.sample_tokens: a start of floats", lambda _: sampled(start=gaussian(0, 2, 1)), "inputs | integer")
bad("model.generate.sample_tokens: no steps", lambda _: sampled(steps=0), "steps | at least 1 | 0")
bad("model.generate.sample_tokens: a site without edit", lambda _: sampled(site=builders.site()), "edit | with a site")
bad("model.generate.sample_tokens: an edit without site", lambda _: sampled(edit=KEEP.apply), "edit | with a site")
bad("model.generate.sample_tokens: no cache", lambda _: sampled(model=nn.Linear(1, 1)), "model | new_cache | Linear")
bad("model.generate.sample_tokens: past the table", lambda _: sampled(steps=7), "inputs | at most 6 | 7")

# --- ace.compare ------------------------------------------------------------------------------------------------------
Q = torch.linalg.qr(gaussian(0, 5, 2)).Q
VIEWS = [gaussian(0, 6, 3), gaussian(1, 6, 4)]
bad("compare.overlap: not orthonormal", lambda _: compare.overlap(Q, 2 * Q), "second | orthonormal")
bad("compare.overlap: widths differ", lambda _: compare.overlap(Q, Q[1:]), "second | 5 rows | got 4")
bad("compare.overlap: a vector", lambda _: compare.overlap(Q[:, 0], Q), "first | matrix | (5,)")
bad("compare.overlap: no dimension", lambda _: compare.overlap(Q[:, :0], Q), "first | column | (5, 0)")
bad("compare.overlap_null: rank", lambda _: compare.overlap_null(3, 4, 5, GENERATOR), "rank | 1..3 | 4")
bad("compare.overlap_null: no draws", lambda _: compare.overlap_null(3, 2, 0, GENERATOR), "draws | 1 | 0")
bad("compare.principal_angles: NaN", lambda _: compare.principal_angles(Q, holed(5, 2)), "second | row(s): 1")
bad(
    "compare.canonical_correlations: rows differ",
    lambda _: compare.canonical_correlations(VIEWS[0], VIEWS[1][1:]),
    "second | 6 rows | got 5",
)
bad(
    "compare.canonical_correlations: one sample",
    lambda _: compare.canonical_correlations(VIEWS[0][:1], VIEWS[1][:1]),
    "first | at least 2 rows | got 1",
)
bad("compare.consensus: one view", lambda _: compare.consensus(VIEWS[:1]), "views | at least 2 | 1")
bad("compare.consensus: rows", lambda _: compare.consensus([VIEWS[0], VIEWS[1][1:]]), "views | [6, 5]")
bad("compare.consensus: NaN", lambda _: compare.consensus([VIEWS[0], holed(6, 4)]), "views[1] | row(s): 1")
bad("compare.Consensus.basis: rank", lambda _: compare.consensus(VIEWS).basis(0, 4), "rank | 1..3 | 4")
bad("compare.Consensus.basis: view", lambda _: compare.consensus(VIEWS).basis(2, 1), "view | 0..1 | 2")
bad("compare.affine_map: rows", lambda _: compare.affine_map(VIEWS[0], VIEWS[1][1:]), "target | 6 | 5")
bad("compare.affine_map: NaN", lambda _: compare.affine_map(holed(6, 3), VIEWS[1]), "source | row(s): 1")
bad(
    "compare.weight_cosine: two architectures",
    lambda _: compare.weight_cosine(builders.model(1), builders.model(2)),
    "second | same parameter names",
)


def weights(value: float) -> nn.Module:
    model = nn.Linear(2, 2)
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    return model


bad("compare.weight_cosine: zeros", lambda _: compare.weight_cosine(weights(0), weights(1)), "first | zero")
bad("compare.weight_cosine: NaN", lambda _: compare.weight_cosine(weights(NAN), weights(1)), "first | finite")

# --- ace.dynamics -----------------------------------------------------------------------------------------------------
TWO = np.array([0.5 + 0.1j, 0.2])
bad("dynamics.fit_operator: rows", lambda _: dynamics.fit_operator(H, H[1:]), "after | 6 rows | got 5")
bad("dynamics.fit_operator: width", lambda _: dynamics.fit_operator(H, H[:, 1:]), "after | width 4 | 3")
bad("dynamics.fit_operator: one sample", lambda _: dynamics.fit_operator(H[:1], H[:1]), "before | 2 rows")
bad("dynamics.fit_operator: NaN", lambda _: dynamics.fit_operator(holed(6, 4), H), "before | row(s): 1")
bad("dynamics.spectrum: not square", lambda _: dynamics.spectrum(H.numpy()), "matrix | square | (6, 4)")
bad("dynamics.spectrum: NaN", lambda _: dynamics.spectrum(holed(3, 3).numpy()), "matrix | finite")
bad("dynamics.match_spectra: sizes", lambda _: dynamics.match_spectra(TWO, TWO[:1]), "fitted | (2,) | (1,)")
bad("dynamics.matching_distance: sizes", lambda _: dynamics.matching_distance(TWO, TWO[:1]), "fitted | (2,) | (1,)")
bad("dynamics.matching_distance: NaN", lambda _: dynamics.matching_distance(TWO * complex(NAN), TWO), "fitted | finite")
bad("dynamics.match_spectra: empty", lambda _: dynamics.match_spectra(TWO[:0], TWO[:0]), "fitted | (0,)")
bad("dynamics.match_spectra: NaN", lambda _: dynamics.match_spectra(TWO * complex(NAN), TWO), "fitted | finite")

# --- ace.tasks --------------------------------------------------------------------------------------------------------
CHAIN = builders.chain()
EMISSION = np.array([[0.5, 0.5], [0.1, 0.9]])
SILENT = np.array([[1.0, 0.0], [1.0, 0.0]])  # the second symbol never comes
PROCESS = HiddenMarkov("process", CHAIN, EMISSION, 4)
bad("tasks.build_task: kind", lambda _: build_task({"kind": "ising"}), "task.kind | circulant | 'ising'", RecipeError)
bad("tasks.build_task: argument", lambda _: build_task({"kind": "mess3", "go": 1}), "mess3 | 'go'", RecipeError)
bad("tasks.build_task: out of range", lambda _: build_task({"kind": "mess3", "stay": 2}), "task.stay | 2", RecipeError)
bad("tasks.build_task: no table", lambda _: build_task(["mess3"]), "task | table | list", RecipeError)  # type: ignore[arg-type]
bad(
    "tasks.base.require_disjoint: the split of the extraction",
    lambda _: base.require_disjoint("extraction", circulant_chain().draw(Split.EXTRACTION, 2)),
    "split | extraction | different",
    SplitError,
)
bad("tasks.base.check_transition: not square", lambda _: base.check_transition(np.ones((2, 3))), "(2, 3)")
bad("tasks.base.check_transition: sums", lambda _: base.check_transition(CHAIN * 2), "transition | sum to 1")
bad("tasks.base.check_transition: NaN", lambda _: base.check_transition(CHAIN * NAN), "transition | rows")
bad("tasks.base.check_transition: reducible", lambda _: base.check_transition(np.eye(2)), "irreducible")
bad("tasks.base.Task.stream: split", lambda _: PROCESS.stream("test", 0), "split | evaluation | 'test'")  # type: ignore[arg-type]
bad("tasks.base.Task.stream: seed", lambda _: PROCESS.stream(Split.TRAINING, -1), "seed | at least 0 | -1")
bad(
    "tasks.base.sample_chain: no sequences",
    lambda _: base.sample_chain(CHAIN, np.ones(2) / 2, 0, 3, np.random.default_rng(0)),
    "sequences | at least 1 | 0",
)
bad("tasks.hidden_markov.HiddenMarkov: length", lambda _: replace(PROCESS, length=1), "length | 2 | 1")
bad("tasks.hidden_markov.HiddenMarkov: emission", lambda _: replace(PROCESS, emission=CHAIN[:1]), "(1, 2)")
bad(
    "tasks.hidden_markov.HiddenMarkov: NaN",
    lambda _: replace(PROCESS, emission=CHAIN * NAN),
    "emission | NaN | row(s): 0",
)
bad("tasks.hidden_markov.HiddenMarkov.draw: none", lambda _: PROCESS.draw(Split.TRAINING, 0), "sequences | 0")
bad("tasks.hidden_markov.HiddenMarkov.beliefs: symbol", lambda _: PROCESS.beliefs(IDS.numpy()), "inputs | 0..1")
bad("tasks.hidden_markov.HiddenMarkov.beliefs: a vector", lambda _: PROCESS.beliefs(np.zeros(3, int)), "(3,)")
bad(
    "tasks.hidden_markov.HiddenMarkov.beliefs: an impossible sequence",
    lambda _: replace(PROCESS, emission=SILENT).beliefs(np.array([[0, 0, 1]])),
    "inputs | impossible symbol at 2",
)
bad(
    "tasks.hidden_permutation.HiddenPermutation.latent: symbol",
    lambda _: hidden_permutation().latent(np.full((1, 2), 3)),
    "inputs | 0..2",
)
bad("tasks.hidden_markov.HiddenMarkov.latent: symbol", lambda _: PROCESS.latent(IDS.numpy()), "inputs | 0..1")
bad("tasks.hidden_permutation.hidden_permutation: symbols", lambda _: hidden_permutation(1), "symbols | at least 2 | 1")
bad("tasks.hidden_permutation.hidden_permutation: hit", lambda _: hidden_permutation(hit=1.0), "hit | 0 and 1 | 1.0")
bad("tasks.hidden_markov.mess3: stay", lambda _: mess3(stay=1.0), "stay | between 0 and 1 | 1.0")
bad("tasks.markov.MarkovChain: length", lambda _: MarkovChain("chain", CHAIN, 1), "length | 2 | 1")
bad("tasks.markov.MarkovChain.draw: none", lambda _: circulant_chain().draw(Split.TRAINING, 0), "sequences | 0")
bad("tasks.markov.circulant_chain: stay", lambda _: circulant_chain(stay=0.0), "stay | 0 and 1 | 0.0")
bad("tasks.markov.circulant_chain: states", lambda _: circulant_chain(states=1), "states | at least 2 | 1")
bad("tasks.markov.low_rank_chain: peak", lambda _: low_rank_chain(peak=1.5), "peak | probability | 1.5")
bad("tasks.markov.low_rank_chain: rows", lambda _: low_rank_chain(rows=1), "rows | at least 2 | 1")
bad("tasks.markov.low_rank_chain: copies", lambda _: low_rank_chain(copies=0), "copies | at least 1 | 0")


# --- ace.training -----------------------------------------------------------------------------------------------------
def written(text: str, name: str = "tiny.toml") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def parsed(**changes: Mapping[str, Any]) -> Call:
    return lambda _: builders.recipe(**changes)


def without(table: str) -> Call:
    return lambda _: parse_recipe("tiny", {key: value for key, value in builders.entries().items() if key != table})


def with_entry(table: str, value: object) -> Call:
    return lambda _: parse_recipe("tiny", {**builders.entries(), table: value})


key: str
value: object
for key, value in {"learning_rate": 0.0, "weight_decay": -1.0, "beta1": 1.0, "beta2": -0.1, "epsilon": NAN}.items():
    bad(
        f"training.recipe.parse_recipe: {key} {value}",
        parsed(optimiser={key: value}),
        f"{key} | {value!r}",
        RecipeError,
    )
for key, value in {"sequences": 0, "batch": -1, "epochs": 2.5, "test_sequences": 0, "data_seed": -1}.items():
    bad(
        f"training.recipe.parse_recipe: {key} {value}",
        parsed(schedule={key: value}),
        f"{key} | {value!r}",
        RecipeError,
    )
for key, value in {"width": 0, "heads": 3, "dropout": 1.0, "blocks": True, "context": "8"}.items():
    bad(f"training.recipe.parse_recipe: {key} {value}", parsed(model={key: value}), f"{key} | {value!s}", RecipeError)
for key, value in {"models": 0, "seed": -1, "dtype": "float16"}.items():
    bad(
        f"training.recipe.parse_recipe: {key} {value}",
        parsed(ensemble={key: value}),
        f"{key} | {value!r}",
        RecipeError,
    )
for table in ("scales", "task", "model", "optimiser", "schedule", "ensemble"):
    bad(f"training.recipe.parse_recipe: no {table}", without(table), f"tiny | missing | {table}", RecipeError)
    bad(f"training.recipe.parse_recipe: {table} 5", with_entry(table, 5), f"tiny | {table}", RecipeError)
bad("training.recipe.check_keys: unknown", lambda _: check_keys("a", {"b": 1}, {"c"}, set()), "a | b | c", RecipeError)
bad("training.recipe.check_keys: missing", lambda _: check_keys("a", {}, {"c"}, {"c"}), "a | missing | c", RecipeError)
bad(
    "training.recipe.check_scales: none", lambda _: check_scales("a", []), "a.scales | compact, paper | []", RecipeError
)
bad("training.recipe.parse_recipe: no table at all", lambda _: parse_recipe("tiny", []), "tiny | list", RecipeError)  # type: ignore[arg-type]
bad("training.recipe.parse_recipe: unknown table", with_entry("data", {}), "unknown | data | schedule", RecipeError)
bad("training.recipe.parse_recipe: unknown key", parsed(model={"depth": 2}), "tiny.model | depth | blocks", RecipeError)
bad("training.recipe.parse_recipe: missing key", parsed(model={"width": None}), "tiny.model | width", RecipeError)
bad("training.recipe.parse_recipe: no models", parsed(ensemble={"models": None}), "tiny.ensemble | models", RecipeError)
bad("training.recipe.parse_recipe: quick", with_entry("quick", "no"), "tiny.quick | true | 'no'", RecipeError)
bad("training.recipe.parse_recipe: scale", with_entry("scales", ["huge"]), "scales | compact | huge", RecipeError)
bad(
    "training.recipe.parse_recipe: text rate",
    parsed(optimiser={"learning_rate": "x"}),
    "learning_rate | 'x'",
    RecipeError,
)
bad(
    "training.recipe.parse_recipe: decay", parsed(optimiser={"decay": "cosine"}), "decay | linear | cosine", RecipeError
)
bad("training.recipe.parse_recipe: vocabulary", parsed(model={"vocabulary": 5}), "vocabulary | 4 | 5", RecipeError)
bad("training.recipe.parse_recipe: task", parsed(task={"stay": 1.5}), "tiny.task | stay | 1.5", RecipeError)
bad(
    "training.recipe.check_in_range: text",
    lambda _: check_in_range("r", "1", POSITIVE),
    "r | above 0 | '1'",
    RecipeError,
)
bad(
    "training.recipe.read_entries: no file",
    lambda f: read_entries(f / "none.toml"),
    "none.toml | readable",
    RecipeError,
)
bad("training.recipe.read_recipe: no file", lambda f: read_recipe(f / "none.toml"), "none.toml | readable", RecipeError)
bad("training.recipe.read_recipe: no TOML", lambda f: read_recipe(written("a = [")(f)), "tiny.toml | TOML", RecipeError)
bad("training.recipe.read_recipe: empty", lambda f: read_recipe(written("")(f)), "tiny | missing | task", RecipeError)

MEANS = np.random.default_rng(0).standard_normal((5, 3))
CLASSES = np.array([0, 1, 2, 3, 4])
RNG = np.random.default_rng(0)
bad("rotation.class_means: shapes", lambda _: rotation.class_means(MEANS, CLASSES[:4], 5), "values | (5, 3) | (4,)")
bad("rotation.class_means: NaN", lambda _: rotation.class_means(MEANS * np.nan, CLASSES, 5), "values | finite")
bad("rotation.class_means: beyond", lambda _: rotation.class_means(MEANS, CLASSES + 1, 5), "classes | 0..4 | 1..5")
bad("rotation.class_means: empty class", lambda _: rotation.class_means(MEANS, CLASSES // 2, 5), "classes | [3, 4]")
bad("rotation.resampled_means: draws", lambda _: rotation.resampled_means(MEANS, CLASSES, 5, 0, RNG), "draws | 1 | 0")
bad("rotation.rank_limit: modulus", lambda _: rotation.rank_limit(2, 5), "modulus | 3 | 2")
bad("rotation.random_orders: draws", lambda _: rotation.random_orders(5, 0, RNG), "draws | 1 | 0")
bad("rotation.shift_operator: one class", lambda _: rotation.shift_operator(MEANS[:1]), "means | p >= 3 | (1, 3)")
bad("rotation.held_out_eigenvalues: rank", lambda _: rotation.held_out_eigenvalues(MEANS, 4), "rank | 1..3 | 4")
bad("rotation.held_out_r2: rank", lambda _: rotation.held_out_r2(np.ones((5, 4)), 4), "rank | p - 2 = 3 | 4")
bad(
    "rotation.held_out_r2: orders of many",
    lambda _: rotation.held_out_r2(MEANS[None], 2, rotation.random_orders(5, 2, RNG)),
    "means | one set | (1, 5, 3)",
)
bad("rotation.leading_modes: many", lambda _: rotation.leading_modes(np.ones((2, 5))), "energy | (f) | (2, 5)")
bad("rotation.mode_energy: NaN", lambda _: rotation.mode_energy(MEANS * np.nan), "means | finite")

ADDITION = ModularAddition(7, 0.3)
ONLY_RISING = "checkpoints | rising | [3, 2]"
bad("tasks.base.Task.size: split", lambda _: circulant_chain().size("test"), "split | training | 'test'")  # type: ignore[arg-type]
bad("tasks.modular_addition.ModularAddition: modulus", lambda _: ModularAddition(2, 0.5), "modulus | 3 | 2")
bad("tasks.modular_addition.ModularAddition: share", lambda _: ModularAddition(7, 1.0), "share | 1.0")
bad(
    "tasks.modular_addition.ModularAddition: nothing left",
    lambda _: ModularAddition(7, 0.9),
    "share | every sum | of 7",
)
bad("tasks.modular_addition.ModularAddition.size: split", lambda _: ADDITION.size("test"), "split | 'test'")  # type: ignore[arg-type]
bad(
    "tasks.modular_addition.ModularAddition.draw: too many",
    lambda _: ADDITION.draw(Split.EVALUATION, 50),
    "sequences | at most the | evaluation | 50",
)


def course_of(**entries: Any) -> Callable[[Path], object]:
    return lambda _: parse_course("tiny.course", entries)


bad("training.course.parse_course: unknown", course_of(arm={}), "tiny.course | unknown | arm", RecipeError)
bad(
    "training.course.parse_course: falling", course_of(checkpoints=[3, 2]), "checkpoints | rising | [3, 2]", RecipeError
)
bad("training.course.parse_course: zero", course_of(checkpoints=[0]), "checkpoints | at least 1 | 0", RecipeError)
bad("training.course.parse_course: never", course_of(evaluate=0), "evaluate | at least 1 | 0", RecipeError)
bad("training.course.parse_course: no arms", course_of(branch=3), "arms | branch", RecipeError)
bad("training.course.parse_course: no branch", course_of(arms={"a": {}}), "arms | branch | 'a'", RecipeError)
bad(
    "training.course.parse_course: arm",
    course_of(branch=3, arms={"a": {"rate": 1.0}}),
    "tiny.course | rate",
    RecipeError,
)
bad(
    "training.course.parse_course: negative decay",
    course_of(branch=3, arms={"a": {"weight_decay": -1.0}}),
    "arms.a.weight_decay | -1.0",
    RecipeError,
)
bad(
    "training.course.parse_course: fresh",
    course_of(branch=3, arms={"a": {"fresh": 1}}),
    "arms.a.fresh | true | 1",
    RecipeError,
)
bad(
    "training.course.parse_course: halved",
    course_of(checkpoints=[2], halved=[3]),
    "halved | some of the checkpoints | [3]",
    RecipeError,
)
bad(
    "training.course.parse_course: the first arm ends",
    course_of(checkpoints=[4], branch=3, arms={"a": {"until": 4}, "b": {}}),
    "arms.a.until | another arm than the first | 4",
    RecipeError,
)
for end in (5, 2, "4", True):
    bad(
        f"training.course.parse_course: an arm that ends at {end!r}",
        course_of(checkpoints=[2, 4], branch=3, arms={"a": {}, "b": {"until": end}}),
        f"arms.b.until | one of the checkpoints past the branch | {end!r}",
        RecipeError,
    )
bad("training.apart.alone: no such arm", lambda _: alone(addition(), "warm"), "arm | decay, reset, free | 'warm'")
bad(
    "training.apart.joined: arms missing",
    lambda _: joined(addition(), {}),
    "parts | decay, reset, free | none",
)
bad(
    "training.train.train_apart: no such arm",
    lambda f: train_apart(addition(), "warm", partial=f / "a.json"),
    "arm | decay, reset, free | 'warm'",
)
bad(
    "training.train.trained_apart: no such arm",
    lambda f: trained_apart(addition(), "warm", f / "a.json"),
    "arm | decay, reset, free | 'warm'",
)
bad(
    "zoo.obtain.Store.keep_arm: language models",
    lambda f: Store(FIXTURES, f).keep_arm(find_recipe(FIXTURES, "agreement-small"), "decay"),
    "arm | a recipe of an ensemble | 'decay' | agreement-small",
)

SIZES = builders.recipe().model
STACKED = ensemble.initial_weights(SIZES, [torch.Generator(), torch.Generator()], torch.float32)
LONG = torch.zeros(1, 9, dtype=torch.int64)
bad(
    "training.ensemble.initial_weights: none",
    lambda _: ensemble.initial_weights(SIZES, [], torch.float32),
    "generators | none",
)
bad("training.ensemble.member: outside", lambda _: ensemble.member(SIZES, STACKED, 2), "index | 0..1 | 2")
bad(
    "training.ensemble.DropoutMasks: certain",
    lambda _: ensemble.DropoutMasks(1, 8, 1.0, [GENERATOR], torch.float32),
    "p < 1 | 1.0",
)
bad(
    "training.ensemble.DropoutMasks: generators",
    lambda _: ensemble.DropoutMasks(2, 8, 0.1, [GENERATOR], torch.float32),
    "generators | 2 | 1",
)
bad(
    "training.ensemble.stacked_logits: too long",
    lambda _: ensemble.stacked_logits(SIZES, STACKED, LONG),
    "inputs | t <= 8 | (2, 1, 9)",
)
bad(
    "training.ensemble.stacked_logits: models",
    lambda _: ensemble.stacked_logits(SIZES, STACKED, IDS[None]),
    "inputs | (2, n, t) | (1, 3, 2)",
)
bad(
    "training.transformer.Architecture: heads",
    lambda _: replace(SIZES, heads=3),
    "model.heads | divisor | 3",
    RecipeError,
)
bad("training.transformer.Architecture: width", lambda _: replace(SIZES, width=0), "model.width | 1 | 0", RecipeError)
bad(
    "training.transformer.Architecture: dropout",
    lambda _: replace(SIZES, dropout=-0.1),
    "model.dropout | -0.1",
    RecipeError,
)
bad(
    "training.transformer.SmallTransformer: no sizes",
    lambda _: SmallTransformer(replace(SIZES, blocks=0)),
    "blocks",
    RecipeError,
)
bad(
    "training.transformer.SmallTransformer.forward: too long",
    lambda _: builders.model()(builders.tokens(1, 7)),
    "inputs | 6 | 7",
)
bad(
    "training.transformer.SmallTransformer.forward: two positions with a cache",
    lambda _: builders.model()(IDS, builders.model().new_cache()),
    "inputs | one position | 2",
)


def unfinished(folder: Path) -> Path:
    """The record of a training of four epochs, of recipe "a", after its third."""
    progress = checkpoint.Progress(3, 0.5, [])
    checkpoint.save_unfinished(folder / "a.json", {}, {"recipe": "a"}, "epoch", progress)
    return folder / "a.json"


bad(
    "training.trainer.EnsembleTrainer: device",
    lambda _: trainer.EnsembleTrainer(builders.recipe(), "tpu"),
    "device | cpu | 'tpu'",
)
bad(
    "training.trainer.EnsembleTrainer: no such CUDA device",
    lambda _: trainer.EnsembleTrainer(builders.recipe(), "cuda:99"),
    "device | 'cuda:99'",
)
bad(
    "training.train.train: a short context",
    lambda _: train(builders.recipe(model={"context": 4})),
    "context | 7 | 4",
    RecipeError,
)
bad(
    "training.result.TrainedEnsemble.models: an epoch that was not kept",
    lambda _: result.TrainedEnsemble(builders.recipe(), {0: STACKED, 4: STACKED}, {}).models(2),
    "epoch | [0, 4] | 2",
    ArtifactError,
)
bad(
    "training.trainer.EnsembleTrainer.restore: no file",
    lambda f: trainer.EnsembleTrainer(builders.recipe()).restore(f / "a.json"),
    "a.json",
    ArtifactError,
)
bad(
    "training.checkpoint.load_unfinished: another recipe",
    lambda f: checkpoint.load_unfinished(unfinished(f), {"recipe": "b"}, "epoch", 4),
    "a.json | recipe 'b' | 'a'",
    ArtifactError,
)
bad(
    "training.checkpoint.load_unfinished: beyond the end",
    lambda f: checkpoint.load_unfinished(unfinished(f), {"recipe": "a"}, "epoch", 2),
    "a.json | `epoch` | 0..2 | 3",
    ArtifactError,
)
bad(
    "training.checkpoint.require_shapes: another shape",
    lambda f: checkpoint.require_shapes(f / "a.json", {"a": torch.ones(2)}, {"a": torch.Size([3])}),
    "a.json | 'a' | (3,) | (2,)",
    ArtifactError,
)
bad(
    "training.checkpoint.require_shapes: one too many",
    lambda f: checkpoint.require_shapes(f / "a.json", {"a": torch.ones(2)}, {}),
    "a.json | 'a' | none | (2,)",
    ArtifactError,
)
bad(
    "training.state.ensemble_state: nothing of its start",
    lambda f: state.ensemble_state(f / "a.json", builders.recipe(), 0, {}, torch.Size([3])),
    "a.json | unfinished training | start",
    ArtifactError,
)
bad(
    "training.result.checkpoints_of: names",
    lambda f: result.checkpoints_of(f / "a.json", builders.recipe(), {"head.weight": STACKED["head.weight"]}),
    "a.json | epoch/parameter | head.weight",
    ArtifactError,
)
bad(
    "training.ensemble.stacked_logits: scored",
    lambda _: ensemble.stacked_logits(SIZES, STACKED, IDS, scored=3),
    "scored | 1..2 | 3",
)
bad(
    "training.train.train: beyond the recipe",
    lambda _: train(builders.recipe(), until=5),
    "until | 4 | 5",
)
bad(
    "training.result.load_ensemble: no file",
    lambda f: result.load_ensemble(f / "a.json", builders.recipe()),
    "a.json",
    ArtifactError,
)
bad(
    "files.read_json: no JSON",
    lambda f: files.read_json(written("{", "a.json")(f), 1),
    "a.json | JSON",
    ArtifactError,
)
bad(
    "files.read_json: a list",
    lambda f: files.read_json(written("[]", "a.json")(f), 1),
    "a.json | schema 1 | list",
    ArtifactError,
)
bad(
    "files.read_provenance: no JSON",
    lambda f: files.read_provenance(written("{", "a.json")(f)),
    "a.json | JSON",
    ArtifactError,
)
bad(
    "files.load_artifact: another schema",
    lambda f: files.load_artifact(written('{"schema": 9}', "a.json")(f)),
    "a.json | schema 1 | 9",
    ArtifactError,
)


# --- ace.families, ace.study and ace.verify ---------------------------------------------------------------------------
def study(task: base.Task) -> TokenStudy:
    """Two untrained models of a task."""
    sizes = Architecture(task.vocabulary, 8, 1, width=8, heads=2, hidden=8)
    models = builders.untrained(sizes)  # of given seeds: among all that could be drawn some do the task by chance
    return TokenStudy(models, task, sizes=dict.fromkeys(base.HELD_OUT, 8))


def subject(task: base.Task) -> TokenSubject:
    return TokenSubject("tiny", "markov", study(task), study(task))


ONE = (stats.exact("0", 1.0),)
DIVERGENCE = find_claim("markov.divergence")
CONTROLS = dict.fromkeys(DIVERGENCE.controls, ONE)
bad("study.claim.Bound: direction", lambda _: claims.Bound("!="), "direction | <=, <, >=, ==, in | '!='", ClaimError)
bad(
    "families.family.find_claim: unknown",
    lambda _: find_claim("markov.spin"),
    "'markov.spin' | markov.spectrum",
    ClaimError,
)
bad(
    "study.claim.Bound.threshold: not measured",
    lambda _: claims.Bound("<=", 0, "s.e.").threshold({"a": 1}),
    "'s.e.' | ['a']",
    ClaimError,
)
bad(
    "verify.verify_claim: unknown",
    lambda _: verify_claim("markov.spin", subject(circulant_chain())),
    "'markov.spin'",
    ClaimError,
)
bad(
    "verdict.judge: no control",
    lambda _: judge(DIVERGENCE, Measurement(ONE, {}, {"99.9% of Haar subspaces": 1}), "tiny"),
    "markov.divergence | untrained",
    ClaimError,
)
bad(
    "verdict.judge: no reference",
    lambda _: judge(DIVERGENCE, Measurement(ONE, CONTROLS), "tiny"),
    "99.9% of Haar subspaces | []",
    ClaimError,
)
bad("study.measurement.Measurement: no estimate", lambda _: Measurement((), {}), "estimates | none")
bad(
    "study.measurement.Measurement: an empty control",
    lambda _: Measurement(ONE, {"untrained": ()}),
    "untrained | none",
)
bad(
    "study.subject.Subject.companion: unknown",
    lambda _: subject(mess3(length=8)).companion("twin"),
    "tiny | 'twin' | none",
    Inapplicable,
)
bad(
    "study.tokens.TokenStudy: no blocks",
    lambda _: TokenStudy([builders.Blockless()], mess3()),
    "ModuleList | Blockless",
    SiteError,
)
bad(
    "study.tokens.TokenStudy.coordinates: the split of the extraction",
    lambda _: study(mess3(length=8)).coordinates(0, Split.EXTRACTION),
    "split | extraction",
    SplitError,
)
bad(
    "verify.verify_claim: another kind of subject",
    lambda _: verify_claim("agreement.flip", subject(circulant_chain(length=8))),
    "agreement.flip | agreement | tiny",
    ClaimError,
)
bad(
    "study.tokens.TokenStudy.expect_task: another",
    lambda _: find_claim("markov.spectrum").measure(subject(mess3(length=8))),
    "MarkovChain | HiddenMarkov",
    ClaimError,
)
bad(
    "study.tokens.TokenStudy.expect_model: another",
    lambda _: study(mess3(length=8)).expect_model(0, nn.GRU),
    "GRU | SmallTransformer",
    ClaimError,
)
bad(
    "study.subject.Subject.companion: none",
    lambda _: find_claim("markov.rank").measure(subject(circulant_chain(length=8))),
    "low-rank chain | none",
    Inapplicable,
)
bad("study.tokens.TokenStudy: no models", lambda _: TokenStudy([], mess3()), "models | none")
bad(
    "study.tokens.TokenStudy: sites",
    lambda _: TokenStudy(study(mess3(length=8)).models, mess3(length=8), sites=["head"]),
    "sites | 2 models | 1",
)
bad(
    "study.tokens.TokenStudy.head: more than a linear head",
    lambda _: TokenStudy([builders.model()], mess3(length=5), sites="blocks.1").head(0),
    "model 0 | linear head | blocks.1",
    Inapplicable,
)
bad(
    "study.tokens.TokenStudy.replace_core: after coordinates were measured",
    lambda _: replaced_late(study(circulant_chain(length=8))),
    "core 0 | before | after",
    ClaimError,
)
bad(
    "study.tokens.TokenStudy.require_behaviour: untrained",
    lambda _: study(circulant_chain(length=8)).require_behaviour(),
    "model 0 | not above chance",
    Inapplicable,
)


def replaced_late(of: TokenStudy) -> None:
    of.coordinates(0, Split.SELECTION)
    of.replace_core(0, of.core(0))


bad(
    "study.run_history.RunHistory: no course",
    lambda _: RunHistory(train(builders.recipe())),
    "training accuracies | tiny",
    ClaimError,
)


@cache
def history(**changes: None) -> RunHistory:
    return RunHistory(train(addition(**changes)))


bad(
    "study.run_history.RunHistory.accuracy: kind",
    lambda _: history().accuracy("held out", 0),
    "kind | test | 'held out'",
)
bad(
    "study.run_history.RunHistory.accuracy: arm",
    lambda _: history().accuracy("test", 0, "warm"),
    "tiny | 'warm' | decay, reset, free",
    Inapplicable,
)
bad(
    "study.run_history.RunHistory.study: arm",
    lambda _: history().study(1, "warm"),
    "tiny | 'warm' | decay, reset, free",
    Inapplicable,
)
bad(
    "study.run_history.RunHistory.epochs_of: arm",
    lambda _: history().epochs_of("warm"),
    "tiny | 'warm' | decay, reset, free",
    Inapplicable,
)
bad(
    "study.run_history.RunHistory.last_of: arm",
    lambda _: history().last_of("warm"),
    "tiny | 'warm' | decay, reset, free",
    Inapplicable,
)
bad(
    "study.run_history.RunHistory.study: epoch",
    lambda _: history().study(2),
    "epoch | [0, 1, 4, 6] | 2",
    ArtifactError,
)
bad("study.memory.Memory: limit", lambda _: Memory(-1), "limit | at least 0 | -1")
bad(
    "model.sites.module_site: no such module",
    lambda _: sites.module_site(builders.model(), "no.such"),
    "head | 'no.such'",
    SiteError,
)


AT_MOST_ONE = claims.Bound("<=", 1.0)


@measures("untrained")
def other_controls(subject: object) -> Measurement:
    """A measurement with another control than it declares."""
    return Measurement(ONE, {"other": ONE})


bad("study.measurement.measures: no brackets", lambda _: measures(other_controls), "names of controls", ClaimError)  # type: ignore[arg-type]
bad("study.measurement.measures: twice", lambda _: measures("a", "a"), "different | ('a', 'a')", ClaimError)
bad(
    "study.claim.Claim: a control that the measure lacks",
    lambda _: claims.Claim(
        "t.t",
        "A sentence.",
        "ours",
        "a number",
        claims.Bound("<=", 1.0),
        "null",
        "why",
        ("twin",),
        measure=other_controls,
    ),
    "t.t | untrained | twin",
    ClaimError,
)
bad(
    "study.claim.Claim: a sentence of the paper without its figure",
    lambda _: claims.Claim(
        "t.t",
        "A sentence.",
        claims.PAPER,
        "a number",
        AT_MOST_ONE,
        "paper",
        "why",
        ("untrained",),
        measure=other_controls,
        kind="P",
    ),
    "t.t | a replication | kind P | the published protocol | None",
    ClaimError,
)
bad(
    "study.measurement.Measurement: other controls than declared",
    lambda _: other_controls(None),
    "untrained | other",
    ClaimError,
)
bad(
    "study.subspaces.rest_subspaces: width",
    lambda _: rest_subspaces(builders.core(), torch.zeros(9, 2), 3, seed=0),
    "states | (n, | (9, 2)",
)
bad(
    "study.subspaces.under_readers: width",
    lambda _: under_readers(builders.core(), torch.zeros(9, 2), 3, seed=0),
    "states | (n, | (9, 2)",
)
bad(
    "study.rest.rank_test: draws",
    lambda _: rank_test(Rest("0", ("0",), lambda numbers: np.zeros((len(numbers), 1))), float, [0.0], draws=98),
    "at least 99 | 0.01 | 98",
)
bad("study.claim.Bound.between: ends", lambda _: ace.Bound.between(1.0, 0.5), "upper | 1 | 0.5", ClaimError)
bad(
    "families.core.subjects.runs_subject: no name",
    lambda _: runs_subject(" ", [builders.model()], mess3(length=8)),
    "name | ' '",
)
bad(
    "families.core.subjects.runs_subject: no task",
    lambda _: runs_subject("a", [builders.model()], "mess3"),  # type: ignore[arg-type]
    "task | Task | str",
)
bad(
    "families.core.subjects.runs_subject: no module",
    lambda _: runs_subject("a", ["model"], mess3(length=8)),  # type: ignore[list-item]
    "models[0] | Module | str",
)
bad(
    "suite.parametrize.parametrize_with_claims: a pattern that fits nothing",
    lambda _: parametrize_with_claims([subject(mess3(length=8))], select="agreement.*"),
    "markov | 'agreement.*'",
    ClaimError,
)
bad("imports.load_attribute: no colon", lambda _: load_attribute("ace.extract"), "'ace.extract'")
bad("imports.load_attribute: no module", lambda _: load_attribute("no.such:thing"), "no.such:thing")
bad(
    "zoo.named.factory_subject: no subject",
    lambda _: named.factory_subject("ace.tasks:mess3"),
    "ace.tasks:mess3 | Subject | HiddenMarkov",
)
bad(
    "zoo.named.load_subject: no such fixture",
    lambda _: named.load_subject("markov-huge", fixtures=FIXTURES),
    "markov-compact | 'markov-huge'",
)
bad(
    "zoo.named.load_subject: no such task",
    lambda _: named.load_subject("gpt2", task="reflexives"),
    "agreement | 'reflexives'",
)


bad("check.check_instance: another", lambda _: check.check_instance("a", 1, str), "a | str | int")


TOKENS = builders.tokens()
bad("model.passes.outputs_of: one axis", lambda _: outputs_of(nn.Identity(), TOKENS[0]), "model | (n, s, v) | (5,)")
bad(
    "model.passes.outputs_of: words",
    lambda _: outputs_of(builders.Blockless(), TOKENS),
    "Blockless cannot be run | (4, 5)",
)
bad(
    "model.tail.find_tail: no such module",
    lambda _: find_tail(builders.model(), replace(builders.site(), path="no.such"), TOKENS),
    "no.such | none",
    SiteError,
)
bad(
    "model.tail.Tail.kept: more positions than there are",
    lambda _: find_tail(builders.model(), builders.site(), TOKENS).kept(9),
    "9 | 5",
)
bad(
    "suite.parametrize.require_different_names: twice",
    lambda _: require_different_names([subject(mess3(length=8))] * 2),
    "subjects | tiny",
)
ROWS = np.arange(8).reshape(4, 2)
bad(
    "tasks.base.require_different_rows: the same",
    lambda _: base.require_different_rows(
        base.Batch(ROWS, ROWS, None, Split.SELECTION), base.Batch(ROWS, ROWS, None, Split.EVALUATION), finite=True
    ),
    "selection | evaluation",
    SplitError,
)
bad(
    "tasks.base.Batch: other rows",
    lambda _: base.Batch(ROWS, ROWS[:1], None, Split.SELECTION),
    "targets | 4 | 1",
)
ZOO = StoredFixtures(Store(FIXTURES, Path("never used")))
SWEEP = FIXTURES / "sweeps" / "grokking-compact.toml"
STORED_SWEEP = find_sweep(FIXTURES, "grokking-compact")
NO_RUNS = SweepTable(STORED_SWEEP.settings, ())
bad(
    "study.delays.delays_of: nothing trained",
    lambda _: delays_of(NO_RUNS, STORED_SWEEP.parts["moduli"]),
    "a setting all of whose runs are trained | 0 runs of 42",
    Inapplicable,
)
bad(
    "study.sweep.SweepStudy.delays: no such part",
    lambda _: SweepStudy(STORED_SWEEP, NO_RUNS).delays("primes"),
    "grokking-compact has no part 'primes' | moduli, decays",
    Inapplicable,
)
bad(
    "study.sweep.SweepStudy.require_behaviour: nothing generalises",
    lambda _: SweepStudy(STORED_SWEEP, NO_RUNS).require_behaviour("law.omega"),
    "law.omega | half of the runs to generalise | 0 of 0",
    Inapplicable,
)
bad(
    "study.sweep.sweep_subject: no recipe",
    lambda _: sweep_subject("a.toml", SWEEP.with_suffix(".jsonl")),
    "a.toml",
    RecipeError,
)
bad(
    "study.sweep.sweep_subject: no table",
    lambda _: sweep_subject(SWEEP, SWEEP),
    "line 1: expected JSON",
    ArtifactError,
)
bad(
    "study.sweep.sweep_subject: another sweep's table",
    lambda _: sweep_subject(SWEEP.with_stem("grokking-paper"), SWEEP.with_suffix(".jsonl")),
    "expected outcomes of the settings of grokking-paper, got others",
    ArtifactError,
)
bad("zoo.recipes.find_sweep: unknown", lambda _: find_sweep(FIXTURES, "a"), "grokking-compact | 'a'", RecipeError)
bad("zoo.fixtures.StoredFixtures.sweep: unknown", lambda _: ZOO.sweep("a"), "grokking-compact | 'a'", RecipeError)
bad("zoo.recipes.find_recipe: unknown", lambda _: find_recipe(FIXTURES, "a"), "markov-compact | 'a'", RecipeError)
bad(
    "zoo.fixtures.StoredFixtures.ensemble: of language models",
    lambda _: ZOO.ensemble("agreement-small"),
    "ensemble | 'agreement-small'",
    RecipeError,
)
bad(
    "zoo.fixtures.StoredFixtures.language_models: of an ensemble",
    lambda _: ZOO.language_models("low-rank"),
    "language models | 'low-rank'",
    RecipeError,
)
bad(
    "zoo.obtain.Store.keep: until, of language models",
    lambda _: ZOO.store.keep(find_recipe(FIXTURES, "agreement-small"), until=3),
    "until | ensemble | 3",
)
bad(
    "zoo.named.ModelSource.prompts: no such file, by the option that named it",
    lambda _: named.ModelSource("tiny", task="none.csv").prompts("contrast"),
    "contrast | agreement-english | none.csv",
)
bad("zoo.named.lazy_factory: no colon", lambda _: named.lazy_factory("here"), "'here'")
bad("zoo.named.lazy_subject: no such module", lambda _: named.lazy_subject("no.such:thing"), "no.such:thing")


# --- ace.study.fingerprint --------------------------------------------------------------------------------------------
bad("study.fingerprint.fingerprint: a model", lambda _: fingerprint.fingerprint(builders.model()), "subject | Subject")  # type: ignore[arg-type]
bad("study.fingerprint.weights_digest: weights", lambda _: fingerprint.weights_digest({}), "model | Module | dict")  # type: ignore[arg-type]
bad(
    "study.fingerprint.tokenizer_digest: a text",
    lambda _: fingerprint.tokenizer_digest("gpt2"),
    "tokenizer | vocabulary | str",
)

# --- ace.report.record ------------------------------------------------------------------------------------------------
bad(
    "report.record.read_document: no file",
    lambda f: record.read_document(f / "none.json"),
    "none.json | JSON",
    ArtifactError,
)
bad(
    "report.record.read_document: no JSON",
    lambda f: record.read_document(written("[", "a.json")(f)),
    "a.json | JSON",
    ArtifactError,
)
bad(
    "report.record.read_document: a list",
    lambda f: record.read_document(written("[]", "a.json")(f)),
    "a.json | schema 1 | list",
    ArtifactError,
)


def read_after(content: str) -> Call:
    return lambda folder: record.read_document(written(content, "a.json")(folder))


for schema in (0, 2, "1", None):
    text = json.dumps({"schema": schema, "results": []})
    bad(
        f"report.record.read_document: schema {schema!r}",
        read_after(text),
        f"a.json | schema 1 | {schema!r}",
        ArtifactError,
    )

# --- language models --------------------------------------------------------------------------------------------------
SHORT = families.prompts(families.SINGLE, families.TEXTS[:2])
TASK = agreement.AgreementTask()
TINY_LANGUAGE = LanguageRecipe("tiny", (1, 2), 24, 1, 16, 2, 1e-2, 0.01, 1.0, 2, 6, 4, 2)


class Silent(nn.Module):
    """A model that runs, and stores no keys and values."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.embedding, self.value = nn.Embedding(len(families.tokenizer()), WIDTH), value
        self.blocks = nn.ModuleList([nn.Identity(), nn.Identity()])
        self.head = nn.Linear(WIDTH, len(families.tokenizer()))

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def forward(self, input_ids: Tensor, **_: Any) -> Any:
        states = self.embedding(input_ids) + self.value
        for block in self.blocks:
            states = block(states)
        return SimpleNamespace(logits=self.head(states), past_key_values=None)


class Wordless:
    """A tokenizer that finds no token in any text."""

    eos_token_id = None

    def __call__(self, texts: list[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[] for _ in texts]}


class Foreign(Wordless):
    """A tokenizer with more tokens than the model."""

    def __call__(self, texts: list[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[99] for _ in texts]}


class Encoding(nn.Module):
    """A decoder with an encoder, by its configuration."""

    config = SimpleNamespace(is_encoder_decoder=True)


def gpt2() -> language.LanguageModel:
    return families.language(families.family("gpt2"))


@cache
def group() -> continuation.Encoded:
    return continuation.encode_prompts(gpt2(), SHORT)[0]


def bare() -> continuation.Encoded:
    """The same prompts as if they had one token each."""
    return replace(group(), prefix=group().prefix[:, :0])


@cache
def prefix_run() -> prefix.PrefixRun:
    return prefix.PrefixRun(gpt2(), group())


def prompts_of(*texts: str, labels: list[int] | None = None, **changes: Any) -> prompt.Prompts:
    fields: dict[str, Any] = {
        "texts": texts,
        "labels": np.zeros(len(texts), dtype=np.int64) if labels is None else np.array(labels),
        "names": ("no", "yes"),
        "groups": texts,
        "contrasts": (agreement.COPULA,),
        "split": Split.EVALUATION,
    }
    return prompt.Prompts(**(fields | changes))


def pairs_in(content: str, name: str = "pairs.jsonl") -> Call:
    return lambda folder: minimal_pairs.read_pairs(written(content, name)(folder))


bad(
    "model.sites.find_sites: an encoder",
    lambda _: sites.find_sites(Encoding()),
    "without an encoder | Encoding",
    SiteError,
)
bad(
    "model.language.wrap_model: no blocks",
    lambda _: language.wrap_model(nn.Linear(2, 2), None),
    "ModuleList",
    SiteError,
)
bad(
    "model.language.LanguageModel.encode: no token",
    lambda _: replace(gpt2(), tokenizer=Wordless()).encode("a"),
    "prompt | at least one token | 'a'",
)
bad("model.language.LanguageModel.encode: too long", lambda _: gpt2().encode(40 * " key"), "prompt | at most | 32 | 41")
bad(
    "model.language.LanguageModel.encode_all: one of many",
    lambda _: gpt2().encode_all(["the key", 40 * " key"]),
    "prompt | at most | 32 | 41",
)
bad(
    "model.language.LanguageModel.encode_all: a foreign tokenizer",
    lambda _: language.wrap_model(Silent(), Foreign()).encode_all(["key"]),
    "token 99 | 'key' | another tokenizer",
)
bad(
    "model.language.load_language_model: dtype",
    lambda f: language.load_language_model(f, dtype="int8"),
    "dtype | 'int8'",
)
bad(
    "model.language.load_language_model: placed twice",
    lambda f: language.load_language_model(f, device="cpu", device_map="cpu"),
    "device | device_map",
)
bad(
    "model.language.load_language_model: nothing there",
    lambda f: language.load_language_model(f / "none"),
    "model | folder | none",
    ArtifactError,
)
bad(
    "model.continuation.encode_prompts: the same tokens",
    lambda _: continuation.encode_prompts(gpt2(), SHORT.under(prompt.Contrast((" xyz",), (" zyx",)))),
    "continuation | different tokens | same",
)
bad(
    "model.continuation.encode_prompts: no token of its own",
    lambda _: continuation.encode_prompts(gpt2(), SHORT.under(prompt.Contrast(("s",), ("z",)))),
    "continuation | tokens of its own | 's'",
)
bad(
    "model.continuation.own_tokens: none",
    lambda _: continuation.own_tokens("the key", [1, 2], [1, 2], ""),
    "continuation | tokens of its own | 'the key'",
)
bad(
    "model.token_ids.encoded: no text",
    lambda _: token_ids.encoded(families.tokenizer(), [3], ()),  # type: ignore[list-item]
    "prompt | text | int",
)
bad(
    "model.token_ids.encoded: half a letter",
    lambda _: token_ids.encoded(families.tokenizer(), ["caf\udce9"], ()),
    "prompt | Unicode | surrogates",
)
bad(
    "model.first_run.check_first_run: no keys and values",
    lambda _: first_run.check_first_run(language.wrap_model(Silent(), families.tokenizer())),
    "Silent",
    SiteError,
)
bad(
    "model.stored_prefix.store_prefix: no keys and values",
    lambda _: stored_prefix.store_prefix(language.wrap_model(Silent(), families.tokenizer()), IDS),
    "Silent | stores keys and values | nothing stored",
    SiteError,
)
bad(
    "model.stored_prefix.check_cache: no cache",
    lambda _: stored_prefix.check_cache(gpt2(), (), 2),
    "gpt2 | stores keys and values | tuple",
    SiteError,
)
bad(
    "model.head.check_head: whole numbers",
    lambda _: head.check_head(Silent().to(torch.float8_e4m3fn), "head"),
    "head | multiplies by its weight | float8",
    SiteError,
)
bad("model.observe.check_gradients: inference mode", lambda _: in_inference_mode(), "gradients | inference_mode")
bad(
    "model.prefix.PrefixRun: no keys and values",
    lambda _: prefix.PrefixRun(language.wrap_model(Silent(), families.tokenizer()), group()),
    "Silent | stores keys and values",
    SiteError,
)
bad(
    "model.prefix.PrefixRun: NaN",
    lambda _: prefix.PrefixRun(language.wrap_model(Silent(NAN), families.tokenizer()), bare()),
    "contrast | finite | prompts [0, 1]",
)
bad(
    "model.prefix.PrefixRun.push: shape",
    lambda _: prefix_run().push(gpt2().anatomy.site(0), torch.zeros(2, families.WIDTH)),
    "edited | (m, 2, 16) | (2, 16)",
)
bad("model.prefix.PrefixRun.push_all: no site", lambda _: prefix_run().push_all({}), "edited | one site or more | none")
bad(
    "model.prefix.PrefixRun.push_all: no such site",
    lambda _: prefix_run().push_all({9: torch.zeros(1, 2, 16)}),
    "0..4 | 9",
    SiteError,
)
bad(
    "model.prefix.PrefixRun.push_all: shape at one of two sites",
    lambda _: prefix_run().push_all({0: torch.zeros(1, 2, families.WIDTH), 1: torch.zeros(1, 3, families.WIDTH)}),
    "edited | (m, 2, 16) | (1, 3, 16)",
)
bad(
    "model.prefix.PrefixRun.push_all: rows",
    lambda _: prefix_run().push_all({0: torch.zeros(1, 2, 16)}, rows=0),
    "rows | 1 | 0",
)
bad(
    "model.prefix.PrefixRun.push_logits: width",
    lambda _: prefix_run().push_logits(gpt2().anatomy.site(0), torch.zeros(1, 2, 3)),
    "edited | (m, 2, 16) | (1, 2, 3)",
)
bad(
    "model.prefix.PrefixRun.push_targets: width",
    lambda _: prefix_run().push_targets(gpt2().anatomy.site(0), torch.zeros(1, 2, 3)),
    "edited | (m, 2, 16) | (1, 2, 3)",
)

SCORES, BITS, CROSSED = np.zeros((1, 4)), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
bad(
    "auc.discriminate: shapes",
    lambda _: discrimination.discriminate(SCORES[0], BITS, BITS),
    "scores | (m, n) | (4,)",
)
bad("auc.discriminate: NaN", lambda _: discrimination.discriminate(SCORES * NAN, BITS, BITS), "scores | NaN")
bad(
    "auc.discriminate: one class",
    lambda _: discrimination.discriminate(SCORES, 0 * BITS, BITS),
    "labels | both classes",
)
bad(
    "auc.discriminate: no resample",
    lambda _: discrimination.discriminate(SCORES, BITS, BITS, resamples=0),
    "resamples | 1 | 0",
)
bad(
    "discrimination.Discrimination.estimate: shape",
    lambda _: discrimination.discriminate(SCORES, BITS, CROSSED).estimate("s", lambda part: part.auc),
    "s | quantity () | (1,)",
)
bad(
    "discrimination.Discrimination.estimate: NaN",
    lambda _: discrimination.discriminate(SCORES, BITS, CROSSED).estimate("s", lambda part: part.separation[0]),
    "s | finite | NaN",
)
bad("auc.separations: shapes", lambda _: discrimination.separations(SCORES, BITS[1:], BITS), "scores | (m, n) | (3,)")
bad("auc.separations: one class", lambda _: discrimination.separations(SCORES, SCORES[0], BITS * 0), "labels | both")
bad("auc.separations: a flat base", lambda _: discrimination.separations(SCORES, SCORES[0], BITS), "base | 0")


def in_inference_mode() -> None:
    with torch.inference_mode():
        observe.check_gradients(nn.Linear(1, 1))


def steering(wanted: tuple[int, ...] = (1,), other: tuple[int, ...] = (2,), **options: Any) -> steer.Steering:
    return steer.Steering(gpt2().anatomy.site(1), lambda states: states, wanted, other, **options)


def continued(prompts: Tensor, steps: int, **options: Any) -> Call:
    return lambda _: generate.continue_text(gpt2(), prompts, steps, GENERATOR, **options)


bad("model.steer.Steering: no token", lambda _: steering(()), "tokens | disjoint | ()")
bad("model.steer.Steering: a shared token", lambda _: steering((2, 3)), "tokens | disjoint | (2, 3)")
bad("model.steer.Steering: rising", lambda _: steering(strengths=(-2.0, -1.0)), "strengths | falling | (-2.0, -1.0)")
bad(
    "model.steer.Steering: two taken as they are",
    lambda _: steering(strengths=(1.0, -1.0), mirrors=False),
    "strengths | one finite number | (1.0, -1.0)",
)
bad("model.steer.Steering: NaN", lambda _: steering(strengths=(NAN,), mirrors=False), "strengths | finite | (nan,)")
bad("model.steer.core_component", lambda _: steer.core_component(builders.core(), "skew"), "projector | skew")
bad("model.steer.Steering: none", lambda _: steering(strengths=()), "strengths | ()")
bad(
    "model.steer.first_tokens: the same",
    lambda _: steer.first_tokens(gpt2(), "the key", prompt.Contrast((" is old",), (" is very",))),
    "contrast | first token | is_old",
)
bad(
    "model.generate.continue_text: more than there are positions",
    continued(IDS, families.POSITIONS),
    f"steps | after prompts of {IDS.shape[1]} tokens | {families.POSITIONS} positions | got {families.POSITIONS}",
)
bad(
    "model.language.LanguageModel.check_ids: another vocabulary",
    lambda _: gpt2().check_ids(torch.tensor([[3, 4000]])),
    "inputs | token ids in 0.. | 3..4000",
)
bad(
    "model.generate.sample_likeliest: NaN",
    lambda _: generate.sample_likeliest(torch.full((2, 3), NAN), 2, GENERATOR),
    "logits | finite | rows [0, 1]",
)
bad("model.generate.continue_text: no ids", continued(gaussian(0, 1, 2), 3), "inputs | integer | (1, 2)")
bad(
    "model.generate.continue_until: no steps",
    lambda _: generate.continue_until(gpt2(), IDS, 0, GENERATOR),
    "steps | 1 | 0",
)
bad("model.generate.continue_text: no steps", continued(IDS, 0), "steps | 1 | 0")
bad("model.generate.continue_text: no candidates", continued(IDS, 1, top_k=0), "top_k | 1 | 0")

bad("tasks.prompt.Contrast: empty", lambda _: prompt.Contrast((), (" is",)), "wanted | at least one | ()")
bad("tasks.prompt.Contrast: text", lambda _: prompt.Contrast((" are",), " is"), "other | ' is'")  # type: ignore[arg-type]
bad("tasks.prompt.Contrast: no text", lambda _: prompt.Contrast((" are",), ("",)), "other | none of them empty")
bad("tasks.prompt.Contrast: shared", lambda _: prompt.Contrast((" a", " b"), (" b",)), "different | [' b']")
bad("tasks.prompt.Prompts: none", lambda _: prompts_of(), "prompts | some")
bad("tasks.prompt.Prompts: few groups", lambda _: prompts_of("a", "b", groups=("a",)), "prompts | 2 | groups | 1")
bad(
    "tasks.prompt.Prompts: attractors",
    lambda _: prompts_of("a", "b", attractors=np.zeros(1)),
    "prompts | 2 | attractors | 1",
)
bad("tasks.prompt.Prompts: names", lambda _: prompts_of("a", names=("no", "no")), "names | different | 'no'")
bad("tasks.prompt.Prompts: empty text", lambda _: prompts_of("a", " "), "texts | not empty")
bad("tasks.prompt.Prompts: label", lambda _: prompts_of("a", "b", labels=[0, 2]), "labels | 0 (no) | 1 (yes) | [0, 2]")
bad("tasks.prompt.Prompts: contrasts", lambda _: prompts_of("a", contrasts=()), "prompts | 0")
bad("tasks.prompt.check_names: one", lambda _: prompt.check_names(("no",)), "names | two names | ('no',)")
bad("tasks.prompt.check_names: empty", lambda _: prompt.check_names(("no", "")), "names | none of them empty")


def prompts_from(task: PromptTask, split: Split, count: int) -> Call:
    return lambda _: task.prompts(split, count)


for task in (TASK, EnglishTask(), PublishedTask()):
    begin = f"tasks.drawn.DrawnPrompts.prompts: {task.name}"
    bad(f"{begin}, training", prompts_from(task, Split.TRAINING, 3), "split | 'training'")
    bad(f"{begin}, none", prompts_from(task, Split.SELECTION, 0), "count | 1 | 0")
bad("tasks.pair_files.read_rows: no path", lambda _: pair_files.read_rows(cast(Any, 3)), "path | int")
bad("tasks.fragment.story.story: no sentence", lambda _: story(RNG, 0), "sentences | 1 | 0")
bad("tasks.english_judge.find_copulas: no text", lambda _: find_copulas(3), "text | string | int")  # type: ignore[arg-type]
bad("tasks.english_judge.find_copulas: label", lambda _: find_copulas("It is", "", 2), "label | 0, 1 or None | 2")
bad("tasks.english_judge.find_copulas: prompt", lambda _: find_copulas("It is", "He"), "text | prompt 'He' | 'It is'")
bad("tasks.english_tags.check_continues: prompt", lambda _: check_continues("It", 3), "prompt | string | int")
bad("tasks.english_judge.count_copulas: prompt", lambda _: count_copulas("It is", "He"), "text | prompt 'He' | 'It is'")
bad("tasks.fragment.judge.judge: no text", lambda _: judge_agreement(3), "text | string | int")  # type: ignore[arg-type]
bad(
    "tasks.pairs.read_pairs: no file",
    lambda f: minimal_pairs.read_pairs(f / "a.csv"),
    "path | readable | a.csv",
)
bad("tasks.pairs.read_pairs: kind", lambda f: minimal_pairs.read_pairs(f / "a.txt"), "path | .csv | a.txt")
bad("tasks.pairs.read_pairs: no JSON", pairs_in("{"), "pairs.jsonl, line 1 | JSON")
bad("tasks.pairs.read_pairs: columns", pairs_in('{"text": "a"}'), "line 1 | prompt, good, bad, label | text")
bad("tasks.pairs.read_pairs: nothing", pairs_in(""), "pairs.jsonl | singular rows | 0 in all")
bad(
    "tasks.pairs.read_pairs: label",
    pairs_in("prompt,good,bad,label\nA,is,are,one\nA,was,were,one\nB,are,is,two\nC,is,are,dual\n", "pairs.csv"),
    "pairs.csv, line 5 | label one or two | 'dual'",
)
bad(
    "tasks.pairs.MinimalPairs.prompts: training",
    lambda _: minimal_pairs.MinimalPairs("a", ("no", "yes"), {}, 0).prompts(Split.TRAINING, 3),
    "split | 'training'",
)

bad(
    "training.language.recipe.LanguageRecipe: heads",
    lambda _: replace(TINY_LANGUAGE, heads=3),
    "tiny.heads | divisor of width 16 | 3",
    RecipeError,
)
bad(
    "training.language.recipe.LanguageRecipe: one position",
    lambda _: replace(TINY_LANGUAGE, positions=1),
    "tiny.positions | 2 | 1",
    RecipeError,
)
bad(
    "training.language.recipe.read_language_recipe: unknown key",
    lambda f: read_language_recipe(written("a = 3")(f)),
    "tiny | unknown | ['a'] | missing | steps",
    RecipeError,
)


def third_model(made: Callable[[LanguageRecipe, int], object]) -> Callable[[Path], object]:
    """Call for the third of two models."""
    return lambda _: made(TINY_LANGUAGE, 2)


for name, made in (
    ("train_language_model", language_training.train_language_model),
    ("LanguageTrainer", language_training.LanguageTrainer),
):
    bad(f"training.language.trainer.{name}: index", third_model(made), "index | 0..1 | 2")
bad(
    "training.language.trainer.untrained_model: index",
    lambda _: language_training.untrained_model(TINY_LANGUAGE, -1),
    "index | -1",
)
bad(
    "training.language.trainer.LanguageTrainer.restore: no file",
    lambda f: language_training.LanguageTrainer(TINY_LANGUAGE, 0).restore(f / "none.json"),
    "none.json",
    ArtifactError,
)
bad(
    "training.language.store.load_language_folder: nothing there",
    lambda f: language_store.load_language_folder(f, TINY_LANGUAGE, 0),
    "provenance.json | readable",
    ArtifactError,
)
bad(
    "training.language.store.read_folder_provenance: schema",
    lambda f: language_store.read_folder_provenance(written('{"schema": 2}', "provenance.json")(f).parent),
    "provenance.json | schema 1",
    ArtifactError,
)


def tokenizer_of(words: list[str]) -> Callable[[Path], object]:
    return lambda _: word_tokenizer.word_tokenizer(words, 8)


for words in ([], ["a", "a"], ["a b"], [""]):
    bad(f"training.language.tokenizer.word_tokenizer: {words}", tokenizer_of(words), f"words | {words}")

bad(
    "study.prompt_seeds.PromptStudies: no function",
    lambda _: PromptStudies([gpt2()], 1, TASK),  # type: ignore[arg-type]
    "load | function | list",
)
bad(
    "study.prompt_seeds.PromptStudies: no seeds",
    lambda _: PromptStudies(lambda index: gpt2(), 0, TASK),
    "count | at least 1 | 0",
)
bad(
    "study.prompt_seeds.PromptStudies: no prompts",
    lambda _: PromptStudies(lambda index: gpt2(), 1, mess3()),  # type: ignore[arg-type]
    "source | PromptTask | HiddenMarkov",
)


class OwnPrompts(agreement.AgreementTask):
    """A source of prompts of one's own, that may mistake its splits or its groups."""

    def __init__(self, *, one_split: bool = False, one_each: bool = False) -> None:
        super().__init__()
        object.__setattr__(self, "mistakes", (one_split, one_each))

    def prompts(self, split: Split, count: int, seed: int = 0) -> prompt.Prompts:
        one_split, one_each = self.mistakes  # type: ignore[attr-defined]
        given = super().prompts(Split.EXTRACTION if one_split else split, count, seed)
        twice = given.take([*range(count), *range(count)])
        groups = tuple(f"{row}" for row in range(2 * count))
        return replace(twice, groups=groups, split=split) if one_each else replace(given, split=split)


bad(
    "study.checks.require_different_prompts: one split for all",
    lambda _: require_different_prompts(OwnPrompts(one_split=True), prompts.SIZES),
    "split | prompts of selection that are not in extraction | in both",
    SplitError,
)
bad(
    "study.checks.require_different_prompts: a prompt in two groups",
    lambda _: require_different_prompts(OwnPrompts(one_each=True), prompts.SIZES),
    "groups | one for each text",
)
bad(
    "study.prompt_seeds.PromptStudies: one split for all",
    lambda _: PromptStudies(lambda index: gpt2(), 1, OwnPrompts(one_split=True)),
    "split | in both",
    SplitError,
)
bad(
    "study.language_subjects.language_subject: no language model",
    lambda _: language_subject("gpt2", gpt2().model, TASK),  # type: ignore[arg-type]
    "language | LanguageModel | GPT2LMHeadModel",
)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in TABLE])
def test_a_bad_call_raises_the_named_error_that_tells_what_came(row: BadCall, tmp_path: Path) -> None:
    with pytest.raises(row.error) as caught:
        row.call(tmp_path)
    assert type(caught.value) is row.error
    missing = [word for word in row.words if word not in str(caught.value)]
    assert not missing, f"the message does not tell {missing}: {caught.value}"


# Names that take arguments but leave nothing to get wrong on their own, by reason.
NOTHING_TO_GET_WRONG: Mapping[str, tuple[str, ...]] = {
    "reads words and tags that the judge made": (
        "tasks.english_phrases.determined_number",
        "tasks.english_phrases.end_of_head",
        "tasks.english_phrases.may_follow_subject",
        "tasks.english_phrases.number_after",
        "tasks.english_phrases.number_of_part",
        "tasks.english_phrases.pronoun_number",
        "tasks.english_phrases.read_list",
        "tasks.english_tags.read_words",
        "tasks.english_words.noun_number",
    ),
    "test_sweeps has a wrong call for each of its messages": (
        "engine.Engine",
        "files.locked",
        "training.sweep.recipe.Run.task",
        "training.sweep.recipe.parse_sweep",
        "training.sweep.recipe.read_sweep",
        "training.sweep.run.run_sweep",
        "training.sweep.table.begin_table",
        "training.sweep.table.read_table",
        "training.sweep.table.table_of",
    ),
    "trains, or tells of, what a sweep's recipe, which was verified, asks for": (
        "study.delays.missing",
        "study.delays.settled",
        "study.sweep.subject_of",
        "engine.Workers.results",
        "training.score.accuracies",
        "training.sweep.advance.advance",
        "training.sweep.recipe.SweepRecipe.architecture",
        "training.sweep.run.new_stacks",
        "training.sweep.run.spread",
        "training.sweep.stack.StackTrainer",
        "training.sweep.stack.StackTrainer.accuracy",
        "training.sweep.stack.StackTrainer.onto",
        "training.sweep.stack.StackTrainer.row",
        "training.sweep.stack.started",
        "training.sweep.stack.started_from",
        "training.sweep.state.StackState.only",
        "training.sweep.state.StackState.taken",
        "training.sweep.table.SweepTable.of",
        "training.sweep.table.add_outcomes",
        "training.sweep.unfinished.Unfinished",
        "training.sweep.unfinished.Unfinished.load",
        "training.sweep.unfinished.Unfinished.remove",
        "training.sweep.unfinished.Unfinished.replace",
        "zoo.recipes.sweeps",
    ),
    "test_plan has a wrong call for each of its messages": (
        "model.language.check_folder",
        "zoo.plan.load_of",
        "zoo.plan.make_plan",
        "zoo.shape.find_shape",
        "zoo.shape.find_tokenizer",
        "zoo.shape.shape_of",
    ),
    "counts what a shape, which was verified, leads to": (
        "zoo.plan.amounts",
        "zoo.plan.features",
        "zoo.plan.memory_of",
        "zoo.plan.on_gpu",
        "zoo.plan.seconds_of",
        "zoo.speed.measure_speed",
    ),
    "test_example_extractors has a wrong call for each of its messages": (
        "extract.extracted",
        "extract.wants_labels",
        "study.checks.scored_classes",
    ),
    "test_real_models has a wrong call for each of its messages": (
        "model.gguf.check_gguf",
        "model.gguf.conversion_fault",
        "model.gguf.converted_gguf",
        "model.hub.why_not_loaded",
        "zoo.download.check_hub_file",
        "zoo.download.did_you_mean",
        "zoo.download.model_place",
        "zoo.download.obtain",
        "zoo.download.obtained_folder",
        "zoo.real_models.real_model",
    ),
    "takes what the library itself made and checked": (
        "model.activations.fuse_activations",
        "model.gguf.is_gguf",
        "model.quiet.quiet_transformers",
        "model.shared_prefix.piece_ends",
        "model.shared_prefix.prefix_cache",
        "model.shared_prefix.prefix_caches",
        "model.prefix.run_together",
        "model.stored_keys.keep_rows",
        "model.stored_keys.shortened",
        "model.steer.Steering.of_rows",
        "model.stored_keys.only_grows",
        "study.memory.Memory.release",
        "zoo.real_models.family_name",
        "study.memory.key_of",
        "model.aside.takes_room",
        "model.aside.weights_aside",
        "study.prompt_seeds.PromptStudies.alone",
        "study.prompt_seeds.PromptStudies.each_alone",
        "study.prompt_seeds.PromptStudies.release",
        "study.prompts.PromptStudy.few",
        "study.prompts.PromptStudy.few_rows",
        "tasks.sentences.sentence_ends",
        "study.rest.allowed",
        "study.token_rest.rest_at",
        "study.token_rest.rest_performance",
        "study.token_rest.rest_scores",
        "study.prompt_rest.rest_at",
        "study.prompt_rest.read_under",
        "study.prompt_rest.rest_of",
        "study.prompt_rest.few_runs",
        "study.prompt_rest.evaluation_runs",
        "study.prompt_rest.own_contrasts",
        "study.prompt_rest.pushed_subspaces",
        "study.prompt_seeds.PromptStudies.sites",
        "study.found_core.FoundCore.save",
        "study.prompts.PromptStudy.choice",
        "study.site_choice.swept_contrasts",
        "study.rest.jackknife",
        "study.subspaces.Subspaces.take",
        "study.subspaces.Subspaces.edited",
        "moments.covariance",
        "moments.regression",
        "moments.explained",
        "moments.inverse_root",
        "moments.canonical_pairs",
        "moments.correlations",
        "moments.explained_beside",
        "moments.pooled",
        "rank.Energy.choose",
        "rank.Gap.choose",
        "rank.Full.choose",
        "rank.Null.choose",
        "rank.GivenSpectrum.reaches",
        "spectrum.FactorSpectrum.reaches",
        "spectrum.FactorSpectrum.null",
        "core.Deferred",
        "core_arrays.skewness",
        "core_arrays.array_fault",
        "core_arrays.dual_fault",
        "study.claim.Bound.place",
        "study.claim.Bound.margin",
        "model.steer.Steering.scaled",
        "model.steer.Steering.mirroring",
        "tasks.base.stationary",
        "files.save_artifact",
        "training.checkpoint.save_unfinished",
        "training.result.save_ensemble",
        "training.groups.GroupOptimiser",
        "training.groups.GroupOptimiser.step",
        "training.groups.GroupOptimiser.take_up",
        "training.groups.moment_shapes",
        "training.recipe.digest_of",
        "training.apart.arms_of",
        "training.course.Arm.has",
        "training.course.Course.has_arm",
        "training.result.rounded",
        "training.state.EnsembleState.tensors",
        "training.train.result_of",
        "training.resumable.advance_to",
        "training.resumable.take_up",
        "training.score.loss_and_accuracy",
        "training.score.mean_losses",
        "training.seeds.copied",
        "training.transformer.without_weights",
        "training.seeds.model_seeds",
        "training.result.tensors_of",
        "linalg.Balance.reaches",
        "singular.SingularSystem",
        "singular.SingularSystem.leading",
        "rotation.ring_share",
        "rotation.grid_distance",
        "rotation.modes_needed",
        "rotation.distinct_modes",
        "training.course.Course.arms_at",
        "training.course.Course.has_point",
        "training.buffer.row_length",
        "training.buffer.WeightBuffer",
        "training.buffer.WeightBuffer.differentiate",
        "training.buffer.WeightBuffer.copies",
        "report.record.result",
        "report.record.environment",
        "report.record.document",
        "report.record.nothing_measured",
        "report.record.write_document",
        "model.sites.state_place",
        "model.passes.run_any",
        "model.passes.read_state",
        "model.passes.placed",
        "model.passes.check_finite",
        "model.left_out.without",
        "model.left_out.find_left_out",
        "model.partial_runs.passing_on",
        "model.stored_keys.cache_keyword",
        "model.stored_keys.output_cache",
        "model.language.LanguageModel.run",
        "model.late_rows.leading_rows",
        "model.late_rows.rows_joining_late",
        "auc.simple_auc",
        "model.steer.Steering.contrast",
        "model.steer.Steering.candidates",
        "model.steer.Steering.pick",
        "linalg.weighted_frames",
        "model.continuation.Encoded.contrast",
        "model.continuation.scattered",
        "model.head.weights_at_hand",
        "model.head.running_device",
        "model.head.some_rows",
        "model.head.HeadRows",
        "model.head.HeadRows.forward",
        "model.head.WholeHead",
        "model.head.WholeHead.forward",
        "model.last_read.read_after",
        "model.outputs.configs_of",
        "model.outputs.logits_alone",
        "model.outputs.advice",
        "model.partial_runs.observed_blocks",
        "model.partial_runs.first_sizes",
        "model.stored_prefix.are_same",
        "model.stored_prefix.check_as_whole",
        "model.stored_prefix.check_behind",
        "model.token_ids.closing_marks",
        "model.told_passes.passes_told",
        "model.partial_runs.restricted_head",
        "model.partial_runs.skipped_blocks",
        "model.observe.reading",
        "model.partial_runs.replaced_forwards",
        "auc.cluster_sums",
        "model.partial_runs.returned_tuples",
        "model.stored_keys.repeated_cache",
        "model.stored_keys.tiled_cache",
        "model.stored_keys.shared_cache",
        "model.stored_keys.growing_cache",
        "study.prompts.encoded_once",
        "model.stored_keys.KeyMemory",
        "model.stored_keys.KeyMemory.joined",
        "model.stored_keys.layer_for_rows",
        "model.steer.Steering.among",
        "model.steer.steered_logits",
        "model.prefix.PrefixRun.states",
        "model.prefix.PrefixRun.under",
        "tasks.verb_forms.told_number",
        "tasks.english.words.plural_of",
        "tasks.head_nouns.derived_head",
        "tasks.head_nouns.stem",
        "training.language.corpus.Corpus",
        "training.language.corpus.Corpus.batch",
        "training.language.trainer.token_loss",
        "training.language.store.train_side_by_side",
    ),
    "any token ids have a text; rows are NumPy's to refuse; a Contrast was checked when it was built": (
        "model.language.LanguageModel.decode",
        "tasks.prompt.Prompts.take",
        "tasks.prompt.Prompts.under",
    ),
    "a part of the transformer or its trainer, called with shapes that a checked Architecture fixes": (
        "training.ensemble.DropoutMasks.take",
        "training.ensemble.mask_values",
        "training.transformer.KeyValues",
        "training.transformer.KeyValues.attended",
        "training.transformer.KeyValues.taken",
        "training.transformer.Attention",
        "training.transformer.Attention.forward",
        "training.transformer.Block",
        "training.transformer.Block.forward",
        "training.transformer.initialise",
    ),
    "takes a path and, if anything, bytes or plain values; what the file system refuses stays an OSError": (
        "files.write_atomic",
        "files.write_json",
        "files.sha256_of",
        "files.remove_artifact",
        "files.remove_cut_off",
        "training.trainer.EnsembleTrainer.save",
        "training.language.trainer.LanguageTrainer.save",
        "training.language.store.store_language_model",
        "training.language.store.partial_of",
    ),
    "takes a tail, a task, a recipe or a source that was checked when it was made or read": (
        "model.tail.Tail.linear_map",
        "model.tail.Tail.states",
        "model.tail.Tail.outputs",
        "model.tail.Tail.from_states",
        "model.tail.Tail.sensitivities",
        "tasks.base.Task.score",
        "tasks.base.Task.chance",
        "suite.parametrize.claims_of",
        "suite.parametrize.parameters_of",
        "suite.subjects.Asked.extractor",
        "suite.subjects.asked_subjects",
        "suite.test_claims.test_claim",
        "study.language_subjects.Scales.require_behaviour",
        "study.language_subjects.several_scales",
        "study.language_subjects.fresh_twin",
        "zoo.fixtures.default_rerun",
        "zoo.fixtures.StoredFixtures.extractor",
        "zoo.fixtures.StoredFixtures.memory",
        "zoo.fixtures.StoredFixtures.subjects",
        "zoo.named.ModelSource.load",
        "zoo.named.ModelSource.prompts_for",
        "zoo.named.knows_words",
        "study.prompts.PromptStudy.varies",
        "zoo.named.lazy_model",
        "zoo.obtain.Store.ensemble",
        "zoo.obtain.Store.language_models",
        "zoo.obtain.Store.is_stored",
        "zoo.recipes.recipes",
        "zoo.recipes.language_recipes",
    ),
    "a part of a study, which refuses what is wrong with it when it is built; it takes an index below its length": (
        "study.tokens.TokenStudy.batch",
        "study.tokens.TokenStudy.tail",
        "study.tokens.TokenStudy.inputs",
        "study.tokens.TokenStudy.states",
        "study.tokens.TokenStudy.sensitivities",
        "study.tokens.TokenStudy.core",
        "study.tokens.TokenStudy.core_of",
        "study.tokens.TokenStudy.performance",
        "study.tokens.TokenStudy.scores",
        "study.tokens.TokenStudy.base_scores",
        "study.tokens.TokenStudy.base",
        "study.tokens.TokenStudy.core_replicates",
        "study.tokens.TokenStudy.replicate_ranks",
        "study.prompt_seeds.PromptStudies.language",
        "study.prompt_seeds.PromptStudies.study",
        "study.prompt_seeds.PromptStudies.require_behaviour",
        "study.prompts.PromptStudy",
        "study.prompts.PromptStudy.prompts",
        "study.prompts.PromptStudy.encoded",
        "study.prompts.PromptStudy.runs",
        "study.prompts.PromptStudy.base",
        "study.prompts.PromptStudy.labels",
        "study.prompts.PromptStudy.states",
        "study.prompts.PromptStudy.core",
        "study.prompts.PromptStudy.replace_core",
        "study.prompts.PromptStudy.push",
        "study.prompts.PromptStudy.ablated",
        "study.prompts.PromptStudy.discriminate",
        "study.prompts.PromptStudy.require_behaviour",
        "study.run_history.RunHistory.learnt",
        "study.run_history.RunHistory.stages",
        "study.run_history.RunHistory.arm_at",
        "study.site_choice.separations_at",
        "study.site_choice.shown_sites",
        "study.site_choice.choose_site",
        "study.site_choice.sufficient_at_site",
        "study.site_choice.rank_of",
        "study.subject.Subject.command",
        "study.subject.LazySubject.command",
    ),
    "takes what a study holds, or numbers of its own": (
        "study.delays.Delays.where",
        "study.delays.Delays.counts",
        "study.delays.dealt",
        "study.delays.regrouped",
        "alternatives.methods.onto_readers",
        "alternatives.methods.own_readers",
        "study.alternatives.alternative_cores",
        "study.alternatives.found_cores",
        "study.alternatives.prompt_alternatives",
        "study.alternatives.core_or_alternative",
        "study.alternatives.shared_alternatives",
        "study.alignment_search.exchanged",
        "study.alignment_search.trained_basis",
        "study.interchange.searched_core",
        "study.token_interchange.searched_subspace",
        "intervals.reach",
        "intervals.effective_trials",
        "intervals.effective_limits",
        "intervals.acceleration",
        "intervals.freedom",
        "intervals.bias",
        "intervals.corrected",
        "intervals.replicate_interval",
        "intervals.tail_quantile",
        "study.controls.edited",
        "study.controls.principal_core",
        "progress.Line",
        "progress.Line.write",
        "progress.note",
        "progress.Line.step",
        "progress.Line.keep_showing",
        "progress.shown",
        "progress.told",
        "study.memory.Memory.get",
        "study.memory.Memory.put",
        "study.memory.Memory.holds",
        "study.memory.remembered",
        "study.prompts.plain",
        "study.replicates.resampled_cores",
        "threads.threads",
        "threads.fair_share",
        "study.tokens.standard_error",
    ),
    "test_cores_used_again has a wrong call for each of its messages": (
        "study.found_core.find_core",
        "study.found_core.FoundCore.foreign",
        "study.found_core.FoundCore.load",
        "study.found_core.FoundCore.site_in",
        "study.found_core.FoundCore.steering",
    ),
    "checks a task of one's own; test_own_runs has a task for each of its messages": (
        "study.checks.split_sizes",
        "study.checks.as_tensor",
        "study.checks.drawn_batch",
        "study.checks.checked_scores",
        "study.checks.checked_chance",
    ),
    "abstract; its implementations stand in the table": ("tasks.base.Task.draw", "tasks.prompt.PromptTask.prompts"),
}
# What measures a claim takes a subject, which refuses what is wrong with it when it is built; what users call stands in
# the table like everything else.
MEASURES = "families."
PUBLIC = frozenset(f"{ace._HOME[name]}.{name}" for name in ace.__all__)
# Options of pytest and of the command line; no arguments; takes documents of our own.
OUT_OF_SCOPE = ("ace.plugin", "ace.cli", "ace.__main__", "ace.errors", "ace.report")
IN_SCOPE_AGAIN = ("ace.report.record",)


def takes_arguments(function: object, bound: bool = False) -> bool:
    return len(inspect.signature(function).parameters) > bound  # type: ignore[arg-type]


def own_members(module: Any) -> Iterator[tuple[str, Any]]:
    for name, member in vars(module).items():
        if not name.startswith("_") and getattr(member, "__module__", None) == module.__name__:
            yield name, member


def public_names() -> Iterator[str]:
    """Functions, methods, and classes with a constructor of their own that take arguments; protocols have no code."""
    for found in pkgutil.walk_packages(ace.__path__, "ace."):
        if found.name.startswith(OUT_OF_SCOPE) and found.name not in IN_SCOPE_AGAIN:
            continue
        module = importlib.import_module(found.name)
        stem = found.name.removeprefix("ace.")
        for name, member in own_members(module):
            if inspect.isfunction(member) and takes_arguments(member):
                yield f"{stem}.{name}"
            if inspect.isclass(member) and not getattr(member, "_is_protocol", False):
                checks = "__post_init__" in vars(member)
                plain = hasattr(member, "__dataclass_fields__") and not checks
                if checks or ("__init__" in vars(member) and not plain and takes_arguments(member)):
                    yield f"{stem}.{name}"
                for inner, method in vars(member).items():
                    method = method.__func__ if isinstance(method, classmethod) else method
                    if not inner.startswith("_") and inspect.isfunction(method) and takes_arguments(method, bound=True):
                        yield f"{stem}.{name}.{inner}"


def test_every_public_name_has_a_bad_call_or_a_reason_to_have_none() -> None:
    excused = {name for names in NOTHING_TO_GET_WRONG.values() for name in names}
    covered = {row.name for row in TABLE}
    left = [name for name in public_names() if name not in covered | excused]
    assert [name for name in left if name in PUBLIC or not name.startswith(MEASURES)] == []


def test_neither_the_table_nor_the_reasons_are_stale() -> None:
    excused = [name for names in NOTHING_TO_GET_WRONG.values() for name in names]
    covered = {row.name for row in TABLE}
    known = set(public_names())
    assert sorted({*excused, *covered} - known) == []
    assert sorted(covered & set(excused)) == []
    assert len(excused) == len(set(excused))


def test_rows_of_the_table_are_distinct() -> None:
    ids = [row.id for row in TABLE]
    assert len(ids) == len(set(ids))
