"""The verdict table: its cells, as markdown, and all of one verdict in words; lists in it as (name, text)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
HEADINGS = ("claim", "subject", "value [interval over seeds]", "bound", "control nearest the bound", "verdict")
WHERE = "where"  # and when; where there is room for it
DOCUMENTED = "as documented"


def number(value: float | None) -> str:
    """A value with three significant digits, or a dash where there is none."""
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e4:
        return str(int(value))
    return f"{value:.3g}"


def rows(results: Iterable[Result]) -> list[list[str]]:
    """Cells of the table; a verdict that is documented for its claim and subject is marked "as documented"."""
    cells = []
    for result in results:
        verdict = result["verdict"] + (f" ({DOCUMENTED})" if result.get("documented") else "")
        if result["estimate"] is None:
            cells.append([result["claim"], result["subject"], "-", "-", "-", verdict])
            continue
        value = f"{number(result['estimate'])} [{number(result['low'])}, {number(result['high'])}]"
        cells.append([result["claim"], result["subject"], value, bound_text(result), _control(result), verdict])
    return cells


def where(result: Result) -> str:
    """The site, and the stage of a training, at which a verdict was measured."""
    return str(result.get("site") or "-")


def bound_text(result: Result) -> str:
    """What the value is held against."""
    if result["direction"] == "in":
        return f"in [{number(result['bound'])}, {number(result['bound_upper'])}]"
    return f"{result['direction']} {number(result['bound'])}"


def margin(result: Result, value: float) -> float:
    """How far inside a verdict's bound a value lies, negative outside: `study.claim.Bound.margin`, from a record."""
    bound, upper = result["bound"], result.get("bound_upper")
    inside = {
        "<=": bound - value,
        "<": bound - value,
        ">=": value - bound,
        "==": -abs(value - bound),
        "in": min(value - bound, (bound if upper is None else upper) - value),
    }
    return float(inside[result["direction"]])


def _control(result: Result) -> str:
    """The control whose value speaks most for the claim: the one to beat; those without a number cannot be it."""
    controls = {name: value for name, value in result["controls"].items() if value is not None}
    if not controls:
        return "-"
    nearest = max(controls, key=lambda name: margin(result, controls[name]))
    return f"{nearest}: {number(controls[nearest])}"


def markdown(results: Sequence[Result]) -> str:
    """The table as markdown, with the statement and the reason of every verdict below it."""
    cells = [[*row[:2], where(result), *row[2:]] for result, row in zip(results, rows(results), strict=True)]
    lines = [*markdown_lines((*HEADINGS[:2], WHERE, *HEADINGS[2:]), cells), ""]
    lines += [*(f"{line}\n" for line in unfinished(results)), tally(results), ""]
    for result in results:
        lines.append(f"- **{result['claim']}** ({result['subject']}), {result['verdict']}: {result['reason']}.")
    return "\n".join(lines) + "\n"


def markdown_lines(headings: Sequence[str], cells: Iterable[Sequence[str]]) -> list[str]:
    """A table as lines of markdown: its head, and a line for each row of cells, in which no `|` ends a cell."""
    every = [headings, ["---"] * len(headings), *cells]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in every]


def progress(result: Result) -> str:
    """How far the training of the result's models went, in words; empty where it reached its recipe's end."""
    trained = result.get("details", {}).get("trained")
    if not trained or trained["epochs"] >= trained["of"]:
        return ""
    return f"trained {trained['epochs']:,} of {trained['of']:,} epochs"


def unfinished(results: Iterable[Result]) -> list[str]:
    """A line for each subject whose models were trained less than their recipe says."""
    lines = {result["subject"]: f"{result['subject']}: {progress(result)}" for result in results if progress(result)}
    return list(lines.values())


def tally(results: Iterable[Result]) -> str:
    """How many verdicts of each kind."""
    counts = Counter(result["verdict"] for result in results)
    return "verdicts: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def by_seed(result: Result) -> Iterator[tuple[str, str]]:
    """Each seed, or part of one, with its value and interval; none where an older record lacks one of them."""
    entries = [result.get(name, ()) for name in ("seeds", "values", "intervals")]
    for label, value, (low, high) in zip(*entries, strict=all(entries)):
        yield label, f"{number(value)} [{number(low)}, {number(high)}]"


def controls(result: Result) -> Iterator[tuple[str, str]]:
    """Each control with the value that speaks most for the claim, where that lies, and all values of several."""
    for name, value in result["controls"].items():
        place = result["control_places"].get(name, "")
        each = result.get("control_values", {}).get(name, ())
        listed = f": {', '.join(map(number, each))}" if len(each) > 1 else ""
        yield name, f"{number(value)} ({place}){listed}"


def ranks(result: Result) -> Iterator[tuple[str, str]]:
    """How each seed's core ranks among the rest."""
    for test in result.get("rest", ()):
        settled = f", p = {number(test['p'])}" if test["p"] is not None else "; more were not needed"
        yield f"{test['control']}, seed {test['seed']}", f"{test['as good']} of {test['draws']} draws as good{settled}"


def beside(result: Result) -> Iterator[tuple[str, str]]:
    """The same quantity got in other ways, which the verdict does not hang on, seed by seed."""
    for way, each in result.get("beside", {}).items():
        yield way, ", ".join(number(value) for value, _, _ in each)


def explain(result: Result) -> str:
    """The failure message: all that is needed to doubt, or to rerun, one verdict."""
    at = f" at {result['site']}" if result["site"] else ""  # an inapplicable claim is measured nowhere
    others = _listed(beside(result))
    lines = [
        f"{result['claim']} {result['verdict']} on {result['subject']}{at}: {result['reason']}",
        f"  sentence: {result['statement']}  ({result['source']})",
        f"  quantity: {result['quantity']}",
        f"  bound: {result['bound_rule']} = {number(result['bound'])}",
        f"  bound from: {result['bound_source']}: {result['rationale']}",
        "  by seed:",
        *_listed(by_seed(result)),
        "  controls:",
        *_listed(controls(result)),
        *_listed(ranks(result)),
        *(["  beside:", *others] if others else []),
        *(f"  {line}" for line in unfinished([result])),
        f"  rerun: {result['command']}",
    ]
    return "\n".join(lines)


def _listed(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"    {name}: {text}" for name, text in pairs]
