"""How far something long is: what is told, the line that shows it, and where pytest shows one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ace import progress
from ace.plugin.progress import _title
from ace.progress import Line, aside, shown, told

pytest_plugins = ["pytester"]

SUITE = """
import time
import pytest
from ace import progress

progress.DELAY = progress.EACH = 0.02

@pytest.mark.ace_claim("markov.rank")
def test_long():
    print("said by the test")
    for _ in progress.told(range(4), "parts"):
        time.sleep(0.1)

def test_of_something_else():
    time.sleep(0.2)
"""
LINE = "test_long, parts: 3/4 |"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.01)
    monkeypatch.setattr(progress, "EACH", 0.01)


def wait_for(text: str, file: io.StringIO) -> None:
    deadline = time.monotonic() + 20
    while text not in file.getvalue():
        assert time.monotonic() < deadline, f"{text!r} never came: {file.getvalue()!r}"
        time.sleep(0.005)


# --- what is told -----------------------------------------------------------------------------------------------------
def test_where_nobody_listens_the_items_are_all_there_is() -> None:
    items = [3, 1, 2]
    assert list(told(items, "numbers")) == items


def test_a_line_learns_how_many_are_done_and_what_was_told_before() -> None:
    seen = []
    with shown("whole", opened=io.StringIO) as line:
        for _ in told("ab", "outer"):
            seen.append(line.within)
            for _ in told(range(3), "inner"):
                seen.append(line.within)
            seen.append(line.within)
        assert line.within is None
    inner = [("inner", done, 3) for done in range(3)]
    assert seen == [("outer", 0, 2), *inner, ("outer", 0, 2), ("outer", 1, 2), *inner, ("outer", 1, 2)]
    assert list(told("ab", "later")) == ["a", "b"]
    assert line.within is None  # as it is no longer shown


def test_a_loop_that_is_left_early_is_forgotten() -> None:
    with shown("whole", opened=io.StringIO) as line:
        for done in told(range(9), "few"):
            if done == 2:
                break
        assert line.within is None


# --- the line ---------------------------------------------------------------------------------------------------------
def test_what_is_short_opens_nothing_and_shows_nothing() -> None:
    def opened() -> io.StringIO:
        raise AssertionError("asked for a file")

    with shown("whole", opened=opened) as line:
        line.step("short")


@pytest.mark.usefixtures("quick")
def test_the_line_says_what_is_done_and_is_cleared_at_the_end() -> None:
    file = io.StringIO()
    with shown("whole", steps=2, opened=lambda: file) as line:
        wait_for("whole: 0/2 |", file)
        line.step("first")
        wait_for("first: 1/2 |", file)
        for _ in told(range(3), "parts"):
            wait_for("first 1/2, parts:", file)
        line.step()
        wait_for("first: 2/2 |", file)
    last = file.getvalue().rstrip("\r").rpartition("\r")[2]
    assert not last.strip()


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("kind", "between"), [(io.StringIO, "\n"), (Terminal, "")])
def test_what_comes_after_a_line_does_not_stand_in_it_where_no_terminal_clears_it(
    kind: type[io.StringIO], between: str
) -> None:
    file = kind()
    for _ in range(2):
        with shown("whole", opened=lambda: file):
            wait_for("whole", file)
    file.write("ace: an error")
    assert file.getvalue().rpartition("\r")[2] == f"{between}ace: an error"


@pytest.mark.usefixtures("quick")
def test_without_steps_the_time_alone_goes_on() -> None:
    file = io.StringIO()
    with shown("whole", opened=lambda: file):
        wait_for("whole: 00:0", file)


@pytest.mark.usefixtures("quick")
def test_aside_the_line_is_gone_and_comes_back() -> None:
    file = io.StringIO()
    with aside(), shown("whole", opened=lambda: file) as line:
        wait_for("whole", file)
        with aside():
            written = file.getvalue()
            assert not written.rstrip("\r").rpartition("\r")[2].strip()
            time.sleep(0.1)
            assert file.getvalue() == written
        line.step("again")
        wait_for("again", file)


def test_a_step_too_many_is_the_last_one() -> None:
    line = Line("whole", 1, io.StringIO)
    line.step("first")
    line.step("second")
    assert (line._title, line._done) == ("second", 1)


# --- under pytest -----------------------------------------------------------------------------------------------------
def on_a_terminal(folder: Path, *words: str) -> str:
    """What pytest writes to a terminal."""
    pty = pytest.importorskip("pty", reason="a terminal can be had on POSIX alone")
    (folder / "test_suite.py").write_text(SUITE)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", *words, "test_suite.py"]
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 4096):
            written += part
    except OSError:  # what Linux says at the end
        pass
    finally:
        process.kill()
        os.close(ours)
    assert process.wait(timeout=60) in (0, -9)
    return written.decode()


@pytest.mark.parametrize("words", [["-v"], ["-s"]], ids=str)
def test_on_a_terminal_a_long_claim_shows_a_line_and_a_test_of_something_else_none(
    tmp_path: Path, words: list[str]
) -> None:
    text = on_a_terminal(tmp_path, *words)
    assert "2 passed" in text
    assert LINE in text
    assert "test_of_something_else," not in text
    assert ("said by the test" in text) == (words == ["-s"])
    # pytest's own line is left alone: the bar has lines of its own, and the outcome comes on a further one.
    before, _, after = text.partition("test_long, parts:")
    assert before.rpartition("\r")[0].endswith("\n")
    assert "test_suite.py" in after


TITLES = {
    'ace_claim("markov.rank")\n@pytest.mark.parametrize("ace_subject", [NAMED])': "markov.rank on tiny",
    'parametrize("ace_subject", [pytest.param(NAMED, marks=pytest.mark.ace_claim("markov.rank"))])': (
        "markov.rank on tiny"
    ),
    'ace_claim("markov.rank")\n@pytest.mark.parametrize("ace_subject", [3])': "test_it[3]",
    'ace_claim\n@pytest.mark.parametrize("ace_subject", [NAMED], ids=["one"])': "test_it[one]",
}
TITLED = """
import pytest
from types import SimpleNamespace
NAMED = SimpleNamespace(name="tiny")
@pytest.mark.{mark}
def test_it(ace_subject):
    pass
"""


@pytest.mark.parametrize("mark", TITLES)
def test_the_line_begins_with_the_claim_of_the_mark_and_the_subject(pytester: pytest.Pytester, mark: str) -> None:
    (item,) = pytester.getitems(TITLED.format(mark=mark))
    assert _title(item) == TITLES[mark]


def test_a_worker_process_shows_none(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    text = on_a_terminal(tmp_path, "-n", "1")
    assert "2 passed" in text
    assert "parts" not in text


def test_without_a_terminal_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-s", "test_suite.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "2 passed" in done.stdout
    assert "parts" not in done.stdout + done.stderr
