"""The end of a run: documents, comparison with a baseline, the section of the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from shutil import get_terminal_size

import pytest

from ace.plugin.session import Session
from ace.report.record import Comparison, compare, document, write_document


def finish(session: Session) -> bool:
    """Write what was asked for; whether all of it was written and nothing is worse than in the baseline."""
    if session.gatherer.results:
        _write(session)
    compared = comparison(session)
    return not session.unwritten and not (compared and (compared.worse or not compared.common))


def _write(session: Session) -> None:
    """Write the documents; what cannot be written is kept in `session.unwritten`, for the table comes all the same."""
    options = session.options
    found = document(session.gatherer.results, {"scale": options.scale or "both"})
    for name in ("json", "save_baseline", "report"):
        path = getattr(options, name)
        try:
            if path is not None and name == "report":
                from ace.report.folder import write_report

                write_report(path, found)
            elif path is not None:
                write_document(path, found)
        except Exception as error:  # whatever a disk or a figure comes to must not cost the table
            session.unwritten.append(f"{options.given[name]}: {path} was not written: {type(error).__name__}: {error}")


def comparison(session: Session) -> Comparison | None:
    """The run against the baseline; None without one, or where it comes from the environment and nothing ran."""
    if session.baseline is None or not (session.gatherer.results or session.options.explicit("compare")):
        return None
    return compare({"results": session.gatherer.results}, session.baseline)


def summarise(session: Session, terminal: pytest.TerminalReporter) -> None:
    """The verdict table, what differs from the baseline, and what could not be written."""
    results = session.gatherer.results
    if results:
        from ace.report.terminal import table

        terminal.section("verdicts")
        for pieces in table(results, get_terminal_size().columns):
            for text, markup in pieces:
                terminal.write(text, **markup)  # coloured as pytest's own words are: --color, NO_COLOR
            terminal.line("")
    compared = comparison(session)
    if compared:
        terminal.section("compared with the baseline")
        if not compared.common:
            text = "ERROR: nothing to compare: no claim was measured on the same subject in both"
            terminal.write_line(text, red=True)
        for line in _differences(compared):
            terminal.write_line(line)
    for text in session.unwritten:
        terminal.write_line(f"ERROR: {text}", red=True)


def _differences(compared: Comparison) -> list[str]:
    lines = [
        f"{'WORSE' if change.worse else 'changed'}: {change.claim} on {change.subject}: {change.text}"
        for change in compared.changes
    ]
    if compared.common and not compared.changes:
        lines.append("no change")
    lines += [f"not in the baseline: {line}" for line in _by_subject(compared.added)]
    return lines + [f"not in this run: {line}" for line in _by_subject(compared.missing)]


def _by_subject(keys: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each subject, with its claims."""
    claims: dict[str, list[str]] = {}
    for claim, subject in keys:
        claims.setdefault(subject, []).append(claim)
    return [f"{subject}: {', '.join(names)}" for subject, names in claims.items()]
