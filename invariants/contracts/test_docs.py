"""Pages are what the stored records say; marks that point to nothing are told; the site builds without a warning."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageColor

from ace.families.modular_addition.figure import ARMS
from ace.report.record import SHOWN, read_document
from docs import make, pictures
from docs.marks import MarkError, filled, value_of

ROOT = Path(__file__).resolve().parents[2]
RECORDS = (make.EMBEDDED, make.REAL, make.OWN, make.CONTRASTS)
RESULT: dict[str, Any] = {
    "verdict": "HOLDS",
    "values": [0.25, 0.5, 1.0],
    "seeds": [{"share": {"a, b": 0.1}}, {"share": {"a, b": 0.3}}],
}
RESULTS = {("markov.rank", "one"): RESULT, ("markov.rank", "two"): {**RESULT, "values": [2.0]}}


def results(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_document(path, SHOWN)["results"]
    return found


def test_every_page_is_what_the_stored_records_say() -> None:
    pages = make.pages(*map(results, RECORDS))
    stale = [path.name for path, text in pages.items() if text != path.read_text(encoding="utf-8")]
    assert stale == [], "python -m docs.make writes them anew"


def test_another_record_gives_other_pages() -> None:
    embedded, real, own, contrasts = map(results, RECORDS)
    moved = [{**result, "estimate": 0.123, "values": [0.123], "verdict": "FAILS"} for result in embedded]
    changed = [path.name for path, text in make.pages(moved, real, own, contrasts).items() if text != path.read_text()]
    assert {"README.md", "verdicts.md", "findings-markov.md", "changed-verdicts.md"} <= set(changed)
    assert "real-models.md" not in changed


def test_numbers_of_the_page_of_changed_verdicts_are_made_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docs", "examples/own_runs"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("README.md", "examples/own_runs/README.md"):
        (tmp_path / name).write_text("nothing is made here\n")
    page = tmp_path / "docs/changed-verdicts.md"
    mark = "<!-- n: markov.necessity markov-paper ; verdict ; word -->"
    row = "| markov.necessity | markov-paper | FAILS | old | why |"
    page.write_text(f"It is {mark}old<!-- / -->.\n\n{row}\n")
    monkeypatch.setattr(make, "ROOT", tmp_path)
    found = next(each for each in results(make.EMBEDDED) if (each["claim"], each["subject"]) == make.ROWS[0])
    made = make.pages([found], [], [])[page]
    assert f"It is {mark}{found['verdict']}<!-- / -->.\n" in made
    assert f"| markov.necessity | markov-paper | FAILS | {found['verdict']}: " in made


def test_records_of_several_files_are_one_whose_subjects_are_named_after_them() -> None:
    one = {"schema": 3, "subjects": {"tiny": {"task": "gender"}}, "results": [{"claim": "a.b", "subject": "tiny"}]}
    other = {**one, "run": {}, "subjects": {"tiny": {"task": "number"}}}
    both = make.joined([one, other])
    assert [each["subject"] for each in both["results"]] == ["tiny, gender", "tiny, number"] == list(both["subjects"])
    with pytest.raises(ValueError, match="contrasts: expected a record for each file, got tiny, gender twice"):
        make.joined([one, one])


def test_the_page_of_changed_verdicts_has_every_row_of_the_record() -> None:
    text = (make.ROOT / "docs/changed-verdicts.md").read_text(encoding="utf-8")
    rows = {f"{each['claim']} ({each['subject']})" for each in results(make.EMBEDDED)}
    listed = text.partition("Unchanged to nine digits: ")[2].strip().rstrip(".").split(", ")
    in_table = {
        f"{claim} ({subject})"
        for claim, subject, *_ in (line.strip("| ").split(" | ") for line in text.splitlines() if line[:2] == "| ")
    }
    assert rows <= in_table | set(listed)
    assert not in_table & set(listed)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_a_stored_record_is_stored_as_it_was(path: Path) -> None:
    document = read_document(path, SHOWN)
    assert make.stored(document) == path.read_bytes()
    assert len(path.read_bytes()) < 800_000


def test_figures_of_the_pages_are_there_and_small() -> None:
    folder = ROOT / "docs/figures"
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    link = re.compile(r"(?:\]\(|src=\")(?:docs/)?figures/([^)\"]+)")
    shown = {name for page in pages for name in link.findall(page.read_text(encoding="utf-8"))}
    assert shown == set(pictures.SHOWN) == {path.name for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


def test_a_figure_is_made_small_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.effect_noise((90, 60), 80).save(content, "PNG")
    small = pictures.smaller(content.getvalue())
    assert len(small) < len(content.getvalue())
    with Image.open(io.BytesIO(small)) as image:
        assert (image.size, image.mode) == ((90, 60), "P")
    with pytest.raises(LookupError, match=r"markov-paper\.png.* among what the reports drew"):
        pictures.take([], tmp_path)


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        ("markov.rank one ; values ; range .2f", "0.25 to 1.00"),
        ("markov.rank one ; values ; each g", "0.25, 0.5, 1"),
        ("markov.rank one ; values ; median .1f", "0.5"),
        ("markov.rank one ; values/1 ; first .0%", "50%"),
        ("markov.rank one, two ; values ; max g", "2"),
        ("markov.rank two ; values ; range g", "2"),
        ("markov.rank one, two ; verdict ; word", "HOLDS"),
        ("markov.rank one ; seeds/*/share/a, b ; each g", "0.1, 0.3"),
        ("markov.rank one ; seeds/1/share/a, b ; min g", "0.3"),
        ("markov.rank one ; seeds/1 ; word", "share"),
    ],
)
def test_a_mark_says_which_number(mark: str, text: str) -> None:
    assert value_of(mark, RESULTS) == text
    page = filled(f"it is <!-- n: {mark} -->old<!-- / -->.", RESULTS, {}, "page")
    assert page == f"it is <!-- n: {mark} -->{text}<!-- / -->."


@pytest.mark.parametrize(
    "mark",
    [
        "markov.rank three ; values ; max g",
        "markov.rank one ; nothing ; max g",
        "markov.rank one ; values ; largest g",
        "markov.rank one ; values ; max q",
        "markov.rank one ; seeds/0 ; max g",
        "markov.rank one ; values",
    ],
)
def test_a_mark_that_points_to_nothing_is_refused(mark: str) -> None:
    with pytest.raises(MarkError, match="page: expected `claim subject ; path ; shape format`, got"):
        filled(f"it is <!-- n: {mark} -->old<!-- / -->.", RESULTS, {}, "page")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("it is <!-- n: markov.rank one ; values ; max g -->1.", "a mark is left open"),
        ("it is\n  <!-- n: markov.rank one ; values ; max g -->1<!-- / -->.", "page:2: expected words before"),
        ("<!-- made: none -->\n<!-- end of none -->", "expected one of rows, got a table 'none'"),
        ("<!-- made: rows -->\n", "a mark is left open"),
    ],
)
def test_a_page_that_cannot_be_filled_is_refused(text: str, message: str) -> None:
    with pytest.raises(MarkError, match=message):
        filled(text, RESULTS, {"rows": lambda: "| a |"}, "page")


def test_a_table_stands_between_its_marks() -> None:
    text = "# A\n\n<!-- made: rows -->\nold\n<!-- end of rows -->\n\nB\n"
    page = filled(text, RESULTS, {"rows": lambda: "| a |"}, "page")
    assert page == "# A\n\n<!-- made: rows -->\n| a |\n<!-- end of rows -->\n\nB\n"
    assert filled(page, RESULTS, {"rows": lambda: "| a |"}, "page") == page


@pytest.mark.slow
@pytest.mark.skipif(find_spec("sphinx") is None, reason="Sphinx is not installed: pip install -e .[docs]")
def test_the_site_builds_without_a_warning_and_a_broken_link_is_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html"]
    subprocess.run([*command, str(ROOT / "docs"), str(tmp_path / "site")], check=True, timeout=300)
    assert "What the verdicts mean" in (tmp_path / "site/verdicts.html").read_text(encoding="utf-8")
    small = tmp_path / "docs"
    small.mkdir()
    shutil.copy(ROOT / "docs/conf.py", small)
    (small / "index.md").write_text("# Title\n\n[nowhere](nowhere.md)\n")
    done = subprocess.run([*command, str(small), str(tmp_path / "none")], capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr


def test_the_colours_of_thin_lines_survive_beside_much_else() -> None:
    colours = [ImageColor.getrgb(colour) for colour in ARMS.values()]
    picture = Image.effect_noise((400, 300), 60).convert("RGB")
    for place, colour in enumerate(colours):
        picture.paste(colour, (0, 20 + 9 * place, 400, 21 + 9 * place))
    content = io.BytesIO()
    picture.save(content, "PNG")
    with Image.open(io.BytesIO(pictures.smaller(content.getvalue()))) as small:
        kept = small.convert("RGB")
        found = [kept.getpixel((200, 20 + 9 * place)) for place in range(len(colours))]
    for colour, seen in zip(colours, found, strict=True):
        assert isinstance(seen, tuple)
        assert max(abs(one - other) for one, other in zip(colour, seen, strict=True)) < 16
