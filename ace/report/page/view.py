"""What the page shows of a record: plain texts and numbers in the order in which they are shown; not yet HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ace.report.record import ORDER
from ace.report.stems import file_stem
from ace.report.table import Result, beside, bound_text, by_seed, controls, number, ranks, rows
from ace.study.claim import KINDS

ELSEWHERE = ("schema", "environment", "results", "comparison")  # entries of a record that have a place of their own
NUMERALS = frozenset("0123456789.e+-[], ")
OPEN = ("FAILS", "UNDECIDED")


@dataclass(frozen=True)
class Row:
    """One verdict. Texts are as the table of the terminal has them.

    Attributes:
        anchor: of the row in the page, different for every claim and subject.
        p: the largest rank p-value over seeds; None where the rest was not ranked to its end.
        seeds, controls, ranks, beside: names with texts.
        facts: what else there is to say, heading and text.
    """

    anchor: str
    claim: str
    family: str
    subject: str
    kind: str
    verdict: str
    documented: str
    statement: str
    estimate: float | None
    value: str
    bound: str
    control: str
    p: float | None
    seeds: tuple[tuple[str, str], ...]
    controls: tuple[tuple[str, str], ...]
    ranks: tuple[tuple[str, str], ...]
    beside: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    command: str

    @property
    def rank(self) -> int:
        """Where its verdict stands among verdicts, the best first."""
        return ORDER.index(self.verdict)

    @property
    def is_news(self) -> bool:
        """Whether it is FAILS or UNDECIDED, and not documented."""
        return self.verdict in OPEN and not self.documented


def row_of(result: Result) -> Row:
    """One verdict out of a record; entries that an older record lacks are left out."""
    (cells,) = rows([result])
    claim, subject = str(result["claim"]), str(result["subject"])
    return Row(
        anchor=anchor(claim, subject),
        claim=claim,
        family=claim.partition(".")[0],
        subject=subject,
        kind=result.get("kind", ""),
        verdict=result["verdict"],
        documented=result.get("documented", ""),
        statement=result.get("statement", ""),
        estimate=result["estimate"],
        value=cells[2],
        bound=cells[3],
        control=cells[4],
        p=_largest_p(result),
        seeds=tuple(by_seed(result)),
        controls=tuple(controls(result)),
        ranks=tuple(ranks(result)),
        beside=tuple(beside(result)),
        facts=tuple((heading, text) for heading, text in _facts(result) if text),
        command=result.get("command", ""),
    )


def anchor(claim: str, subject: str) -> str:
    """The id of a row: letters, digits and a few marks, whatever the subject is called."""
    return f"{file_stem(claim)}--{file_stem(subject)}"


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    yield "Reason", _sentence(result["reason"])
    yield "Documented", _sentence(result.get("documented", ""))
    yield "Quantity", _sentence(result.get("quantity", ""))
    if result["estimate"] is not None:
        yield "Bound", _bound(result)
    source = [text for text in (result.get("bound_source", ""), result.get("rationale", "")) if text]
    yield "Where the bound is from", _sentence(": ".join(source))
    yield "Where the sentence is from", result.get("source", "")
    kind = result.get("kind", "")
    yield "Kind", f"{kind}, {KINDS[kind]}" if kind in KINDS else ""
    yield "Measured at", result.get("site") or ""
    replication = result.get("replication")
    if replication:
        yield "The paper's figure", _sentence(replication["paper"])
        yield "Where this differs from it", _sentence(replication["differs"])
    if result.get("seconds") is not None:
        yield "Seconds", number(result["seconds"])


def _bound(result: Result) -> str:
    """As the claim has it and, where that hangs on what was measured, as it is here."""
    rule, here = result.get("bound_rule", ""), bound_text(result)
    return f"{rule}, which is {here} here" if set(rule[2:]) - NUMERALS else here


def _sentence(text: str) -> str:
    """With a capital and a full stop, as it stands by itself."""
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _largest_p(result: Result) -> float | None:
    values = [test["p"] for test in result.get("rest", ())]
    return max(values) if values and None not in values else None


def counts(results: Sequence[Result]) -> list[tuple[str, int, int]]:
    """(verdict, how many, how many of them documented) of each kind, the best first, those that occur."""
    every = Counter(result["verdict"] for result in results)
    known = Counter(result["verdict"] for result in results if result.get("documented"))
    return [(verdict, every[verdict], known[verdict]) for verdict in ORDER if every[verdict]]


WORST_FIRST = ("FAILS", "UNDECIDED", "VACUOUS", "INAPPLICABLE", "HOLDS")  # a narrow screen shows the first columns


def by_subject(results: Sequence[Result]) -> list[tuple[str, list[int]]]:
    """How many verdicts of each kind every subject has, in the order of `WORST_FIRST`."""
    subjects = sorted({str(result["subject"]) for result in results})
    every = Counter((str(result["subject"]), result["verdict"]) for result in results)
    return [(subject, [every[subject, verdict] for verdict in WORST_FIRST]) for subject in subjects]


def surroundings_of(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a record says of the run as a whole: its environment, and whatever else stands beside the results."""
    others = {name: value for name, value in document.items() if name not in ELSEWHERE}
    return entries({**document.get("environment", {}), **others})


def entries(found: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """What a mapping holds, mappings in it included, as name and text."""
    listed: list[tuple[str, str]] = []
    for name, value in found.items():
        path = f"{before}, {name}" if before else str(name)
        if isinstance(value, Mapping):
            listed += entries(value, path)
        elif isinstance(value, (list, tuple)):
            listed.append((path, ", ".join(map(str, value))))
        elif value not in (None, ""):
            listed.append((path, str(value)))
    return listed
