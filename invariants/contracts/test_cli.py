"""The command `ace`: each action called in this process, its help, its exit codes, and what it writes."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ace import Core, Energy, Fixed, Gap, extract_core
from ace.cli import ACTIONS, main, make_parser, verify
from ace.plugin.options import OPTIONS
from ace.progress import Line
from ace.report.readme import BEGIN, END
from ace.report.record import document, result, write_document
from ace.study.found_core import FoundCore
from ace.tasks.by_name import TASKS
from ace.tasks.fragment.judge import judge
from ace.training.recipe import read_recipe
from ace.training.result import load_ensemble
from invariants.contracts import builders
from invariants.contracts.builders import gaussian

ROOT = Path(__file__).parents[2]
STORED = sorted((ROOT / "fixtures" / "weights").glob("agreement-small-*"))[0] / "0"


def failed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The message of a call that must end with exit code 1 and write nothing to stdout."""
    assert main([str(word) for word in words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("ace: ")
    return said.err


# --- calls, help and exit codes ---------------------------------------------------------------------------------------
HELPED = [*([action] for action in ACTIONS), *(["zoo", action] for action in ("list", "store", "obtain"))]


def help_of(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> str:
    with pytest.raises(SystemExit) as left:
        main([*words, "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", HELPED, ids=" ".join)
def test_the_help_of_every_action_ends_with_an_example_and_exit_codes(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(capsys, words)
    assert f"example:\n  ace {' '.join(words)} " in text or f"example:\n  ace {' '.join(words)}\n" in text
    assert "\nexit codes: " in text


@pytest.mark.parametrize("words", HELPED, ids=" ".join)
def test_every_example_of_a_help_text_is_a_call_that_can_be_read(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"^  (ace .*)$", help_of(capsys, words).partition("example:\n")[2], re.MULTILINE)
    assert examples
    for example in examples:
        _, *given = shlex.split(example.partition(" > ")[0])
        assert given[: len(words)] == words, example
        chosen, rest = make_parser(given[0]).parse_known_args(given)
        assert chosen.action == given[0]
        assert not rest or words == ["verify"], example
        if words == ["verify"]:  # what pytest does not know, either, is no example
            assert {word for word in rest if word.startswith("-")} <= {"-k", "-n"}, example


def test_the_help_of_the_command_has_an_example_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys, [])
    assert "example:\n  ace explain agreement.mirror\n" in text
    assert "exit codes: 0 done; 1 " in text


@pytest.mark.parametrize("words", [["steer"], ["extract"], ["verify"]], ids=" ".join)
def test_help_says_what_names_a_model_and_its_prompts(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    text = " ".join(capsys.readouterr().out.replace("-\n", "-").split())
    assert "folder, a .gguf file, a short name of `ace zoo list`, or a hub name" in text.replace("- ", "-")
    if words != ["verify"]:  # whose options have one line each, and refer to the README
        assert [name for name in TASKS if name not in text.replace("- ", "-")] == []


def test_the_help_lists_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n    {action} " in text for action in ACTIONS)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nothing"],
        ["steer", "model"],
        ["steer", "model", "prompt", "--unknown"],
        ["steer", "model", "prompt", "--tokens", "many"],
        ["--unknown", "zoo", "list"],
        ["zoo"],
        ["zoo", "list", "more"],
        ["zoo", "store"],
        ["extract", "states.npy", "sensitivities.npy"],
        ["extract", "a.npy", "b.npy", "c", "--rank", "1", "--gap"],
        ["extract", "a.npy", "b.npy", "c", "--contrast", "agreement"],
        ["extract", "a.npy", "b.npy", "c", "--out", "core.safetensors"],
        ["extract", "model"],
        ["extract", "model", "--contrast", "agreement"],
        ["extract", "model", "--out", "core.safetensors"],
        ["extract", "model", "--contrast", "agreement", "--out", "c", "--gap"],
        ["extract", "model", "--contrast", "agreement", "--out", "c", "--task", "mine"],
        ["steer", "model", "prompt", "--flip", "--keep"],
        ["steer", "model", "prompt", "--scale", "much"],
        ["report", "results.json"],
    ],
    ids=" ".join,
)
def test_a_call_that_cannot_be_read_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_help_and_wrong_calls_import_nothing_heavy() -> None:
    code = """
import sys
from ace.cli import main
for words in (["--help"], ["steer", "--help"], ["extract"], ["zoo", "--help"], ["explain", "--help"]):
    try:
        main(words)
    except SystemExit:
        pass
heavy = ("torch", "numpy", "scipy", "safetensors", "matplotlib", "pytest", "transformers")
print("heavy:", [name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout, done.stdout


def test_python_m_ace_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "ace", "zoo", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: ace zoo ")


# --- steer ------------------------------------------------------------------------------------------------------------
def test_steer_prints_text_that_agrees_beside_text_that_does_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["steer", str(STORED), "the keys near the old cabinet", "--flip", "--tokens", "40"]) == 0
    heading, _, columns, _, *rows = capsys.readouterr().out.splitlines()
    assert "AUC 1.000" in heading
    assert columns.split() == ["clean", "|", "flipped"]
    assert max(map(len, rows)) <= 100
    clean, flipped = (" ".join(row.partition("|")[side].strip() for row in rows) for side in (0, 2))
    told = [[found.agrees for found in judge(text) if found and found.agrees is not None] for text in (clean, flipped)]
    assert len(told[0]) >= 2, rows
    assert all(told[0]), rows
    assert False in told[1], rows


def test_steer_tells_which_text_it_writes_and_how_many_of_its_tokens_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int, tuple[str, int, int] | None]] = []

    class Noting(Line):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "within" and value is not None and value[0] == "tokens":
                told.append((self._title, self._steps, value))

    monkeypatch.setattr("ace.progress.Line", Noting)
    assert main(["steer", str(STORED), "the keys near the old cabinet", "--flip", "--tokens", "2"]) == 0
    assert told == [(f"{text} text", 2, ("tokens", done, 2)) for text in ("clean", "flipped") for done in (0, 1)]


def test_without_flip_steer_prints_the_clean_text_alone(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["steer", str(STORED), "the keys near the old cabinet", "--tokens", "5"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert text.startswith("the keys near the old cabinet ")
    assert "|" not in text
    assert main(words) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["./no/such/folder", "the keys"], "expected a folder"),
        ([STORED, "the keys", "--tokens", "0"], "tokens: expected"),
        ([STORED, "the keys", "--flip", "--site", "99"], "site"),
        (
            [STORED, "the keys", "--task", "no-such-file.csv"],
            "expected one of agreement-english, | no-such-file.csv",
        ),
        ([STORED, "the keys", "--dtype", "float12"], "float12"),
    ],
)
def test_steer_names_what_it_cannot_use(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = failed(capsys, "steer", *words)
    assert all(part in message for part in said.split(" | ")), message


def test_steer_gives_the_same_texts_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["steer", str(STORED), "the keys near the old cabinet", "--tokens", "5"]
    assert main([*words, "--flip", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"model", "edit", "site", "path", "rank", "auc", "auc_of", "same_model", "texts"}
    assert (found["auc_of"], found["same_model"]) == (found["model"], True)
    assert set(found["texts"]) == {"clean", "flipped"}
    assert (found["edit"], round(found["auc"], 3)) == ("flip", 1.0)
    assert main([*words, "--json"]) == 0
    clean = json.loads(capsys.readouterr().out)
    assert clean == {"model": found["model"], "texts": {"clean": found["texts"]["clean"]}}
    assert main(words) == 0
    assert capsys.readouterr().out.split() == clean["texts"]["clean"].split()


# --- extract ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def arrays(tmp_path: Path) -> Mapping[str, torch.Tensor]:
    """States and sensitivities, also in files: .npy each, and both in one .safetensors."""
    made = {"states": gaussian(0, 20, 6).float(), "sensitivities": gaussian(1, 4, 6)}
    for name, array in made.items():
        np.save(tmp_path / f"{name}.npy", array.numpy())
    save_file(dict(made), tmp_path / "both.safetensors")
    save_file({"anything": made["states"]}, tmp_path / "states.safetensors")
    return made


@pytest.mark.parametrize(
    ("words", "rule"),
    [([], Energy(0.99)), (["--rank", "2"], Fixed(2)), (["--energy", "0.5"], Energy(0.5)), (["--gap"], Gap())],
    ids=str,
)
def test_extract_writes_the_core_that_the_library_extracts(
    tmp_path: Path, arrays: Mapping[str, torch.Tensor], words: list[str], rule: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tmp_path / name) for name in ("states.npy", "sensitivities.npy", "core.safetensors")]
    assert main(["extract", *files, *words, "--site", "block 2", "--task", "mine"]) == 0
    expected = extract_core(arrays["states"], arrays["sensitivities"], rank=rule, site="block 2", task="mine")
    assert Core.load(files[-1]) == expected
    assert capsys.readouterr().out.startswith(f"{files[-1]}: {expected.dimension} of 6 dimensions by ")


def test_extract_says_as_json_what_it_wrote(
    tmp_path: Path, arrays: Mapping[str, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tmp_path / name) for name in ("states.npy", "sensitivities.npy", "core.safetensors")]
    assert main(["extract", *files, "--rank", "2", "--site", "block 2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    core = Core.load(files[-1])
    assert found.pop("sigma") == core.sigma[:3].tolist()
    assert found == {
        "core": files[-1],
        "rank": 2,
        "width": 6,
        "rule": core.rank.rule,
        "task": "",
        "site": "block 2",
    }


def test_extract_says_as_json_what_it_found_in_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "core.safetensors"
    assert main(["extract", str(STORED), "--contrast", "agreement", "--out", str(out), "--json"]) == 0
    found, stored = json.loads(capsys.readouterr().out), FoundCore.load(out)
    assert (found["core"], found["site"], found["path"]) == (str(out), stored.index, stored.path)
    assert (found["rank"], found["auc"], found["separation"]) == (
        stored.core.dimension,
        stored.auc,
        dict(stored.separation),
    )
    assert set(found["wanted"]).isdisjoint(found["other"])


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "words"])
def test_what_stdout_cannot_show_costs_nothing_else(
    as_json: bool, arrays: Mapping[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    own = tmp_path / "own.toml"
    entry = '[[expected]]\nclaim = "core.rank"\nsubject = "Größe"\nverdicts = ["FAILS"]\nreason = "why"\n'
    own.write_text(entry, encoding="utf-8")
    core = tmp_path / "Kern-für-Größe.safetensors"
    flags = ["--json"] if as_json else []
    for words in (
        ["explain", "core.rank", "--expected", own],
        ["extract", *(tmp_path / f"{name}.npy" for name in arrays), core],
    ):
        assert main([*map(str, words), *flags]) == 0
    sys.stdout.seek(0)
    text = sys.stdout.read()
    assert ("Gr\\u00f6\\u00dfe" in text and "f\\u00fcr" in text) if as_json else ("Gr??e" in text and "f?r" in text)


@pytest.mark.parametrize("states", ["both.safetensors", "states.safetensors"])
def test_arrays_may_lie_in_a_safetensors_file_alone_or_by_name(
    tmp_path: Path, arrays: Mapping[str, torch.Tensor], states: str
) -> None:
    files = [str(tmp_path / name) for name in (states, "both.safetensors", "core.safetensors")]
    assert main(["extract", *files]) == 0
    assert Core.load(files[-1]) == extract_core(arrays["states"], arrays["sensitivities"])


@pytest.mark.parametrize(
    ("states", "sensitivities", "words", "said"),
    [
        ("none.npy", "sensitivities.npy", [], "states: expected a readable .npy or .safetensors file, got "),
        ("states.npy", "text.npy", [], "sensitivities: expected a readable "),
        ("states.npy", "text.safetensors", [], "sensitivities: expected a readable "),
        ("states.npy", "objects.npy", [], "sensitivities: expected a readable "),
        ("states.npy", "words.npy", [], "sensitivities: expected a readable "),
        ("several.safetensors", "sensitivities.npy", [], "states: expected one array in "),
        ("vector.npy", "sensitivities.npy", [], "states: expected a matrix"),
        ("holed.npy", "sensitivities.npy", [], "states: expected finite"),
        ("states.npy", "wide.npy", [], "sensitivities: expected "),
        ("states.npy", "sensitivities.npy", ["--rank", "0"], "rank: expected "),
        ("states.npy", "sensitivities.npy", ["--rank", "9"], "rank: expected "),
        ("states.npy", "sensitivities.npy", ["--energy", "99"], "threshold: expected "),
    ],
)
def test_extract_names_what_it_cannot_use_and_writes_nothing(
    tmp_path: Path,
    arrays: Mapping[str, torch.Tensor],
    states: str,
    sensitivities: str,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("text.npy", "text.safetensors"):
        (tmp_path / name).write_text("no array")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    np.save(tmp_path / "vector.npy", np.ones(6))
    np.save(tmp_path / "holed.npy", builders.holed(4, 6).numpy())
    np.save(tmp_path / "wide.npy", np.ones((3, 7)))
    save_file({"a": torch.ones(2, 6), "b": torch.ones(2, 6)}, tmp_path / "several.safetensors")
    core = tmp_path / "core.safetensors"
    assert said in failed(capsys, "extract", tmp_path / states, tmp_path / sensitivities, core, *words)
    assert not core.exists()


def test_a_core_that_cannot_be_written_is_named(
    tmp_path: Path, arrays: Mapping[str, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected a place to write a core" in failed(
        capsys, "extract", tmp_path / "states.npy", tmp_path / "sensitivities.npy", tmp_path
    )


# --- verify -----------------------------------------------------------------------------------------------------------
def words_for_pytest(monkeypatch: pytest.MonkeyPatch, *words: str, code: int = 0) -> tuple[int, list[str]]:
    """Exit code, and what `ace verify` would call."""
    calls: list[list[str]] = []

    def call(command: list[str]) -> int:
        calls.append(command)
        return code

    monkeypatch.setattr(subprocess, "call", call)
    exit_code = main(["verify", *words])
    return exit_code, calls[0]


def test_readable_flags_become_options_of_the_plugin_and_the_rest_goes_to_pytest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = [
        "-k",
        "agreement.flip or x",
        "--model",
        "a b",
        "-n",
        "2",
        "--model=c",
        "--task",
        "t.csv",
        "--retrain",
        "-x",
    ]
    _, command = words_for_pytest(monkeypatch, *given, "--save-baseline", "base.json", "--tb=short")
    assert command[:3] == [sys.executable, "-m", "pytest"]
    assert command[3:] == [
        "--pyargs",
        "ace.suite",
        "--ace-model=a b",
        "--ace-model=c",
        "--ace-task=t.csv",
        "--ace-retrain",
        "--ace-save-baseline=base.json",
        *["-k", "agreement.flip or x", "-n", "2", "-x", "--tb=short"],
    ]


def test_every_option_of_the_plugin_has_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {option: [] if option.kind == "switch" else ["x"] for option in OPTIONS}
    given = [word for option, value in values.items() for word in (f"--{option.name}", *value)]
    _, command = words_for_pytest(monkeypatch, *given)
    expected = [f"{option.flag}{'=x' if value else ''}" for option, value in values.items()]
    assert command[5:] == expected


@pytest.mark.parametrize(("code", "exit_code"), [(0, 0), (1, 1), (4, 4), (5, 5), (-9, 137)])
def test_the_exit_code_is_that_of_pytest(monkeypatch: pytest.MonkeyPatch, code: int, exit_code: int) -> None:
    assert words_for_pytest(monkeypatch, code=code)[0] == exit_code


def test_without_pytest_verify_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "find_spec", lambda name: None)
    assert "pip install 'ace-invariants[test]'" in failed(capsys, "verify", "--model", "x")


def test_verify_runs_the_claims_in_a_process_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    words = ["--model", str(STORED), "--name", "small", "--json", "all.json", "-k", "agreement.behaviour"]
    assert main(["verify", "-p", "no:cacheprovider", *words]) == pytest.ExitCode.OK
    assert "verdicts: 1 HOLDS" in capfd.readouterr().out
    (entry,) = json.loads((tmp_path / "all.json").read_text())["results"]
    assert (entry["claim"], entry["subject"], entry["verdict"]) == ("agreement.behaviour", "small", "HOLDS")


def test_verdicts_on_stdout_are_clean_json_and_what_pytest_says_is_on_stderr(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    words = ["--model", str(STORED), "--name", "small", "--json", "-", "-k", "agreement.behaviour"]
    assert main(["verify", "-p", "no:cacheprovider", *words]) == pytest.ExitCode.OK
    said = capfd.readouterr()
    (entry,) = json.loads(said.out)["results"]
    assert (entry["claim"], entry["subject"], entry["verdict"]) == ("agreement.behaviour", "small", "HOLDS")
    assert "verdicts: 1 HOLDS" in said.err


def test_where_no_claim_ran_no_verdicts_come_on_stdout(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--model", str(STORED), "--json", "-", "-k", "no.such.claim"]
    assert main(["verify", "-p", "no:cacheprovider", *words]) == pytest.ExitCode.NO_TESTS_COLLECTED
    assert capfd.readouterr().out == ""


# --- zoo --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def fixtures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of fixtures with one recipe that trains in a moment; nothing is cached outside of `tmp_path`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "own"
    (folder / "recipes").mkdir(parents=True)
    lines = []
    for name, value in builders.entries().items():
        if isinstance(value, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(entry)}" for key, entry in value.items())]
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    (folder / "recipes" / "tiny.toml").write_text("\n".join(lines))
    return folder


def test_zoo_lists_recipes_and_stores_their_weights(fixtures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = read_recipe(fixtures / "recipes" / "tiny.toml")
    assert main(["zoo", "list", "--fixtures", str(fixtures)]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["tiny", recipe.address, "compact", "not", "stored"]
    for until in (2, 4):
        assert main(["zoo", "store", "tiny", "--until", str(until), "--fixtures", str(fixtures)]) == 0
        record = fixtures / "weights" / f"{recipe.address}.json"
        assert capsys.readouterr().out == f"{record}\n"
        assert load_ensemble(record, recipe).provenance["epochs"] == until
    assert main(["zoo", "list", "--fixtures", str(fixtures)]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-2:] == ["compact", "stored"]


def test_zoo_looks_for_fixtures_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["zoo", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} >= {"markov-compact", "modadd-paper", "agreement-small"}


def test_zoo_lists_as_json_what_it_lists_in_words(fixtures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = read_recipe(fixtures / "recipes" / "tiny.toml")
    assert main(["zoo", "list", "--fixtures", str(fixtures)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert main(["zoo", "list", "--json", "--fixtures", str(fixtures)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(lines)
    untried = {row["name"] for row in rows if row.get("hub") and not row["tried"]}
    assert {name for name, line in lines.items() if line.endswith("; claims not verified on it yet")} == untried
    assert rows[0] == {
        "name": "tiny",
        "kind": "recipe",
        "address": recipe.address,
        "scales": ["compact"],
        "stored": False,
    }
    models = {row["name"]: row for row in rows if row["kind"] == "model"}
    assert models["gpt2"]["hub"] == "openai-community/gpt2"
    assert models["smollm2-135m"]["hub"] is models["smollm2-135m"]["folder"] is None  # the cache is another one here


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["store", "huge"], "recipe: expected one of tiny in "),
        (["store", "tiny", "--until", "9"], "until: expected at most the recipe's 4 epochs, got 9"),
        (["store", "tiny", "--device", "tpu"], "device: expected "),
        (["store", "tiny", "--arm", "decay"], "arm: expected a recipe with arms, got 'decay' of tiny, which has none"),
        (["store", "tiny", "--arm", "decay", "--until", "3"], "--arm: expected without --until"),
        (["store", "tiny", "huge"], "got 'huge'"),
    ],
)
def test_zoo_names_what_it_cannot_use_and_stores_nothing(
    fixtures: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in failed(capsys, "zoo", *words, "--fixtures", fixtures)
    assert not (fixtures / "weights").exists()


def test_settings_that_language_models_do_not_have_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for word in (["--until", "3"], ["--device", "cpu"], ["--arm", "decay"]):
        said = failed(capsys, "zoo", "store", "agreement-small", *word, "--fixtures", ROOT / "fixtures")
        assert "agreement-small: --until, --arm and --device are not for language models" in said


def test_a_folder_without_recipes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (("list", "--fixtures", "fixtures"), ("store", "tiny")):
        words_said = failed(capsys, "zoo", *words)
        assert f"--fixtures: expected a folder with recipes, got {tmp_path}/fixtures" in words_said
    assert main(["zoo", "list"]) == 0  # real models are known anywhere
    assert "smollm2-135m" in capsys.readouterr().out


# --- report -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    write_document(path, document([result(builders.verdict("FAILS"), "seen before")]))
    return path


def test_report_writes_a_folder_and_a_texts_table_from_a_record(
    tmp_path: Path, record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "README.md"
    text.write_text(f"{BEGIN}\n{END}\n")
    assert main(["report", str(record), str(tmp_path / "report"), "--into", str(text)]) == 0
    names = ("results.json", "report.html", "report.md", "verdicts.md", "replication.md")
    written = [tmp_path / "report" / name for name in names]
    results, page, _, table, _ = written
    assert capsys.readouterr().out == "".join(f"{path}\n" for path in (*written, text))
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert results.read_bytes() == record.read_bytes()
    for path in (table, text):
        assert "| FAILS (as documented) |" in path.read_text()


def test_report_may_redraw_the_folder_that_the_record_lies_in(tmp_path: Path, record: Path) -> None:
    before = record.read_bytes()
    assert main(["report", str(record), str(tmp_path)]) == 0
    assert record.read_bytes() == before
    assert (tmp_path / "verdicts.md").exists()


def test_report_names_what_it_cannot_use(tmp_path: Path, record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "none.json: expected a readable JSON document" in failed(capsys, "report", tmp_path / "none.json", tmp_path)
    assert "results.json" in failed(capsys, "report", record, record)
    entries = json.loads(record.read_text())
    del entries["results"][0]["controls"]
    record.write_text(json.dumps(entries))
    assert "results[0]: missing controls" in failed(capsys, "report", record, tmp_path / "report")
    assert not (tmp_path / "report").exists()
