"""The twin of the page for a pull request: the summary first, the rest folded, within the length of a comment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ace.report.page.view import MEANINGS, Row, by_subject, counts, row_of, surroundings_of
from ace.report.record import ORDER
from ace.report.table import unfinished

LIMIT = 65_536  # characters of a comment on GitHub
ROOM = 60_000  # of them are used at most: who posts it may add something
NEWS = 30  # verdicts that are named in the summary
REASON = 240  # characters of a reason
SPECIAL = re.compile(r"[&<>\\`*_{}\[\]()#+!|~$@:]")


def summary(document: Mapping[str, Any]) -> str:
    """The markdown. What has no room is left out from the end, whole parts of it, and the last line says so."""
    results = document["results"]
    listed = sorted((row_of(result) for result in results), key=lambda row: (row.subject, row.claim))
    parts = [
        _head(document, listed),
        *(_folded_rows(subject, [*group]) for subject, group in groupby(listed, key=lambda row: row.subject)),
        _folded_reasons(listed),
        _folded_environment(document),
    ]
    kept: list[str] = []
    for part in parts:
        if sum(map(len, kept)) + len(part) <= ROOM:
            kept.append(part)
    missing = len(parts) - len(kept)
    end = f"{missing} of {len(parts)} parts have no room here. " if missing else ""
    return "\n".join([*kept, f"{end}Seeds, controls, figures and commands: `report.html`, in the report's folder.\n"])


def _head(document: Mapping[str, Any], listed: Sequence[Row]) -> str:
    results = document["results"]
    subjects = by_subject(results)
    lines = [f"## {_counted(len(listed), 'verdict')} on {_counted(len(subjects), 'subject')}", ""]
    for verdict, count, documented in counts(results):
        known = f", {documented} of them documented" if documented else ""
        lines.append(f"- **{count} {verdict}**{known}: {MEANINGS[verdict]}")
    lines += ["", *(f"{plain(text)}\n" for text in unfinished(results)[:NEWS])]
    news = [row for row in listed if row.is_news]
    if news:
        lines.append(f"**Neither holds nor is documented: {len(news)}**\n")
        lines += [f"- {row.verdict}: {code(row.claim)} on {code(row.subject)}, {_found(row)}" for row in news[:NEWS]]
        lines += [f"- and {len(news) - NEWS} more"] if len(news) > NEWS else []
    else:
        lines.append("Every verdict that would fail a run, FAILS and UNDECIDED, is documented.")
    lines += ["", f"| subject | {' | '.join(ORDER)} |", "|" + " --- |" * (len(ORDER) + 1)]
    rows = [f"| {code(name)} | {' | '.join(str(count or '') for count in every)} |" for name, every in subjects]
    lines += rows[:NEWS]
    return "\n".join([*lines, *([f"\n{len(rows) - NEWS} more subjects."] if len(rows) > NEWS else []), ""])


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' if count != 1 else ''}"


def _found(row: Row) -> str:
    return f"{plain(row.value)} where {plain(row.bound)} is asked for" if row.estimate is not None else "not measured"


def _folded_rows(subject: str, listed: Sequence[Row]) -> str:
    lines = ["| claim | value | bound | control nearest it | verdict |", "| --- | --- | --- | --- | --- |"]
    for row in listed:
        verdict = row.verdict + (", documented" if row.documented else "")
        cells = (code(row.claim), plain(row.value), plain(row.bound), plain(row.control), verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return _folded(f"{subject}: {_counted(len(listed), 'verdict')}", lines)


def _folded_reasons(listed: Sequence[Row]) -> str:
    """Why each verdict is another than HOLDS."""
    lines = []
    for row in listed:
        reason = dict(row.facts).get("Reason", "")
        if row.verdict != "HOLDS":
            cut = reason if len(reason) <= REASON else f"{reason[: REASON - 3]}..."
            lines.append(f"- {row.verdict}, {code(row.claim)} on {code(row.subject)}: {plain(cut)}")
    return _folded("Reasons of what does not hold", lines) if lines else ""


def _folded_environment(document: Mapping[str, Any]) -> str:
    found = surroundings_of(document)
    return _folded("Environment", [f"- {plain(name)}: {plain(text)}" for name, text in found])


def _folded(heading: str, lines: Sequence[str]) -> str:
    return "\n".join(["<details>", f"<summary>{plain(heading)}</summary>", "", *lines, "", "</details>", ""])


def plain(text: str) -> str:
    """Text in one line that means nothing to markdown or HTML: neither a tag nor a link, a mention or a new cell."""
    line = " ".join(str(text).split())
    return SPECIAL.sub(lambda found: _entity(found[0], line, found.start()), line)


def _entity(letter: str, line: str, place: int) -> str:
    """As a reference where the letter may mean something, as it is where it cannot, which is easier to read."""
    harmless = letter in "()+:!>" or (letter in "[]" and "](" not in line and "][" not in line)
    if harmless and not (letter == ":" and line[place + 1 : place + 3] == "//"):
        return letter
    return f"&#{ord(letter)};"


def code(text: str) -> str:
    """Text in one line set as code, in which nobody is mentioned."""
    line = " ".join(str(text).split())
    if line and not re.search(r"[`|\\]", line):
        return f"`{line}`"
    return f"<code>{plain(line)}</code>"
