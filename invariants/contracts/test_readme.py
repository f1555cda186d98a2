"""The README's verdict table is replaced whole, and nothing around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ace.errors import InputError
from ace.report import readme
from ace.report.record import result
from ace.report.table import markdown
from invariants.contracts import builders

VERDICTS = markdown([result(builders.verdict(status, subject=status)) for status in ("HOLDS", "FAILS")])
TEXT = f"# Title\n\n{readme.BEGIN}\n| old |\n{readme.END}\n\nThe end.\n"


def test_the_table_and_its_tally_stand_between_the_marks_and_the_rest_stays(tmp_path: Path) -> None:
    (tmp_path / "verdicts.md").write_text(VERDICTS)
    (tmp_path / "README.md").write_text(TEXT)
    arguments = [str(tmp_path / name) for name in ("verdicts.md", "README.md")]
    assert readme.main(arguments) == 0
    found = (tmp_path / "README.md").read_text()
    assert found.startswith(f"# Title\n\n{readme.BEGIN}\n| claim |")
    assert found.endswith(f"\nVerdicts: 1 FAILS, 1 HOLDS.\n{readme.END}\n\nThe end.\n")
    assert found.count("markov.sufficiency | ") == 2
    assert "old" not in found
    assert readme.main(arguments) == 0
    assert (tmp_path / "README.md").read_text() == found


def test_how_far_trainings_went_stands_below_the_table() -> None:
    trained = {"trained": {"epochs": 10, "of": 2000}}
    verdicts = markdown([{**result(builders.verdict("HOLDS")), "details": trained}])
    assert "\ntiny-compact: trained 10 of 2,000 epochs.\n" in readme.with_table(TEXT, verdicts)


@pytest.mark.parametrize("text", ["", readme.BEGIN, readme.END + readme.BEGIN, TEXT + TEXT])
def test_a_text_without_both_marks_once_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"text: expected .* each once"):
        readme.with_table(text, VERDICTS)


def test_verdicts_without_a_row_are_refused_and_the_text_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "verdicts.md").write_text("| a |\n| - |\n")
    (tmp_path / "README.md").write_text(TEXT)
    assert readme.main([str(tmp_path / "verdicts.md"), str(tmp_path / "README.md")]) == 1
    assert "expected a table with a row" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == TEXT
    assert readme.main([]) == 2
