"""The twin of the page for a pull request: the summary first, the rest folded, within the length of a comment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ace.report.compared import GATE, changes, comparison_of, counted
from ace.report.comparison import Comparison, Outcome
from ace.report.page.view import Row, by_subject, counts, row_of, surroundings_of
from ace.report.record import ORDER
from ace.report.table import markdown_lines, unfinished
from ace.verdict import MEANINGS, Status

LIMIT = 65_536  # characters of a comment on GitHub
ROOM = 60_000  # of them are used at most: who posts it may add something
NEWS = 30  # verdicts that are named in the summary
NAMED = 10  # claims, or parts without room, that are named in a list
REASON = 240  # characters of a reason
SHORT = 40  # characters of the name of a part without room
END = 2_700  # characters of the last line at most: ten such names, every letter of them as a reference
SPECIAL = re.compile(r"[&<>\\`*_{}\[\]()#+!|~$@:]")


def summary(document: Mapping[str, Any]) -> str:
    """The markdown. A part that has no room is skipped whole, and the last line names it; smaller ones may have room.

    Where room is short, subjects come first on which a claim regressed or has a verdict that is open, then those with
    any FAILS.

    Raises:
        ArtifactError: a comparison in the record that cannot be read.
    """
    compared = comparison_of(document)
    listed = sorted((row_of(result) for result in document["results"]), key=lambda row: (row.subject, row.claim))
    subjects = {subject: [*group] for subject, group in groupby(listed, key=lambda row: row.subject)}
    parts = [
        ("summary", _head(document, listed, compared)),
        *((subject, _folded_rows(subject, rows)) for subject, rows in subjects.items()),
        ("reasons", _folded_reasons(listed)),
        ("environment", _folded_environment(document)),
    ]
    pressing = _pressing(listed, compared)
    order = [0, *sorted(range(1, len(subjects) + 1), key=lambda place: pressing[parts[place][0]])]
    room, kept = ROOM - END, set[int]()
    for place in (*order, *range(len(order), len(parts))):
        if len(parts[place][1]) < room:
            kept.add(place)
            room -= len(parts[place][1]) + 1
    missing = [code(_cut(heading, SHORT)) for place, (heading, _) in enumerate(parts) if place not in kept]
    end = f"{len(missing)} of {len(parts)} parts have no room here: {_some(missing)}. " if missing else ""
    end += "Seeds, controls, figures and commands: `report.html`, in the report's folder.\n"
    return "\n".join([*(parts[place][1] for place in sorted(kept)), end])


def _pressing(listed: Sequence[Row], compared: Comparison | None) -> dict[str, int]:
    """Subject -> 0 where a claim regressed or, without a baseline, is open; 1 where one FAILS; 2 for all others."""
    if compared:
        first = {row.subject for row in compared.having(Outcome.REGRESSED)}
    else:
        first = {row.subject for row in listed if row.is_news}
    failing = {row.subject for row in listed if row.verdict == "FAILS"}
    return {row.subject: 0 if row.subject in first else 1 if row.subject in failing else 2 for row in listed}


def _head(document: Mapping[str, Any], listed: Sequence[Row], compared: Comparison | None) -> str:
    results = document["results"]
    subjects = by_subject(results)
    lines = [f"## {_counted(len(listed), 'verdict')} on {_counted(len(subjects), 'subject')}", ""]
    lines += _compared(compared) if compared else []
    for verdict, count, documented in counts(results):
        known = f", {documented} of them documented" if documented else ""
        lines.append(f"- **{count} {verdict}**{known}: {MEANINGS[Status(verdict)]}")
    lines += ["", *(f"{plain(text)}\n" for text in unfinished(results)[:NEWS])]
    lines += [] if compared else _news([row for row in listed if row.is_news])
    cells = [[code(name), *(str(count or "") for count in every)] for name, every in subjects[:NEWS]]
    lines += ["", *markdown_lines(("subject", *ORDER), cells)]
    return "\n".join([*lines, *([f"\n{len(subjects) - NEWS} more subjects."] if len(subjects) > NEWS else []), ""])


def _news(news: Sequence[Row]) -> list[str]:
    """FAILS and UNDECIDED that nobody documented."""
    if not news:
        return ["Every FAILS and UNDECIDED is documented."]
    lines = [f"**Neither holds nor is documented: {len(news)}**\n"]
    lines += [f"- {row.verdict}: {code(row.claim)} on {code(row.subject)}, {_found(row)}" for row in news[:NEWS]]
    return lines + ([f"- and {len(news) - NEWS} more"] if len(news) > NEWS else [])


def _compared(compared: Comparison) -> list[str]:
    """What differs from the baseline beside the results, and what became of claims: those that regressed first."""
    found = [
        f"- **{change.outcome}**: {_some([code(claim) for claim in change.claims])} on {code(change.subject)}"
        + (f": {plain(_cut(change.text, REASON))}" if change.text else "")
        for change in changes(compared)
    ]
    return [
        f"**Compared with the baseline**, {plain(counted(compared))}\n",
        *(f"- {plain(_cut(text, REASON))}" for text in compared.differences[:NEWS]),
        *(found[:NEWS] or ["- no change"]),
        *([f"- and {len(found) - NEWS} more"] if len(found) > NEWS else []),
        f"\n{GATE}\n",
    ]


def _some(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' if count != 1 else ''}"


def _found(row: Row) -> str:
    return f"{plain(row.value)} where {plain(row.bound)} is asked for" if row.estimate is not None else "not measured"


def _folded_rows(subject: str, listed: Sequence[Row]) -> str:
    cells = []
    for row in listed:
        verdict = row.verdict + (", documented" if row.documented else "")
        cells.append((code(row.claim), plain(row.value), plain(row.bound), plain(row.control), verdict))
    lines = markdown_lines(("claim", "value", "bound", "control nearest it", "verdict"), cells)
    return _folded(f"{subject}: {_counted(len(listed), 'verdict')}", lines)


def _folded_reasons(listed: Sequence[Row]) -> str:
    """Why each verdict is another than HOLDS."""
    lines = []
    for row in listed:
        reason = dict(row.facts).get("Reason", "")
        if row.verdict != "HOLDS":
            lines.append(f"- {row.verdict}, {code(row.claim)} on {code(row.subject)}: {plain(_cut(reason, REASON))}")
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
