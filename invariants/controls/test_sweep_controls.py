"""The claims about the grokking delay on planted sweeps: each holds, fails, and has controls that can be inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ace.errors import Inapplicable
from ace.families.grokking_law import as_published, laws, measures
from ace.families.grokking_law.claims import CLAIMS
from ace.families.grokking_law.figure import delay_figure
from ace.families.grokking_law.figure import words as described
from ace.families.grokking_law.measures import (
    GIVEN,
    NO_DECAY,
    OTHERS,
    POWER,
    SHUFFLED,
    along_a_power,
    estimate,
)
from ace.report.record import result
from ace.stats import exact
from ace.study.delays import Delays
from ace.study.measurement import Measurement
from ace.study.subject import Subject
from ace.study.sweep import SweepSubject, subject_of
from ace.training.sweep.recipe import Run
from ace.training.sweep.table import SweepTable
from ace.verdict import judge
from ace.verify import Status, Verdict, verify_claim
from invariants.controls.planted_sweep import planted, recipe, redundant


def verdict(claim: str, subject: SweepSubject) -> Verdict:
    return verify_claim(claim, subject)


def test_all_hold_where_both_laws_are_planted() -> None:
    subject = planted(spread=0.03)
    found = {claim.id: verdict(claim.id, subject) for claim in CLAIMS}
    assert {name: (one.status, one.reason) for name, one in found.items() if one.status is not Status.HOLDS} == {}
    assert found["law.omega"].estimate == pytest.approx(-1, abs=0.05)
    assert found["law.redundancy"].details["omega"] == pytest.approx(600, rel=0.2)
    assert found["law.redundancy"].details["critical"] == pytest.approx(26, abs=1)


def test_another_exponent_fails_and_noise_leaves_it_open() -> None:
    def other(run: Run) -> float:  # arXiv 2605.20441
        return float(np.log(600) - 0.757 * np.log(max(run.weight_decay, 1e-9)))

    assert verdict("law.omega", planted(other)).status is Status.FAILS
    assert verdict("law.omega", planted(spread=0.8, seeds=5)).status is Status.UNDECIDED


def test_a_law_that_given_weights_follow_too_says_nothing() -> None:
    subject = planted(given=redundant)
    for claim in ("law.omega", "law.redundancy"):
        found = verdict(claim, subject)
        assert found.controls[GIVEN].place == "inside"
        assert found.status is Status.VACUOUS


def test_delays_that_do_not_need_weight_decay_are_no_law_of_it() -> None:
    def without(run: Run) -> float:
        return redundant(replace(run, weight_decay=1.0))

    found = verdict("law.redundancy", planted(without))
    assert found.controls[NO_DECAY].place == "inside"
    assert found.status is Status.VACUOUS


def test_settings_that_do_not_matter_leave_nothing_to_shuffle() -> None:
    """One weight decay's delays in all places: shuffled they are what they were."""

    def flat(run: Run) -> float:
        return float(np.log(600))

    found = verdict("law.split", planted(flat))
    assert found.controls[SHUFFLED].place == "inside"
    assert found.status is Status.VACUOUS


def test_in_the_middle_of_the_moduli_their_mean_is_as_good_as_the_law() -> None:
    found = verdict("law.consistency", planted(modulus=41))
    assert found.controls[OTHERS].place == "inside"
    assert found.status is Status.VACUOUS


def test_shuffled_settings_can_follow_the_law() -> None:
    """Delays so alike in their order that dealing settings out anew finds the same: an exponent without noise."""

    def steep(run: Run) -> float:
        return float(np.log(600) - np.log(max(run.weight_decay, 1e-9)))

    subject = planted(steep)
    delays = subject.trained.delays("decays")
    same = estimate("all seeds", delays, laws.exponent)
    measured = Measurement((same,), {SHUFFLED: (same,), GIVEN: (same,)})
    claim = next(one for one in CLAIMS if one.id == "law.omega")
    assert judge(claim, measured, "x").status is Status.VACUOUS
    assert measures.omega.controls == (SHUFFLED, GIVEN)


def test_a_power_of_the_modulus_is_no_worse_where_it_is_planted() -> None:
    def power(run: Run) -> float:
        return float(np.log(4e6) - 2.5 * np.log(run.modulus) - np.log(max(run.weight_decay, 1e-9)))

    found = verdict("law.rivals", planted(power))
    assert found.status is not Status.HOLDS
    assert found.estimate < 0.02


def test_scatter_can_make_a_power_seem_the_law() -> None:
    """Two seeds and much scatter: where the law does better by luck, it does so along a power as well."""
    claim = next(one for one in CLAIMS if one.id == "law.rivals")
    better = exact("all seeds", 0.1)
    assert judge(claim, Measurement((better,), {POWER: (better,)}), "x").status is Status.VACUOUS
    subject = planted(redundant, spread=0.03)
    delays = subject.trained.delays("moduli")
    moved = along_a_power(delays)
    ones = np.ones((1, len(delays.logs)))
    power = laws.power_law(delays, ones, delays.moduli)[0]
    law = laws.redundancy_law(delays, ones, delays.moduli)[0]
    np.testing.assert_allclose(moved.logs - power, delays.logs - law)


def test_a_split_that_matters_fails() -> None:
    def split(run: Run) -> float:
        return redundant(run) + (0.4 if run.split == "own" else 0.0)

    found = verdict("law.split", planted(split))
    assert found.status is Status.FAILS
    assert [seed.label for seed in found.seeds if abs(seed.value) > 0.2] == ["delay"]


def test_decays_that_disagree_with_moduli_fail() -> None:
    def apart(run: Run) -> float:
        return redundant(run) + (0.5 if run.weight_decay not in (0.0, 1.0) else 0.0)

    assert verdict("law.consistency", planted(apart)).status is Status.FAILS


def test_runs_that_were_given_up_are_kept() -> None:
    """Dropping them, as the published protocol does, makes the exponent look too small."""

    def slow(run: Run) -> float:
        return float(np.log(16_000) - np.log(max(run.weight_decay, 1e-9)))

    subject = planted(slow, spread=0.4)
    delays = subject.trained.delays("decays")
    assert 0 < (~delays.ended).sum() < len(delays.ended) / 2
    kept = estimate("all seeds", delays, laws.exponent).value
    (dropped,) = as_published.omega(subject)
    assert abs(kept + 1) < 0.1
    assert dropped > kept + 0.05


def test_of_a_setting_that_is_still_trained_the_fast_runs_do_not_stand_for_all() -> None:
    whole = planted(spread=0.3)
    sweep, outcomes = whole.trained.sweep, whole.trained.table.outcomes
    slowest = max(o.steps for o in outcomes if o.run in set(sweep.parts["decays"].runs()))
    stopped = SweepTable(sweep.settings, tuple(o for o in outcomes if o.steps < slowest / 3))
    delays = subject_of(sweep, stopped).trained.delays("decays")
    assert 0 < delays.waiting < len(stopped.of(sweep.parts["decays"].runs()))
    complete = whole.trained.delays("decays")
    same = np.isin(complete.decays, np.unique(delays.decays))
    np.testing.assert_array_equal(delays.logs, complete.logs[same])
    assert len(np.unique(delays.decays)) < len(np.unique(complete.decays))
    found = verdict("law.omega", subject_of(sweep, stopped))
    assert found.details["done, of settings of which others are not"] == delays.waiting


def test_too_few_runs_that_generalise_are_not_hidden_by_those_that_are_still_trained() -> None:
    """The only runs that are done are those that ended early; of whole settings most were given up."""

    def slow(run: Run) -> float:
        return redundant(run) if run.seed == 0 else 30.0

    whole = planted(slow, given=slow)
    sweep, outcomes = whole.trained.sweep, whole.trained.table.outcomes
    early = SweepTable(sweep.settings, tuple(o for o in outcomes if o.generalised is not None))
    for table in (whole.trained.table, early):
        with pytest.raises(Inapplicable, match="half of the runs to generalise"):
            subject_of(sweep, table).trained.require_behaviour("law.omega")


def test_the_exponent_between_neighbours_shows_a_curve_that_one_exponent_hides() -> None:
    def bent(run: Run) -> float:
        decay = max(run.weight_decay, 1e-9)
        return float(np.log(600) - np.log(decay) - (0.8 * np.log(decay / 2) if decay > 2 else 0.0))

    found = verdict("law.omega", planted(bent, spread=0.01)).details["exponents between neighbours"]
    *flat, last = found.values()
    np.testing.assert_allclose(flat, -1, atol=0.1)
    assert last == pytest.approx(-1.8, abs=0.1)
    assert list(found)[-1] == "2 to 3"


@pytest.mark.parametrize(("left", "words"), [("decays", "weight decay"), ("moduli", "modulus p")])
def test_a_figure_has_the_panel_whose_runs_are_trained(left: str, words: str) -> None:
    subject = planted()
    results = {claim.id: result(verdict(claim.id, subject)) for claim in CLAIMS}
    whole = delay_figure(results, "planted")
    assert whole is not None
    assert len(whole.axes) == 2
    for claim, part in (("law.omega", "decays"), ("law.redundancy", "moduli")):
        if part != left:
            results[claim]["details"].pop(part)
    figure = delay_figure(results, "planted")
    assert figure is not None
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_yscale()) == (words, "delay, steps", "log")
    assert ("modulus" in described(results).alt) == (left == "moduli")
    results["law.omega"]["details"].clear()
    results["law.redundancy"]["details"].clear()
    assert delay_figure(results, "planted") is None


def test_splits_are_compared_where_both_are_trained() -> None:
    """The largest modulus alone has been trained with one split only: its delays are short, and make no difference."""
    whole = planted(spread=0.03)
    sweep = whole.trained.sweep
    largest = max(sweep.parts["moduli"].moduli)
    some = tuple(o for o in whole.trained.table.outcomes if (o.run.modulus, o.run.split) != (largest, "own"))
    found = verdict("law.split", subject_of(sweep, SweepTable(sweep.settings, some)))
    (delay,) = (seed for seed in found.seeds if seed.label == "delay")
    assert abs(delay.value) < 0.05
    none = tuple(o for o in some if o.run.split != "own" or o.run.modulus not in sweep.parts["moduli"].moduli)
    assert verdict("law.split", subject_of(sweep, SweepTable(sweep.settings, none))).status is Status.INAPPLICABLE


def test_medians_are_those_of_numpy_and_do_not_move_with_one_odd_run() -> None:
    delays = planted(spread=0.3).trained.delays("decays")
    ones = np.ones((1, len(delays.logs)))
    decays = np.unique(delays.decays)
    medians = [np.median(delays.logs[delays.decays == decay]) for decay in decays]
    slope, _ = np.polyfit(np.log(decays), medians, 1)
    assert laws.median_exponent(delays, ones)[0] == pytest.approx(slope)
    odd = replace(delays, logs=delays.logs.copy(), ended=delays.ended.copy())
    place = int(np.argmax(delays.logs))
    odd.logs[place], odd.ended[place] = 12.0, False
    assert laws.median_exponent(odd, ones)[0] == pytest.approx(slope)
    assert abs(laws.exponent(odd, ones)[0] - laws.exponent(delays, ones)[0]) > 0.01


def test_what_a_sweep_lacks_makes_a_claim_inapplicable() -> None:
    sweep = recipe(2)
    empty = subject_of(sweep, SweepTable(sweep.settings, ()))
    assert verdict("law.omega", empty).status is Status.INAPPLICABLE
    whole = planted()
    without = replace(whole.trained.sweep, parts={"moduli": whole.trained.sweep.parts["moduli"]})
    found = verdict("law.omega", subject_of(without, whole.trained.table))
    assert found.status is Status.INAPPLICABLE
    assert "has no part 'decays'" in found.reason
    none = subject_of(whole.trained.sweep, SweepTable(sweep.settings, whole.trained.table.outcomes[:3]))
    assert isinstance(none, Subject)
    assert verdict("law.redundancy", none).status is Status.INAPPLICABLE


def test_seeds_are_drawn_with_all_of_their_runs() -> None:
    delays: Delays = planted().trained.delays("decays")
    counts = delays.counts(50)
    assert counts.shape == (51, len(delays.logs))
    for seed in np.unique(delays.seeds):
        assert (np.ptp(counts[:, delays.seeds == seed], axis=1) == 0).all()
    assert (counts[0] == 1).all()


@pytest.mark.slow
def test_intervals_of_the_exponent_cover() -> None:
    """Of 200 sweeps of eight seeds, with deviations of a seed and of a run, nominal 95 % intervals hold the truth."""
    held = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        seeds = np.repeat(np.arange(8), 6)
        decays = np.tile([0.3, 0.5, 1.0, 1.5, 2.0, 3.0], 8)
        logs = 6.5 - np.log(decays) + 0.1 * rng.standard_normal(8)[seeds] + 0.2 * rng.standard_normal(48)
        limit = 7.9
        delays = Delays(np.full(48, 31.0), decays, seeds, np.minimum(logs, limit), logs < limit, np.full(48, np.nan), 0)
        low, high = estimate("x", delays, laws.exponent).interval()
        held += low <= -1 <= high
    assert 180 <= held <= 200
