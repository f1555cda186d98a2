"""What is installed and how: pins, ranges, what a wheel and a source archive hold, the linters' three lists."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_string
from importlib import metadata
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ace.cli import ACTIONS

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
OF_THE_BUILD = [Requirement(line) for line in PYPROJECT["build-system"]["requires"]]
OF_THE_PROJECT = [
    Requirement(line)
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in lines
    if canonicalize_name(Requirement(line).name) != PROJECT["name"]
]
PINS = [
    Requirement(line) for line in (ROOT / ".ci/constraints.txt").read_text().splitlines() if not line.startswith("#")
]
PINNED = {canonicalize_name(pin.name): Version(next(iter(pin.specifier)).version) for pin in PINS}
LINTERS = ["ruff check .", "ruff format --check .", "mypy", "lint-imports"]


def labelled(requirement: Requirement) -> list[str]:
    """The versions of a requirement that carry a local label, such as 2.13.0+cpu, which no public index offers."""
    return [part.version for part in requirement.specifier if "+" in part.version]


@pytest.mark.parametrize("requirement", [*PINS, *OF_THE_BUILD, *OF_THE_PROJECT], ids=str)
def test_no_version_carries_a_local_label_or_an_address(requirement: Requirement) -> None:
    assert labelled(requirement) == []
    assert requirement.url is None


def test_a_local_label_would_be_seen_and_a_pin_without_one_accepts_labelled_builds() -> None:
    assert labelled(Requirement("torch==2.13.0+cpu")) == ["2.13.0+cpu"]
    assert not Requirement("torch==2.13.0+cpu").specifier.contains("2.13.0")
    assert Requirement("torch==2.13.0").specifier.contains("2.13.0+cpu")


@pytest.mark.parametrize("pin", PINS, ids=str)
def test_a_constraint_is_one_exact_version_and_is_named_once(pin: Requirement) -> None:
    assert [part.operator for part in pin.specifier] == ["=="]
    assert [other.name for other in PINS if canonicalize_name(other.name) == canonicalize_name(pin.name)] == [pin.name]


@pytest.mark.parametrize("requirement", OF_THE_PROJECT, ids=str)
def test_every_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    assert requirement.specifier.contains(PINNED[canonicalize_name(requirement.name)])


def needs_of_installed() -> Iterator[tuple[str, Requirement]]:
    """What those pinned distributions need that are installed in the pinned version, public part of it."""
    for name, version in PINNED.items():
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if Version(found.version).public == version.public:
            for need in map(Requirement, found.requires or ()):
                if need.marker is None or need.marker.evaluate({"extra": ""}):
                    yield name, need


def test_what_the_pinned_distributions_need_is_pinned_too_and_fits() -> None:
    misfits = [
        f"{name} needs {need}"
        for name, need in needs_of_installed()
        # PyTorch's CUDA build needs libraries that its CPU build does not; they come in the versions that it names.
        if name != "torch" or canonicalize_name(need.name) in PINNED
        if canonicalize_name(need.name) not in PINNED
        or not need.specifier.contains(PINNED[canonicalize_name(need.name)], prereleases=True)
    ]
    assert misfits == []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel and a source archive, built from a copy with what the environment has."""
    copy = tmp_path_factory.mktemp("archives") / "copy"
    copytree(ROOT, copy, ignore=ignore_patterns(".*", "weights", "__pycache__", "*.egg-info", "build", "dist"))
    code = "from setuptools import build_meta as b; print('built', b.build_wheel('out'), b.build_sdist('out'))"
    (copy / "out").mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    wheel, source = done.stdout.splitlines()[-1].split()[1:]
    return copy / "out" / wheel, copy / "out" / source


@pytest.fixture(scope="module")
def archives(built: tuple[Path, Path]) -> tuple[set[str], set[str]]:
    """The paths in the wheel and in the source archive."""
    with zipfile.ZipFile(built[0]) as of_wheel, tarfile.open(built[1]) as of_source:
        names = {Path(member.name) for member in of_source.getmembers() if member.isfile()}
        return set(of_wheel.namelist()), {Path(*name.parts[1:]).as_posix() for name in names}


def packaged() -> set[str]:
    """The files of the library, as paths from the root."""
    files = (path for path in (ROOT / "ace").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_the_wheel_holds_the_library_with_its_marker_of_types_and_nothing_else(
    archives: tuple[set[str], set[str]],
) -> None:
    wheel, _ = archives
    information = {name for name in wheel if re.fullmatch(r"ace_invariants-[^/]+\.dist-info/.+", name)}
    assert wheel - information == packaged()
    assert "ace/py.typed" in wheel


def test_the_source_archive_holds_the_library_and_no_stray_folder(archives: tuple[set[str], set[str]]) -> None:
    _, source = archives
    assert packaged() <= source
    assert {Path(name).parts[0] for name in source if "/" in name} == {"ace", "ace_invariants.egg-info", "docs"}
    assert [name for name in source if name.startswith("docs/")] == [PROJECT["readme"]]
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"} <= source


def test_wheel_and_source_archive_say_the_same_of_themselves_and_what_the_project_says(
    built: tuple[Path, Path],
) -> None:
    with zipfile.ZipFile(built[0]) as of_wheel, tarfile.open(built[1]) as of_source:
        name = next(name for name in of_wheel.namelist() if name.endswith(".dist-info/METADATA"))
        texts = [of_wheel.read(name).decode()]
        member = next(member for member in of_source.getmembers() if Path(member.name).parts[1:] == ("PKG-INFO",))
        texts.append(unpacked.read().decode() if (unpacked := of_source.extractfile(member)) else "")
    wheel, source = map(message_from_string, texts)
    said = ("Name", "Version", "Summary", "Requires-Python", "License-Expression", "Provides-Extra", "Requires-Dist")
    for key in said:
        assert wheel.get_all(key) == source.get_all(key) != []
    assert [wheel[key] for key in said[:5]] == [
        PROJECT[key] for key in ("name", "version", "description", "requires-python", "license")
    ]
    assert set(wheel.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    plain = {Requirement(line) for line in wheel.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert plain == {Requirement(line) for line in PROJECT["dependencies"]}
    assert wheel["Description-Content-Type"] == "text/markdown"
    assert wheel.get_payload() == (ROOT / PROJECT["readme"]).read_text()


def test_what_an_index_shows_leads_to_no_file_beside_it() -> None:
    text = (ROOT / PROJECT["readme"]).read_text()
    assert relative_links(text) == []
    assert relative_links("[a](b.md) <img src='c.png'> [d](https://e.f) ![g](h/i.png)\n\n[j]: k.md\n") == [
        *("b.md", "h/i.png", "c.png", "k.md")
    ]
    assert not re.search(r"<!-- (?:n|made):", text)  # no numbers: nothing keeps them true there
    for command in re.findall(r"^ace (\S+)", text, re.MULTILINE):
        assert command in ACTIONS
    assert all(address.startswith("https://") for address in PROJECT["urls"].values())


def relative_links(text: str) -> list[str]:
    """What Markdown links to and shows that is no whole address."""
    patterns = (r"\]\(([^)\s]+)", r"(?:src|href)=[\"']([^\"']+)", r"^\[[^\]]+\]: (\S+)")
    found = [target for pattern in patterns for target in re.findall(pattern, text, re.MULTILINE)]
    return [target for target in found if not re.match(r"https?://", target)]


def test_version_changelog_and_citation_are_of_one_release() -> None:
    newest = re.search(r"^## (\S+) - ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert newest
    assert cited
    assert newest[1] == cited[1] == PROJECT["version"]


def test_every_command_is_one_that_can_be_loaded() -> None:
    for value in PROJECT["scripts"].values():
        assert callable(metadata.EntryPoint("command", value, "console_scripts").load())


def test_hooks_gate_and_tox_run_the_same_linters() -> None:
    hooks = re.findall(r"^ +entry: (.+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    gate = re.findall(r"^\.venv/bin/(.+)$", (ROOT / ".ci/run").read_text().split("lint, types")[1], re.MULTILINE)
    tox = re.findall(r"^ +lint: (.+)$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    assert hooks == gate == tox == LINTERS


def test_every_module_of_the_library_has_its_layer() -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one.get("containers") == ["ace"])
    modules = {module.name for module in pkgutil.iter_modules([str(ROOT / "ace")])}
    assert {layer.strip("()") for layer in layers} >= modules
