"""The README's verdict table is replaced whole, and nothing around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ace.errors import InputError
from ace.report import readme
from ace.report.record import result
from invariants.contracts import builders

RESULTS = [result(builders.verdict(status, subject=status)) for status in ("HOLDS", "FAILS")]
TEXT = f"# Title\n\n{readme.BEGIN}\n| old |\n{readme.END}\n\nThe end.\n"


def test_the_table_and_its_tally_stand_between_the_marks_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(TEXT)
    readme.replace_table(path, RESULTS)
    text = path.read_text()
    assert text.startswith(f"# Title\n\n{readme.BEGIN}\n| claim |")
    assert text.endswith(f"\nVerdicts: 1 FAILS, 1 HOLDS.\n{readme.END}\n\nThe end.\n")
    assert text.count("markov.sufficiency | ") == 2
    assert "old" not in text
    readme.replace_table(path, RESULTS)
    assert path.read_text() == text


def test_how_far_trainings_went_stands_below_the_table() -> None:
    trained = {"trained": {"epochs": 10, "of": 2000}}
    text = readme.with_table(TEXT, [{**result(builders.verdict("HOLDS")), "details": trained}])
    assert "\ntiny-compact: trained 10 of 2,000 epochs.\n" in text


@pytest.mark.parametrize("text", ["", readme.BEGIN, readme.END + readme.BEGIN, TEXT + TEXT])
def test_a_text_without_both_marks_once_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(InputError, match=r"text: expected .* each once"):
        readme.replace_table(path, RESULTS)
    assert path.read_text() == text


def test_a_table_without_a_row_is_refused() -> None:
    with pytest.raises(InputError, match="results: expected at least one, got none"):
        readme.with_table(TEXT, [])


def test_a_text_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"text: expected a readable file, got .*none\.md"):
        readme.replace_table(tmp_path / "none.md", RESULTS)
