"""The table of verdicts in a terminal: within its width, wrapped by meaning, and in colour where colours are shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import pytest

from ace.report.record import ORDER, read_document, result
from ace.report.terminal import NARROWEST, plain, shortened, table
from invariants.contracts import builders
from invariants.contracts.runs import SUFFICIENCY, TRANSPLANT, Run, documented, expected

pytest_plugins = ["pytester"]

REAL = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "real-models.json"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    """Those of real models; what is not HOLDS counts as documented."""
    found: list[dict[str, Any]] = read_document(REAL)["results"]
    return [{**each, "documented": "" if each["verdict"] == "HOLDS" else "seen"} for each in found]


def lines(results: list[dict[str, Any]], width: int) -> list[str]:
    return plain(table(results, width))


@pytest.mark.parametrize("width", [72, 80, 100, 132, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(results: list[dict[str, Any]], width: int) -> None:
    found = lines(results, width)
    assert max(map(len, found)) <= width
    text = re.sub(r"\s+", " ", " ".join(found))
    for each in results:
        assert each["claim"] in text
        assert each["subject"] in text
    values = [f"[{each['low']:.3g}, {each['high']:.3g}]" for each in results if each["claim"] == "agreement.mirror"]
    assert len(values) == 2
    assert all(value in text for value in values)
    assert text.count("as documented") == sum(each["verdict"] != "HOLDS" for each in results)


def test_at_80_columns_rows_stand_under_their_subject_and_bounds_under_values(results: list[dict[str, Any]]) -> None:
    found = lines(results, 80)
    start = found.index("smollm2-135m")
    row = next(number for number in range(start, len(found)) if "agreement.mirror" in found[number])
    assert re.fullmatch(r"  agreement\.mirror +-1\.04 \[-1\.08, -0\.982\] +HOLDS", found[row])
    assert re.fullmatch(r" +<= -0\.8; the rest: 0\.812", found[row + 1])
    assert found[row].index("-1.04") == found[row + 1].index("<=")


def test_a_wide_terminal_has_a_line_for_each_row(results: list[dict[str, Any]]) -> None:
    found = lines(results, 200)
    assert len([line for line in found if line.startswith("agreement.")]) == len(results)


def test_a_control_without_a_number_is_not_the_nearest(results: list[dict[str, Any]]) -> None:
    one = next(each for each in results if len(each["controls"]) > 1)
    first, *others = one["controls"]
    found = " ".join(lines([{**one, "controls": {**one["controls"], first: None}}], 200))
    assert any(f"{name}: " in found for name in others)
    assert f"{first}: " not in found
    assert ": " not in " ".join(lines([{**one, "controls": dict.fromkeys(one["controls"])}], 200)).split("verdicts")[0]


@pytest.mark.parametrize("width", [10, NARROWEST, 80, 120])
def test_names_of_any_length_and_kind_leave_the_width_as_it_is(width: int) -> None:
    names = ["/models/" + "x" * 300 + "/final", "a\nb\x1b[31mred", "ü" * 90, ""]
    verdicts = [builders.verdict(status, subject=name) for name in names for status in ORDER]
    found = lines([result(verdict) for verdict in verdicts], width)
    assert max(map(len, found)) <= max(width, NARROWEST)
    assert "\x1b" not in "".join(found)
    assert any(line.endswith("/final") for line in found)


def shown(text: str) -> int:
    """Columns that a terminal takes: two for a wide letter."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


@pytest.mark.parametrize("width", [NARROWEST, 79, 80, 160])
@pytest.mark.parametrize(
    "name",
    [
        "模型",
        "模型" * 60,
        "x" + "模型" * 60,
        "日本語 のモデル " * 20,
        "/ﾓﾃﾞﾙ/👾/" * 9,
        "\N{FULLWIDTH LATIN CAPITAL LETTER W}" * 80,
    ],
    ids=["short", "long", "at odd columns", "with spaces", "mixed", "fullwidth"],
)
def test_wide_letters_take_two_columns(name: str, width: int) -> None:
    made = [result(builders.verdict(status, subject=name)) for status in ORDER]
    changed = [{**each, "controls": {name: 0.0}, "reason": name} for each in made]
    for found in (lines(made, width), lines(changed, width)):
        assert max(map(shown, found)) <= width
        text = "".join(found)
        assert name[:3] in text
        assert text.isprintable()
        ends = {shown(line.rpartition("  ")[0]) for line in found if line.endswith(ORDER) and "  " in line.strip()}
        assert len(ends) == 1, "verdicts stand below each other"


@pytest.mark.parametrize("width", [20, 21])
def test_of_a_long_name_in_wide_letters_both_ends_are_kept(width: int) -> None:
    text = shortened("模型" * 30 + "末", width)
    assert width - 2 <= shown(text) <= width
    assert text.startswith("模型")
    assert text.endswith("末")


def test_of_a_long_name_both_ends_are_kept() -> None:
    text = shortened("/models/first/second/ckpt-200", 20)
    assert text.startswith("/mod")
    assert text.endswith("/ckpt-200")
    assert len(shortened("x" * 99, 20)) == 20
    assert shortened("short", 20) == "short"


# --- colours ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "environment", "colored"),
    [
        ((), {}, False),  # no terminal
        (("--color=yes",), {}, True),
        (("--color=no",), {"FORCE_COLOR": "1"}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_verdicts_have_colours_where_pytest_has(
    run: Run,
    suite: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    environment: dict[str, str],
    colored: bool,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    suite("HOLDS", ("FAILS", TRANSPLANT), ("FAILS", SUFFICIENCY, "other"))
    entries = documented(TRANSPLANT)
    text = run("--ace-expected", expected(tmp_path, entries), *words).stdout.str()
    section = text[text.index("= verdicts =") :]
    for line in ("HOLDS", "FAILS"):
        assert bool(re.search(rf"\x1b\[[0-9;]*m{line}", section)) == colored
    assert re.search(r"verdicts: 2 FAILS, 1 HOLDS", ESCAPE.sub("", section))
    if colored:
        assert re.search(r"\x1b\[31m\x1b\[1mFAILS", section)  # red and bold: nobody expects it
        assert re.search(r"[^m]\x1b\[31mFAILS", section)  # as documented
