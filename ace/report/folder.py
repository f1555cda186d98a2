"""A folder that holds a run: record, table and figures.

Figures that an earlier run of this tool left there are removed. They are known by a manifest of file names and SHA-256
digests, so that a file of anyone else's, or one that was changed since, stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ace.errors import ArtifactError
from ace.files import read_json, sha256_of, write_atomic, write_json
from ace.report.methods import methods
from ace.report.record import write_document
from ace.report.replication import replication
from ace.report.table import markdown

MANIFEST = "figures.json"
SCHEMA = 1


def write_report(folder: Path, document: Mapping[str, Any]) -> list[Path]:
    """Write record, tables and figures into a folder; return their paths.

    The table of replications is written where sentences of the paper are among the results, that of alternatives where
    methods are compared, figures where matplotlib is installed.

    Raises:
        ArtifactError: results that lack what a figure shows; record, table and other figures are written all the same.
    """
    record, table = folder / "results.json", folder / "verdicts.md"
    write_document(record, document)
    write_atomic(table, markdown(document["results"]).encode())
    pages = [record, table]
    for name, page in (("replication.md", replication), ("alternatives.md", methods)):
        if text := page(document["results"]):
            pages.append(folder / name)
            write_atomic(pages[-1], text.encode())
    return [*pages, *_write_figures(folder, document)]


def _write_figures(folder: Path, document: Mapping[str, Any]) -> list[Path]:
    before, drawn = _manifest(folder), dict[str, str]()
    try:
        if find_spec("matplotlib"):
            from ace.report.figures import drawings

            for name, content in drawings(document["results"]):
                write_atomic(folder / name, content)
                drawn[name] = hashlib.sha256(content).hexdigest()
    finally:
        for name in before.keys() - drawn.keys():
            path = folder / name
            if path.is_file() and sha256_of(path) == before[name]:
                path.unlink()
        if drawn:
            write_json(folder / MANIFEST, {"schema": SCHEMA, "figures": drawn})
        elif before:
            (folder / MANIFEST).unlink()
    return [folder / name for name in drawn]


def _manifest(folder: Path) -> dict[str, str]:
    """File name -> digest of the figures that an earlier run drew here; none where there is no readable manifest."""
    try:
        figures = read_json(folder / MANIFEST, SCHEMA).get("figures")
    except ArtifactError:
        return {}
    entries = figures.items() if isinstance(figures, dict) else ()
    return {name: digest for name, digest in entries if Path(name).name == name and name.endswith(".png")}
