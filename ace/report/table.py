"""The verdict table: its cells, as markdown, and all of one verdict in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
HEADINGS = ("claim", "subject", "value [interval over seeds]", "bound", "control nearest the bound", "verdict")
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
    """The control whose value speaks most for the claim: the one to beat."""
    controls = result["controls"]
    if not controls:
        return "-"
    nearest = max(controls, key=lambda name: margin(result, controls[name]))
    return f"{nearest}: {number(controls[nearest])}"


def markdown(results: Sequence[Result]) -> str:
    """The table as markdown, with the statement and the reason of every verdict below it."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows(results)]
    lines += ["", *(f"{line}\n" for line in unfinished(results)), tally(results), ""]
    for result in results:
        lines.append(f"- **{result['claim']}** ({result['subject']}), {result['verdict']}: {result['reason']}.")
    return "\n".join(lines) + "\n"


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


def explain(result: Result) -> str:
    """The failure message: all that is needed to doubt, or to rerun, one verdict."""
    controls = [
        f"    {name}: {number(value)} ({result['control_places'][name]})" for name, value in result["controls"].items()
    ]
    each = [
        f"    {label}: {number(value)} [{number(low)}, {number(high)}]"
        for label, value, (low, high) in zip(result["seeds"], result["values"], result["intervals"], strict=True)
    ]
    at = f" at {result['site']}" if result["site"] else ""  # an inapplicable claim is measured nowhere
    lines = [
        f"{result['claim']} {result['verdict']} on {result['subject']}{at}: {result['reason']}",
        f"  sentence: {result['statement']}  ({result['source']})",
        f"  quantity: {result['quantity']}",
        f"  bound: {result['bound_rule']} = {number(result['bound'])}",
        f"  bound from: {result['bound_source']}: {result['rationale']}",
        "  by seed:",
        *each,
        "  controls:",
        *controls,
        *_ranks(result),
        *_beside(result),
        *(f"  {line}" for line in unfinished([result])),
        f"  rerun: {result['command']}",
    ]
    return "\n".join(lines)


def _ranks(result: Result) -> list[str]:
    """How each seed's core ranks among the rest."""
    return [
        f"    {test['control']}, seed {test['seed']}: {test['as good']} of {test['draws']} draws as good"
        + (f", p {number(test['p'])}" if test["p"] is not None else "; more were not needed")
        for test in result.get("rest", ())
    ]


def _beside(result: Result) -> list[str]:
    """The same quantity got in other ways, which the verdict does not hang on."""
    ways = result.get("beside", {})
    values = {way: ", ".join(number(value) for value, _, _ in each) for way, each in ways.items()}
    return ["  beside:", *(f"    {way}: {text}" for way, text in values.items())] if ways else []
