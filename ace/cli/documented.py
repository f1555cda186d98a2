"""What is known of a claim beforehand: documented verdicts of stored and real models, and records of real models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ace.report.documented import Expectation, read_expectations, real_model_expectations

EXPECTED = Path("invariants", "expected.toml")


def documented_verdicts(path: Path | None) -> tuple[Expectation, ...]:
    """Documented verdicts, one a claim and subject: those of a file, then those of real models, which the package has.

    Args:
        path: of the file for other models, None for none.

    Raises:
        InputError: a file that cannot be read, or that has something else.
    """
    own = () if path is None else read_expectations(path, "expected")
    return (*own, *real_model_expectations())


def recorded_results(fixtures: Path) -> list[dict[str, Any]]:
    """Results in the records of real models that lie with the fixtures: claim, subject, verdict, values, bound.

    Raises:
        ArtifactError: a record that cannot be read.
    """
    from ace.report.record import read_document

    names = ("claim", "subject", "verdict", "estimate", "low", "high", "bound_rule", "reason")
    every = [entry for file in sorted((fixtures / "models").glob("*.json")) for entry in read_document(file)["results"]]
    return [{name: entry.get(name) for name in names} for entry in every]
