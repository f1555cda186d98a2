"""A run beside its baseline, row by row: what stayed, what moved, which claims are refuted.

A value has moved where it left the tolerance that both intervals leave it. Half-widths of two independent estimates
add as squares (Zou and Donner 2008, Construction of confidence limits about effect measures: a general approach,
Statistics in Medicine 27, 1693-1702); of each interval the half that faces the other value counts. That intervals must
not overlap, their sum, is a test of unknown and too small a level (Schenker and Gentleman 2001, On judging the
significance of differences by examining the overlap between confidence intervals, The American Statistician 55,
182-186). Half-widths are taken to the level at which one row in a hundred moves where nothing changed, shared out
among its seeds. The prompts of two runs are the same, so that unchanged models differ by less than two samples would.

That a verdict changed is no evidence by itself: on the edge of a bound the last digits decide it, and rounding weights
to bfloat16 is enough. A claim has regressed only where its verdict is worse and something that it hangs on moved: a
value, a control, its rank among the rest; or where its interval went from one side of the bound to the other. This
module imports neither numpy nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Any

from ace.report.fingerprints import differences
from ace.report.record import ORDER
from ace.report.table import margin

Result = Mapping[str, Any]
Interval = tuple[float, float, float, float]  # value, low, high, and the confidence of the interval

LEVEL = 0.01  # share of rows that may move where nothing changed
CONFIDENCE = 0.95  # of intervals whose record does not say
EQUAL = 1e-9  # relative: the last digits differ between machines


class Outcome(StrEnum):
    """What became of a claim on a subject."""

    SAME = "the same"
    WITHIN = "within the tolerance"
    MOVED = "moved"
    TIPPED = "tipped"
    IMPROVED = "improved"
    REGRESSED = "regressed"
    NEW = "not in the baseline"
    MISSING = "not in this run"


CHANGES = (Outcome.REGRESSED, Outcome.MOVED, Outcome.TIPPED, Outcome.IMPROVED)  # in the order in which they are told
LOST = {
    "VACUOUS": "true of a control as well now, so that it says nothing",
    "UNDECIDED": "no longer shown",
    "FAILS": "refuted",
}


@dataclass(frozen=True)
class Row:
    """A claim on a subject in both documents, or in one of them: its outcome, and the same in words.

    Attributes:
        worse: whether both have a verdict, and the run's is the worse one.
    """

    claim: str
    subject: str
    outcome: Outcome
    text: str = ""
    worse: bool = False


@dataclass(frozen=True)
class Comparison:
    """A run beside its baseline; results are matched by (claim, subject).

    Attributes:
        rows: in the order of the run, then what it lacks.
        differences: what else differs: environment, weights, dtype, device, how much of either was measured.
    """

    rows: tuple[Row, ...]
    differences: tuple[str, ...] = ()

    def having(self, *outcomes: Outcome) -> tuple[Row, ...]:
        """Rows of these outcomes, in this order of outcomes."""
        return tuple(row for outcome in outcomes for row in self.rows if row.outcome is outcome)

    @property
    def common(self) -> int:
        """How many results both have."""
        return len(self.rows) - len(self.having(Outcome.NEW, Outcome.MISSING))

    @property
    def regressed(self) -> bool:
        """Whether a claim regressed."""
        return bool(self.having(Outcome.REGRESSED))

    @property
    def changed(self) -> bool:
        """Whether anything is not as it was, beyond what the intervals allow."""
        return bool(self.having(*CHANGES, Outcome.NEW, Outcome.MISSING))

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        rows = [
            {"claim": row.claim, "subject": row.subject, "outcome": row.outcome.name.lower(), "text": row.text}
            for row in self.rows
        ]
        return {"rows": rows, "differences": list(self.differences)}


def compare(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> Comparison:
    """Compare two documents: results, and where both have them, their environments and fingerprints of subjects."""
    before = {(old["claim"], old["subject"]): old for old in baseline["results"]}
    rows = [compare_results(new, before.pop((new["claim"], new["subject"]), None)) for new in run["results"]]
    rows += [Row(*key, Outcome.MISSING) for key in before]
    return Comparison(tuple(rows), tuple(differences(run, baseline)))


def compare_results(new: Result, old: Result | None) -> Row:
    """One result beside that of the same claim on the same subject in the baseline; None where it has none."""
    key = (new["claim"], new["subject"])
    if old is None:
        return Row(*key, Outcome.NEW)
    worse = ORDER.index(new["verdict"]) > ORDER.index(old["verdict"])
    if "INAPPLICABLE" in (old["verdict"], new["verdict"]):
        return Row(*key, *_inapplicable(new, old), worse)
    values = list(_moved_values(new, old))
    rules = [(result.get("bound_rule"), result.get("bound_upper")) for result in (old, new)]
    if None not in (rules[0][0], rules[1][0]) and rules[0] != rules[1]:
        told = (
            f"judged by another bound, {rules[1][0]}, not {rules[0][0]}: verdicts ({_arrow(new, old)}) do not compare"
        )
        return Row(*key, Outcome.MOVED, "; ".join([told, *values]), worse)
    if new["verdict"] == old["verdict"]:
        if values:
            return Row(*key, Outcome.MOVED, f"{'; '.join(values)}; still {new['verdict']}")
        return Row(*key, Outcome.SAME if _same(new, old) else Outcome.WITHIN)
    evidence = [*values, *_moved_controls(new, old), *_moved_ranks(new, old)]
    verdicts = {old["verdict"], new["verdict"]}
    if not evidence and "FAILS" in verdicts and "UNDECIDED" not in verdicts:
        evidence = [new.get("reason", "")]  # the two intervals lie on either side of the bound
    if not evidence:
        told = "with all values within their tolerance: it lies on the edge, and nothing is refuted or shown by that"
        return Row(*key, Outcome.TIPPED, f"{_arrow(new, old)} {told}", worse)
    if worse:
        text = f"{_arrow(new, old)}, {LOST[new['verdict']]}: {'; '.join(evidence)}"
        return Row(*key, Outcome.REGRESSED, text, worse)
    return Row(*key, Outcome.IMPROVED, f"{_arrow(new, old)}: {'; '.join(evidence)}")


def _arrow(new: Result, old: Result) -> str:
    return f"{old['verdict']} -> {new['verdict']}"


def _inapplicable(new: Result, old: Result) -> tuple[Outcome, str]:
    """A claim that cannot be put to a model has no value; that it could be, and was true, is lost with it."""
    if old["verdict"] == new["verdict"]:
        return Outcome.SAME, ""
    if new["verdict"] == "INAPPLICABLE":
        outcome = Outcome.REGRESSED if old["verdict"] in ("HOLDS", "VACUOUS") else Outcome.MOVED
        return outcome, f"{_arrow(new, old)}, cannot be put to the model any more: {new.get('reason', '')}"
    outcome = Outcome.IMPROVED if new["verdict"] in ("HOLDS", "VACUOUS") else Outcome.MOVED
    return outcome, f"{_arrow(new, old)}, could not be put to the model before"


def _same(new: Result, old: Result) -> bool:
    """Whether all values are those of the baseline, to rounding."""
    before, after = _intervals(old), _intervals(new)
    return before.keys() == after.keys() and all(
        math.isclose(before[label][0], after[label][0], rel_tol=EQUAL, abs_tol=0.0) for label in before
    )


def _moved_values(new: Result, old: Result) -> Iterator[str]:
    before, after = _intervals(old), _intervals(new)
    common = [label for label in before if label in after]
    if not common:  # other seeds or parts: what all of them come to is compared
        common, before, after = [""], {"": _whole(old)}, {"": _whole(new)}
    for label in common:
        first, second = before[label], after[label]
        times = distance(first, second, len(common))
        if times > 1:
            name = f"value in {label}" if len(common) > 1 else "value"
            way = margin(new, second[0]) - margin(new, first[0])
            heading = "farther inside its bound" if way > 0 else "towards its bound or beyond" if way < 0 else "aside"
            how_far = f"{times:.3g} times the tolerance" if math.isfinite(times) else "with no sampling error"
            if math.inf in (first[0], second[0]):
                how_far = "beyond any tolerance"
            yield f"{name} {_shown(first)} -> {_shown(second)}, {how_far}, {heading}"


def _moved_controls(new: Result, old: Result) -> Iterator[str]:
    """Controls that lie elsewhere now, and whose values left their tolerance, or have no interval to tell."""
    before, after = (result.get("control_places", {}) for result in (old, new))
    ranked = {test["control"] for result in (old, new) for test in result.get("rest", ())}
    for name in after:
        if name in ranked or name not in before or before[name] == after[name]:
            continue
        each = [list(_control_intervals(result, name)) for result in (old, new)]
        pairs = list(zip(*each, strict=True)) if len(each[0]) == len(each[1]) else []
        if not pairs or any(distance(first, second, len(pairs)) > 1 for first, second in pairs):
            values = [_value(result["controls"].get(name, math.nan)) for result in (old, new)]
            yield f"control {name} {before[name]} at {values[0]:.4g} -> {after[name]} at {values[1]:.4g}"


def _control_intervals(result: Result, name: str) -> Iterator[Interval]:
    values, intervals = (result.get(key, {}).get(name, ()) for key in ("control_values", "control_intervals"))
    if len(values) == len(intervals):
        for value, (low, high) in zip(values, intervals, strict=True):
            yield _interval(value, low, high, CONFIDENCE)


def _moved_ranks(new: Result, old: Result) -> Iterator[str]:
    """Seeds whose core ranks elsewhere among the rest, by Fisher's exact test of how many draws are as good."""
    before = {(test["control"], test["seed"]): test for test in old.get("rest", ())}
    for test in new.get("rest", ()):
        name = (test["control"], test["seed"])
        if name in before:
            counts = [(each["as good"], each["draws"]) for each in (before[name], test)]
            if fisher(*counts[0], *counts[1]) < LEVEL / len(before):
                told = [f"{as_good} of {draws}" for as_good, draws in counts]
                yield f"{test['control']}, seed {test['seed']}: {told[0]} draws as good -> {told[1]}"


def distance(first: Interval, second: Interval, among: int = 1) -> float:
    """How many tolerances lie between two estimates.

    Infinite where one of them is infinite, and where neither has a sampling error and they differ.

    Args:
        among: how many such pairs a row has: the level is shared out among them.
    """
    if math.isclose(first[0], second[0], rel_tol=EQUAL, abs_tol=0.0):
        return 0.0
    gap = abs(second[0] - first[0])
    if math.isinf(gap):  # an interval of an infinite value has no half-widths
        return math.inf
    wanted = NormalDist().inv_cdf(1 - LEVEL / (2 * among))
    upwards = second[0] > first[0]
    halves = [first[2] - first[0] if upwards else first[0] - first[1]]
    halves += [second[0] - second[1] if upwards else second[2] - second[0]]
    scales = [wanted / NormalDist().inv_cdf((1 + interval[3]) / 2) for interval in (first, second)]
    tolerance = math.hypot(*(half * scale for half, scale in zip(halves, scales, strict=True)))
    return gap / tolerance if tolerance > 0 else math.inf


def fisher(hits: int, draws: int, other_hits: int, other_draws: int) -> float:
    """Two-sided p of Fisher's exact test that two shares are equal; as `scipy.stats.fisher_exact`, without its import.

    Counts are a few hundred at most.
    """
    total, all_hits = draws + other_draws, hits + other_hits
    ways = math.comb(total, all_hits)
    chances = [
        math.comb(draws, k) * math.comb(other_draws, all_hits - k) / ways
        for k in range(max(0, all_hits - other_draws), min(draws, all_hits) + 1)
    ]
    own = math.comb(draws, hits) * math.comb(other_draws, other_hits) / ways
    return min(1.0, sum(chance for chance in chances if chance <= own * (1 + 1e-7)))


def _intervals(result: Result) -> dict[str, Interval]:
    """Label of a seed or part -> its value and interval."""
    labels, values, intervals = (result.get(key, ()) for key in ("seeds", "values", "intervals"))
    levels: Sequence[float] = result.get("confidences") or [CONFIDENCE] * len(labels)
    if not len(labels) == len(values) == len(intervals) == len(levels):
        return {"": _whole(result)}
    rows = zip(labels, values, intervals, levels, strict=True)
    return {label: _interval(value, low, high, level) for label, value, (low, high), level in rows}


def _whole(result: Result) -> Interval:
    return _interval(result["estimate"], result["low"], result["high"], CONFIDENCE)


def _interval(value: float | None, low: float | None, high: float | None, confidence: float) -> Interval:
    """JSON has no infinity: an end that is null lies there."""
    ends = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
    return _value(value), *ends, confidence


def _value(value: float | None) -> float:
    """A value that is null is one beyond all others."""
    return math.inf if value is None else float(value)


def _shown(interval: Interval) -> str:
    return f"{interval[0]:.4g} [{interval[1]:.4g}, {interval[2]:.4g}]"
