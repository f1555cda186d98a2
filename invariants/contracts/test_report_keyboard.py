"""The page by keyboard and as a screen reader has it: keys pressed in Chromium by WebDriver, at a phone's width."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ace.report.folder import write_report
from ace.report.record import read_document
from invariants.contracts.test_report_browser import BROWSER, OPTIONS, SUBJECT
from invariants.contracts.test_report_page import REAL

DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None or DRIVER is None, reason="needs Chromium and chromedriver"),
]
TAB, ENTER, SPACE = "\ue004", "\ue007", " "
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the standard's name of a reference
NO_CLOCK = [option for option in OPTIONS if not option.startswith(("--virtual-time", "--window-size", "--enable-log"))]


class Page:
    """A page in a browser, reached by keys alone."""

    def __init__(self, address: str) -> None:
        self._address = address
        chosen = {"binary": BROWSER, "args": [*NO_CLOCK, "--window-size=390,844"]}
        asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": chosen}}}
        self._session = f"/session/{self._call('POST', '/session', asked)['sessionId']}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(
            self._address + path, content, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, address: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": address})

    def close(self) -> None:
        self._call("DELETE", self._session)

    def press(self, *keys: str) -> None:
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        self._call("POST", f"{self._session}/actions", body)

    def run(self, script: str) -> Any:
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def focused(self) -> tuple[str, str]:
        """Role and name, as a screen reader says them, of what has the focus."""
        found = self._call("GET", f"{self._session}/element/active")[ELEMENT]
        role, name = (
            self._call("GET", f"{self._session}/element/{found}/computed{what}") for what in ("role", "label")
        )
        return role, name

    def tree(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader is given, in its order."""
        asked = {"cmd": "Accessibility.getFullAXTree", "params": {}}
        nodes = self._call("POST", f"{self._session}/goog/cdp/execute", asked)["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    def tab_to(self, role: str, name: str, most: int = 80) -> list[tuple[str, str]]:
        """Press Tab until what has this role and begins with this name has the focus; what had it on the way."""
        passed: list[tuple[str, str]] = []
        for _ in range(most):
            self.press(TAB)
            passed.append(self.focused())
            if passed[-1][0] == role and passed[-1][1].startswith(name):
                return passed
        raise AssertionError(f"no {role} {name!r} within {most} steps: {passed}")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a driver that listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert DRIVER is not None
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            with suppress(urllib.error.URLError), urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5):
                break
            assert time.monotonic() < deadline, "the driver never listened"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        driver.terminate()
        driver.wait(30)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, record = tmp_path_factory.mktemp("report"), read_document(REAL)
    rows = [{**row, "details": {}} for row in record["results"] if row["subject"] == SUBJECT]
    write_report(folder, {**record, "results": rows})
    return folder / "report.html"


@pytest.fixture
def page(address: str, report: Path) -> Iterator[Page]:
    opened = Page(address)
    try:
        opened.open(report.as_uri())
        yield opened
    finally:
        opened.close()


def shown(page: Page) -> int:
    found: int = page.run("return [...document.querySelectorAll('#results tbody')].filter((row) => !row.hidden).length")
    return found


def comes_to(page: Page, count: int) -> None:
    """Wait until so many rows are shown: the filters act once the form has been reset."""
    deadline = time.monotonic() + 10
    while shown(page) != count:
        assert time.monotonic() < deadline, f"{shown(page)} rows are shown"
        time.sleep(0.02)


def test_the_first_key_leads_past_the_menu_to_the_verdicts(page: Page) -> None:
    page.press(TAB)
    assert page.focused() == ("link", "Skip to the verdicts")
    page.press(ENTER)
    page.press(TAB)
    assert page.focused() == ("searchbox", "Search in all of a row")


def test_rows_are_searched_filtered_sorted_and_opened_by_keys_alone(page: Page) -> None:
    every = shown(page)
    page.press(TAB, ENTER, TAB)
    page.press(*"mirror")
    assert 0 < shown(page) < every
    page.tab_to("button", "Show all")
    page.press(ENTER)
    comes_to(page, every)
    page.tab_to("button", "claim")
    for said in ("ascending", "descending"):
        page.press(ENTER)
        assert page.run("return document.querySelector('th[data-key=claim]').getAttribute('aria-sort')") == said
        assert page.focused() == ("button", "claim")  # it stays where it was
    passed = page.tab_to("DisclosureTriangle", "")
    assert page.run("return document.activeElement.parentElement.open") is False
    for is_open in (True, False):
        page.press(ENTER)
        assert page.run("return document.activeElement.parentElement.open") is is_open
    assert all(name for _, name in passed)  # nothing that is reached lacks a name


def test_a_box_is_ticked_by_the_space_bar_and_the_status_says_how_many_rows_are_left(page: Page) -> None:
    page.press(TAB, ENTER)
    page.tab_to("checkbox", "FAILS")
    page.press(SPACE)
    left = shown(page)
    assert f"{left} of " in page.run("return document.getElementById('shown').textContent")
    assert any(role == "status" for role, _ in page.tree())


def test_a_screen_reader_is_given_landmarks_headings_and_a_table_with_its_heads(page: Page) -> None:
    tree = page.tree()
    roles = [role for role, _ in tree]
    for role in (
        "banner",
        "navigation",
        "main",
        "search",
        "table",
        "rowgroup",
        "row",
        "columnheader",
        "rowheader",
        "cell",
    ):
        assert role in roles, role
    headings = [name for role, name in tree if role == "heading"]
    assert headings[1:2] == ["Summary"]
    assert {"By subject", "Verdicts", "Environment"} <= set(headings)
    unnamed = [role for role, name in tree if role in ("button", "link", "checkbox", "searchbox", "image") and not name]
    assert unnamed == []
    heads = [name for role, name in tree if role == "columnheader"]
    assert {"claim", "subject", "verdict", "FAILS", "HOLDS"} <= set(heads)  # without the arrows that are drawn
