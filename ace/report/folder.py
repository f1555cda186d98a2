"""A folder that holds a run: record, page, tables and figures.

Files that an earlier run of this tool left there are removed. They are known by a manifest of file names and SHA-256
digests, so that a file of anyone else's, or one that was changed since, stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ace.errors import ArtifactError
from ace.files import read_json, sha256_of, write_atomic, write_json
from ace.report.methods import methods
from ace.report.page import page
from ace.report.record import write_document
from ace.report.replication import replication
from ace.report.summary import summary
from ace.report.table import markdown

if TYPE_CHECKING:
    from ace.report.figures import Drawn

RECORD = "results.json"
MANIFEST = "manifest.json"
SCHEMA = 1
FIGURES_ONLY = "figures.json"  # the manifest of version 0.1, which listed figures alone
NO_MATPLOTLIB = "There are no figures, for matplotlib is not installed: pip install 'ace-invariants[figures]'."


def write_report(folder: Path, document: Mapping[str, Any]) -> list[Path]:
    """Write record, page, tables and figures into a folder; return their paths.

    The table of replications is written where sentences of the paper are among the results, that of alternatives where
    methods are compared, figures where matplotlib is installed.

    Raises:
        ArtifactError: results that lack what a figure shows; all else, figures drawn before it too, is written all
            the same.
    """
    before = _written_before(folder)
    write_document(folder / RECORD, document)
    figures, failed = _drawn(document)
    note = "" if find_spec("matplotlib") else NO_MATPLOTLIB
    note = f"Not all figures could be drawn: {failed}." if failed else note
    contents = {
        "report.html": page(document, figures, note).encode(),
        "report.md": summary(document).encode(),
        "verdicts.md": markdown(document["results"]).encode(),
        "replication.md": replication(document["results"]).encode(),
        "alternatives.md": methods(document["results"]).encode(),
        **{figure.name: figure.png for figure in figures},
    }
    written = {name: content for name, content in contents.items() if content}
    for name, content in written.items():
        write_atomic(folder / name, content)
    _remove(folder, {name: digest for name, digest in before.items() if name not in written})
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    write_json(folder / MANIFEST, {"schema": SCHEMA, "files": digests})
    if failed:
        raise failed
    return [folder / RECORD, *(folder / name for name in written)]


def _drawn(document: Mapping[str, Any]) -> tuple[list[Drawn], ArtifactError | None]:
    """The figures, up to one that cannot be drawn, and why it cannot."""
    figures: list[Drawn] = []
    if find_spec("matplotlib"):
        from ace.report.figures import drawings

        try:
            figures.extend(drawings(document["results"]))
        except ArtifactError as error:
            return figures, error
    return figures, None


def _remove(folder: Path, former: Mapping[str, str]) -> None:
    """Remove files that are still as they were written."""
    for name, digest in former.items():
        path = folder / name
        if path.is_file() and sha256_of(path) == digest:
            path.unlink()
    if _entries(folder / FIGURES_ONLY, "figures"):
        (folder / FIGURES_ONLY).unlink()


def _written_before(folder: Path) -> dict[str, str]:
    """File name -> digest of what an earlier run wrote here; none where there is no readable manifest."""
    return _entries(folder / FIGURES_ONLY, "figures") | _entries(folder / MANIFEST, "files")


def _entries(manifest: Path, kind: str) -> dict[str, str]:
    try:
        found = read_json(manifest, SCHEMA).get(kind)
    except ArtifactError:
        return {}
    listed = found.items() if isinstance(found, dict) else ()
    return {name: digest for name, digest in listed if Path(name).name == name and name not in (RECORD, MANIFEST)}
