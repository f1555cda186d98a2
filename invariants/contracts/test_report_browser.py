"""The page in a real browser: Chromium, where there is one, opened from a file and driven by a page around it.

The page under test lies in a frame as wide as a phone or a screen, and is left as it is; what drives it is the page
around it, which may look into the frame because both are files. Without Chromium all of this is skipped.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ace.report.folder import write_report
from ace.report.page.view import anchor
from ace.report.record import read_document
from invariants.contracts.test_report_page import HOSTILE, REAL

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium, or Chrome"),
]
WIDTHS = {"phone": 390, "small": 1030, "screen": 1440}
SUBJECT = "smollm2-135m"
DRAWN = ("agreement.depth", "agreement.dose", "agreement.generation")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # none for the superuser, whom containers run tests as
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--allow-file-access-from-files",
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
    "--window-size=1500,1200",
)
DRIVER = """<!DOCTYPE html><meta charset="utf-8"><body><pre id="found"></pre><script>
const settled = () => new Promise((resolve) => setTimeout(resolve, 60));
const opened = async (width, sandbox) => {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px";
  frame.style.height = "900px";
  if (sandbox) frame.sandbox = "allow-same-origin";
  const loaded = new Promise((resolve) => { frame.onload = resolve; });
  frame.src = "report.html";
  document.body.append(frame);
  await loaded;
  await settled();
  return frame;
};
const about = async (width) => {
  const frame = await opened(width), view = frame.contentWindow, page = frame.contentDocument;
  const rows = () => [...page.querySelectorAll("#results tbody")].filter((row) => !row.hidden);
  const form = page.getElementById("filters"), root = page.documentElement, found = {};
  const change = async (set) => {
    set();
    form.dispatchEvent(new view.Event("input", {bubbles: true}));
    await settled();
  };
  const reset = async () => { form.querySelector("[type=reset]").click(); await settled(); };
  const state = () => ({rows: rows().map((row) => row.id), said: page.getElementById("shown").textContent});
  found.width = width;
  found.title = page.title;
  found.dark = view.matchMedia("(prefers-color-scheme: dark)").matches;
  found.ground = view.getComputedStyle(page.body).backgroundColor;
  found.widths = [root.scrollWidth, root.clientWidth];
  found.all = state();
  const visible = (selector) => [...page.querySelectorAll(selector)].filter((element) => element.checkVisibility());
  const style = (element) => view.getComputedStyle(element), box = (element) => element.getBoundingClientRect();
  const heads = [...page.querySelectorAll("[aria-labelledby=subjects-heading] thead th")];
  found.bySubject = heads.map((head) => [head.textContent, box(head).right]);
  found.images = [...page.images].map((image) => [image.complete, image.naturalWidth, box(image).width]);
  found.letters = visible("p, td, th, dd, dt, li, a, button, label, summary")
    .map((element) => parseFloat(style(element).fontSize));
  found.targets = visible("button, select, input[type=search], nav a").map((element) => box(element).height);
  await change(() => { form.querySelector("[value=FAILS]").checked = true; });
  found.fails = state();
  await change(() => { form.words.value = "MIRROR  separation"; });
  found.none = state();
  await reset();
  await change(() => { form.words.value = "mirror"; });
  found.mirror = state();
  await reset();
  found.reset = state();
  await change(() => { form.subject.selectedIndex = [...form.subject.options].findIndex((o) => o.value === HOSTILE); });
  found.hostile = state();
  await reset();
  const head = page.querySelector("th[data-key=value]");
  for (const order of ["up", "down"]) {
    head.querySelector("button").click();
    await settled();
    found[order] = [head.getAttribute("aria-sort"), rows().map((row) => row.dataset.value)];
  }
  found.sorted = [...page.querySelectorAll("th[aria-sort]")].map((other) => other.getAttribute("aria-sort"));
  await change(() => { form.words.value = "nothing has this in it"; });
  view.location.hash = ANCHOR;
  await settled();
  const row = page.getElementById(ANCHOR);
  found.revealed = [row.hidden, row.querySelector("details").open, row.getBoundingClientRect().top];
  found.open = [root.scrollWidth, root.clientWidth];
  for (const details of page.querySelectorAll("details")) details.open = true;
  await settled();
  found.everything = [root.scrollWidth, root.clientWidth];
  found.focus = visible("a, button, select, input, summary, [tabindex='0']").slice(0, 40).map((element) => {
    element.focus();
    return [element.tagName, style(element).outlineStyle, parseFloat(style(element).outlineWidth)];
  });
  found.positive = page.querySelectorAll("[tabindex]:not([tabindex='0'], [tabindex='-1'])").length;
  found.loaded = view.performance.getEntriesByType("resource").map((entry) => entry.name);
  return found;
};
const plain = async () => {
  const frame = await opened(390, true), page = frame.contentDocument;
  return {
    rows: [...page.querySelectorAll("#results tbody")].filter((row) => row.checkVisibility()).length,
    form: page.getElementById("filters").checkVisibility(),
    buttons: page.querySelectorAll("#results button").length,
  };
};
(async () => {
  let found;
  try { found = await STEPS; } catch (error) { found = {error: String(error.stack)}; }
  document.getElementById("found").textContent = JSON.stringify(found);
  for (const frame of document.querySelectorAll("iframe")) frame.remove();
})();
</script>"""
ALL = f"(async () => ({{{', '.join(f'{name}: await about({width})' for name, width in WIDTHS.items())}}}))()"


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """All results of one real model, and two of models whose names hold markup."""
    results = [entry for entry in read_document(REAL)["results"] if entry["subject"] == SUBJECT]
    named = [{**results[0], "subject": name, "details": {}} for name in HOSTILE[:2]]
    named[0]["documented"] = "a reason"
    named[1] |= {"estimate": None, "verdict": "INAPPLICABLE"}
    return {**read_document(REAL), "results": [*results, *named]}


@pytest.fixture(scope="module")
def folder(record: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report")
    for entry in record["results"]:
        if entry["claim"] not in DRAWN and entry["subject"] == SUBJECT:
            entry["details"] = {}
    write_report(
        made, {**record, "results": [entry for entry in record["results"] if entry["claim"] != "agreement.knob"]}
    )
    return made


def driven(folder: Path, steps: str, *options: str) -> tuple[dict[str, Any], list[str]]:
    """What the steps found in the page, and what the browser's console says."""
    settings = f"const HOSTILE = {json.dumps(HOSTILE[0])}, ANCHOR = {json.dumps(anchor('agreement.mirror', SUBJECT))};"
    text = DRIVER.replace("STEPS", steps).replace("<script>", "<script>" + settings.replace("</", "<\\/"), 1)
    (folder / "driver.html").write_text(text, encoding="utf-8")
    assert BROWSER is not None
    done = subprocess.run(
        [
            BROWSER,
            *OPTIONS,
            *options,
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            (folder / "driver.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    told = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(html.unescape(told[1]))
    assert "error" not in found, found
    return found, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module", params=["light", "dark"])
def seen(request: pytest.FixtureRequest, folder: Path) -> tuple[str, dict[str, Any], list[str]]:
    scheme = str(request.param)
    found, console = driven(folder, ALL, f"--blink-settings=preferredColorScheme={int(scheme == 'light')}")
    return scheme, found, console


@pytest.fixture(params=WIDTHS)
def one(request: pytest.FixtureRequest, seen: tuple[str, dict[str, Any], list[str]]) -> dict[str, Any]:
    """What was found at one width."""
    found: dict[str, Any] = seen[1][request.param]
    return found


def test_it_opens_without_errors_and_without_a_network(seen: tuple[str, dict[str, Any], list[str]]) -> None:
    _, found, console = seen
    assert console == []
    for width in WIDTHS:
        assert all(name.startswith("data:") for name in found[width]["loaded"])
        assert re.fullmatch(r"\d+ verdicts on .+", found[width]["title"])  # no name in it has run as a script


def test_it_follows_the_scheme_of_the_screen(seen: tuple[str, dict[str, Any], list[str]]) -> None:
    scheme, found, _ = seen
    for width in WIDTHS:
        assert found[width]["dark"] == (scheme == "dark")
        assert found[width]["ground"] == ("rgb(18, 24, 31)" if scheme == "dark" else "rgb(255, 255, 255)")


def test_nothing_is_wider_than_the_page_with_details_closed_or_open(one: dict[str, Any]) -> None:
    for state in ("widths", "open", "everything"):
        wide, room = one[state]
        assert wide <= room <= one["width"], state


def test_what_fails_is_seen_by_subject_without_scrolling_sideways(one: dict[str, Any]) -> None:
    heads = dict(one["bySubject"])
    assert list(heads)[:2] == ["subject", "FAILS"]
    assert heads["FAILS"] <= one["width"]


def test_letters_are_large_enough_and_what_is_touched_too(one: dict[str, Any]) -> None:
    assert min(one["letters"]) >= 12
    assert min(one["targets"]) >= 24  # WCAG 2.2, target size


def test_pictures_are_there_and_not_drawn_too_small_to_read(one: dict[str, Any]) -> None:
    assert len(one["images"]) == len(DRAWN)
    for complete, pixels, width in one["images"]:
        assert complete
        assert pixels > 300
        assert width >= 350


def test_filters_and_search_work_together_and_are_undone(one: dict[str, Any], record: dict[str, Any]) -> None:
    results = [entry for entry in record["results"] if entry["claim"] != "agreement.knob"]

    def ids(chosen: list[dict[str, Any]]) -> list[str]:
        return [anchor(entry["claim"], entry["subject"]) for entry in chosen]

    assert one["all"]["rows"] == ids(results)
    assert one["all"]["said"] == f"{len(results)} of {len(results)} verdicts shown"
    fails = ids([entry for entry in results if entry["verdict"] == "FAILS"])
    assert one["fails"] == {"rows": fails, "said": f"{len(fails)} of {len(results)} verdicts shown"}
    assert set(one["none"]["rows"]) < set(fails)
    assert anchor("agreement.mirror", SUBJECT) in one["mirror"]["rows"]
    assert len(one["mirror"]["rows"]) < len(results)
    assert one["reset"] == one["all"]
    assert one["hostile"]["rows"] == ids([entry for entry in results if entry["subject"] == HOSTILE[0]])


def test_a_column_sorts_both_ways_and_says_so(one: dict[str, Any]) -> None:
    for order, said, reverse in (("up", "ascending", False), ("down", "descending", True)):
        sort, values = one[order]
        assert sort == said
        numbers = [float(value) for value in values if value]
        assert numbers == sorted(numbers, reverse=reverse)
        assert 0 < len(numbers) < len(values)
        assert values[len(numbers) :] == [""] * (len(values) - len(numbers)), "what has no number comes last"
    assert sorted(set(one["sorted"])) == ["descending", "none"]


def test_a_link_to_a_row_that_is_filtered_away_shows_it_with_its_details(one: dict[str, Any]) -> None:
    hidden, is_open, top = one["revealed"]
    assert not hidden
    assert is_open
    assert 0 <= top < 900


def test_what_has_the_focus_is_seen_and_the_order_is_that_of_the_page(one: dict[str, Any]) -> None:
    assert {"A", "BUTTON", "SELECT", "INPUT", "SUMMARY"} <= {tag for tag, _, _ in one["focus"]}
    assert all(style != "none" and width >= 2 for _, style, width in one["focus"]), one["focus"]
    assert one["positive"] == 0


def test_errors_in_the_console_would_be_seen(folder: Path) -> None:
    _, console = driven(folder, "(async () => { console.error('as in a page'); return {}; })()")
    assert len(console) == 1
    assert "as in a page" in console[0]


def test_without_scripts_all_rows_are_there_and_no_filter_that_would_not_work(
    folder: Path, record: dict[str, Any]
) -> None:
    found, _ = driven(folder, "plain()")
    assert found == {"rows": len(record["results"]) - 1, "form": False, "buttons": 0}
