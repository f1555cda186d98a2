"""A folder that holds a run: record, table and figures."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ace.files import write_atomic
from ace.report.record import write_document
from ace.report.table import Documented, markdown


def write_report(folder: Path, document: Mapping[str, Any], documented: Documented | None = None) -> list[Path]:
    """Write `results.json`, `verdicts.md` and, where matplotlib is installed, the figures; return the paths."""
    written = [folder / "results.json", folder / "verdicts.md"]
    write_document(written[0], document)
    write_atomic(written[1], markdown(document["results"], documented).encode())
    if find_spec("matplotlib"):
        from ace.report.figures import draw_all

        written += draw_all(folder, document["results"])
    return written
