"""Works done in several ways, with the time that each took, in a file: read without what is timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from ace.files import read_json, write_json
from ace.report.record import environment

SCHEMA = 1


@dataclass(frozen=True)
class Compared:
    """One work done in several ways.

    Attributes:
        work: what is done.
        seconds: way -> time of each round, the fast way first.
        processor_time: whether that is processor time of one thread, else wall time.
    """

    work: str
    seconds: Mapping[str, Sequence[float]]
    processor_time: bool = False

    def times_longer(self, way: str) -> list[float]:
        """How many times as long as the fast way a way takes, round by round."""
        fast = next(iter(self.seconds.values()))
        return [taken / first for taken, first in zip(self.seconds[way], fast, strict=True)]

    def __str__(self) -> str:
        """A line a way: the median of its times, and of how many times longer than the first it takes."""
        return "\n".join(
            f"{self.work:64} {way:24} {median(taken) * 1e3:9.1f} ms {median(self.times_longer(way)):7.1f}"
            for way, taken in self.seconds.items()
        )


def record(path: Path, kind: str, rows: Sequence[Compared], order: Sequence[str]) -> None:
    """Put the rows of one kind of work into a file, in the place of earlier ones.

    Args:
        order: of all kinds in the file.
    """
    kinds: dict[str, Any] = read_json(path, SCHEMA)["kinds"] if path.exists() else {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    kinds[kind] = {"date": now, "environment": environment(), "rows": [asdict(row) for row in rows]}
    ordered = {name: kinds[name] for name in order if name in kinds}
    write_json(path, {"schema": SCHEMA, "command": "python -m invariants.bench.ratios --record", "kinds": ordered})


def recorded(path: Path) -> list[tuple[Compared, str]]:
    """Rows of a file with the processor that each was timed on."""
    return [
        (Compared(**row), found["environment"]["processor"])
        for found in read_json(path, SCHEMA)["kinds"].values()
        for row in found["rows"]
    ]
