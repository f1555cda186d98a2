"""The end of a run: documents, comparison with a baseline, the section of the terminal, the exit code."""

from __future__ import annotations

from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import pytest

from ace.errors import ArtifactError
from ace.exits import CHANGED, NO_VERDICT, NOTHING_COMPARED
from ace.plugin.session import Session, documented_of_models
from ace.report.baseline import read_baseline
from ace.report.compared import lines
from ace.report.comparison import Comparison, Outcome, compare
from ace.report.fingerprints import partial
from ace.report.record import document, nothing_measured, write_document


def finish(session: Session) -> int:
    """Write what was asked for; the exit code of a run that is well otherwise."""
    found = _document(session)
    # None where the baseline comes from the environment and nothing ran.
    if session.baseline is not None and (session.gatherer.results or session.options.explicit("compare")):
        session.compared = compare(found, session.baseline)
    compared = session.compared
    if session.gatherer.results:
        _write(session, found, compared)
    if session.unwritten or (compared and compared.regressed):
        return int(pytest.ExitCode.TESTS_FAILED)
    if compared and not compared.common:
        return NOTHING_COMPARED
    if compared and compared.changed and session.options.strict:
        return CHANGED
    accepting = session.options.accept is not None  # which documents that
    return NO_VERDICT if nothing_measured(session.gatherer.results) and not accepting else 0


def _document(session: Session) -> dict[str, Any]:
    options = session.options
    extra = {
        "scale": options.scale or "both",
        "extractor": options.extractor or "ace.extract:extract_core",
    }
    return document(session.gatherer.results, extra, session.extent.record(session.gatherer.measured))


def _write(session: Session, found: dict[str, Any], compared: Comparison | None) -> None:
    """Write the documents; what cannot be written is kept in `session.unwritten`, for the table comes all the same."""
    options = session.options
    told = {**found, "comparison": compared.plain()} if compared else found
    for name in ("json", "save_baseline", "accept", "report"):
        path = getattr(options, name)
        try:
            if path is None:
                continue
            if name == "json":
                write_document(path, told)
            elif name == "save_baseline":
                _save_baseline(session, path, found, compared)
            elif name == "accept":
                _accept(session, path)
            else:
                from ace.report.folder import write_report

                write_report(path, told)
        except Exception as error:  # whatever a disk or a figure comes to must not cost the table
            session.unwritten.append(f"{options.given[name]}: {path} was not written: {type(error).__name__}: {error}")


def _save_baseline(session: Session, path: Path, found: dict[str, Any], compared: Comparison | None) -> None:
    """A baseline is not lost to a run that measured less, or something else, or that came out worse beside it."""
    reasons = "; ".join(partial(found))
    base = session.options.compare
    kept_for = _loss(compared) if compared and base and path.resolve() == base.resolve() else ""
    if kept_for:
        session.notes.append(f"{path} stays as it is: {kept_for}")
    elif reasons and is_complete(path):
        option = session.options.given["save_baseline"]
        session.unwritten.append(
            f"{option}: {path} has a complete run and stays as it is, for this one is partial: {reasons}"
        )
    else:
        write_document(path, found)
        if reasons:
            session.notes.append(f"{path} is a partial baseline, and says so: {reasons}")
        if nothing_measured(session.gatherer.results):
            session.notes.append(f"{path} is a baseline that holds nothing: no claim got a verdict to compare with")


def _loss(compared: Comparison) -> str:
    """What would be lost of a baseline with the run in its place; "" where nothing would.

    Verdicts that tip are excused one by one. Were each run the next one's baseline, HOLDS would come to FAILS in two
    such steps, and no run would have failed.
    """
    if not compared.common:
        return "no claim was measured on the same subject in both"
    if compared.regressed:
        return "claims regressed since it was written"
    tipped = [f"{row.claim} on {row.subject}" for row in compared.having(Outcome.TIPPED) if row.worse]
    return f"to a worse verdict tipped {', '.join(tipped)}" if tipped else ""


def is_complete(path: Path) -> bool:
    """Whether a readable baseline lies there that does not call itself partial."""
    try:
        return not partial(read_baseline(path))
    except ArtifactError:
        return False


def _accept(session: Session, path: Path) -> None:
    from ace.plugin.accept import accept

    packaged = documented_of_models(session.options)
    elsewhere = {(each.claim, each.subject) for each in packaged if "HOLDS" not in each.verdicts}
    still_open = accept(path, session.gatherer.results, elsewhere)
    told = f"reasons to be written: {', '.join(still_open)}" if still_open else "no reason is to be written"
    session.notes.append(f"{path} documents these verdicts; {told}")


def summarise(session: Session, terminal: pytest.TerminalReporter) -> None:
    """The verdict table, what differs from the baseline, what was written and what could not be."""
    results = session.gatherer.results
    if results:
        from ace.report.terminal import table

        terminal.section("verdicts")
        for pieces in table(results, get_terminal_size().columns):
            for text, markup in pieces:
                terminal.write(text, **markup)  # coloured as pytest's own words are: --color, NO_COLOR
            terminal.line("")
    compared = session.compared
    if compared:
        terminal.section("compared with the baseline")
        if not compared.common:
            text = "ERROR: nothing to compare: no claim was measured on the same subject in both"
            terminal.write_line(text, red=True)
        for line in lines(compared):
            terminal.write_line(line)
    if nothing_measured(results):
        text = "ERROR: no verdict: every claim is INAPPLICABLE, for the reasons above, and nobody documented that"
        terminal.write_line(text, red=True)
    for text in session.notes:
        terminal.write_line(f"ace: {text}")
    for text in session.unwritten:
        terminal.write_line(f"ERROR: {text}", red=True)
