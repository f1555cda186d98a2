"""A core found once in a language model, kept in a file and used again: the same text, and only where it fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ace import Core, Intervention, extract_core, intervening, load_language_model, progress
from ace.cli import main
from ace.core_file import ENTRY, _digest, read_use
from ace.errors import ArtifactError, InputError
from ace.model.generate import continue_text, sample_likeliest
from ace.model.language import LanguageModel
from ace.model.steer import Steering, core_component
from ace.study.found_core import FoundCore, find_core
from ace.study.prompts import PromptStudy
from ace.tasks.agreement import AgreementTask
from invariants.contracts import families
from invariants.contracts.builders import gaussian

ROOT = Path(__file__).parents[2]
PLACES = [sorted((ROOT / "fixtures" / "weights").glob(f"agreement-{size}-*"))[0] / "0" for size in ("small", "large")]
SMALL, LARGE = PLACES
SIBLING = SMALL.with_name("1")  # of the same shape, trained from another seed
PROMPT = "the keys near the old cabinet"


@pytest.fixture(scope="module")
def language() -> LanguageModel:
    return load_language_model(SMALL)


@pytest.fixture(scope="module")
def found(language: LanguageModel) -> FoundCore:
    return find_core(PromptStudy(language, AgreementTask()), task="agreement")


@pytest.fixture
def path(found: FoundCore, tmp_path: Path) -> Path:
    found.save(tmp_path / "core.safetensors")
    return tmp_path / "core.safetensors"


def steered(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["steer", str(SMALL), PROMPT, "--tokens", "12", *words]) == 0
    return capsys.readouterr().out


def failed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main([str(word) for word in words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


# --- the same core, whether found now or read -------------------------------------------------------------------------
def test_a_core_is_read_back_to_the_bit(found: FoundCore, path: Path) -> None:
    again = FoundCore.load(path)
    assert again.core == found.core == Core.load(path)
    for name in ("model", "index", "path", "projector", "contrast", "auc", "separation", "weights", "tokenizer"):
        assert getattr(again, name) == getattr(found, name)
    assert again.core.rank.rule.startswith("r_suf") or again.core.rank.value == 1
    assert (again.core.task, again.core.split) == ("agreement", "extraction")


@pytest.mark.parametrize("seed", ["0", "3"])
def test_a_core_from_a_file_steers_the_text_that_a_core_found_now_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: str
) -> None:
    core = str(tmp_path / "core.safetensors")
    assert main(["extract", str(SMALL), "--contrast", "agreement", "--lower-case", "--out", core]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{core}: {SMALL}, site ")
    assert "separation (1 untouched, 0 gone, -1 mirrored): keep " in said
    now = steered(capsys, "--flip", "--seed", seed)
    assert steered(capsys, "--flip", "--seed", seed, "--core", core) == now
    assert steered(capsys, "--seed", seed, "--core", core) == now  # what a core is for, where nothing is said
    assert "| flipped" in now


@torch.no_grad()
def written_plainly(
    language: LanguageModel, prompts: Tensor, found: FoundCore, mode: str, strength: float | None
) -> Tensor:
    """The slow twin: whole passes, nothing stored."""
    generator, tokens = torch.Generator().manual_seed(5), prompts
    edit = Intervention(found.core, mode, strength=strength, projector=found.projector)
    for _ in range(6):
        with intervening(language.model, found.site_in(language), edit, position=-1):
            logits = language.model(input_ids=tokens).logits[:, -1]
        tokens = torch.cat([tokens, sample_likeliest(logits, 50, generator)], dim=1)
    return tokens


@pytest.mark.parametrize(("mode", "strength"), [("keep", None), ("remove", None), ("scale", 3.0), ("scale", -1.0)])
@pytest.mark.parametrize("index", [1, -1])
@pytest.mark.parametrize("projector", ["orthogonal", "oblique"])
def test_other_edits_are_those_of_whole_passes(
    language: LanguageModel, mode: str, strength: float | None, index: int, projector: str
) -> None:
    found = find_core(PromptStudy(language, AgreementTask()), index=index, rank=2, projector=projector)
    prompts = torch.tensor([language.encode(PROMPT)])
    steering = found.steering(language, PROMPT, mode, strength)
    came = continue_text(language, prompts, 6, torch.Generator().manual_seed(5), steering)
    assert torch.equal(came, written_plainly(language, prompts, found, mode, strength))


def test_where_a_linear_head_follows_an_edit_is_taken_as_it_is_too() -> None:
    language = families.language(families.family("opt-after"))
    site = language.anatomy.site(-1)
    assert site.linear_tail
    core = extract_core(gaussian(0, 40, families.WIDTH), gaussian(1, 3, families.WIDTH))
    steering = Steering(site, core_component(core), (1,), (2,), (0.5,), mirrors=False)
    prompts = torch.tensor([language.encode("the key near the cabinets")])
    half = Intervention(core, "scale", strength=0.5)
    came = continue_text(language, prompts, 1, torch.Generator().manual_seed(1), steering)
    with torch.no_grad(), intervening(language.model, site, half, position=-1):
        logits = language.model(input_ids=prompts).logits[:, -1]
    assert torch.equal(came[:, -1:], sample_likeliest(logits, 50, torch.Generator().manual_seed(1)))


def test_keep_remove_and_scale_are_written_beside_the_clean_text(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, heading in ((["--keep"], "kept alone"), (["--remove"], "removed"), (["--scale", "0"], "scaled")):
        assert steered(capsys, "--core", str(path), *words).splitlines()[2].split(" | ")[1] == heading


def test_site_and_rank_can_be_given_and_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    core = tmp_path / "core.safetensors"
    words = ["--contrast", "agreement", "--out", str(core), "--site", "2", "--rank", "3", "--projector", "oblique"]
    assert main(["extract", str(SMALL), *words]) == 0
    assert "rank 3 of 64, fixed 3; oblique projector" in capsys.readouterr().out
    found = FoundCore.load(core)
    assert (found.index, found.core.dimension, found.projector) == (2, 3, "oblique")


def test_a_long_call_says_how_far_it_is_on_stderr(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = steered(capsys, "--core", str(path))
    monkeypatch.setattr(progress, "DELAY", 0.001)
    monkeypatch.setattr(progress, "EACH", 0.001)
    assert main(["steer", str(SMALL), PROMPT, "--tokens", "12", "--core", str(path)]) == 0
    said = capsys.readouterr()
    assert said.out == quiet
    assert "loading the model: 1/1" in said.err


# --- what does not fit ------------------------------------------------------------------------------------------------
def test_a_core_of_another_model_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = FoundCore.load(path)
    said = failed(capsys, "steer", LARGE, PROMPT, "--core", path)
    wide = load_language_model(LARGE)
    assert f"core: expected width 160, that of {LARGE}, got 64, that of {SMALL}" in said
    elsewhere = families.language(families.family("llama"))
    with pytest.raises(InputError, match=rf"core: expected one at a site of .*, got one at the input of {found.path}"):
        found.site_in(elsewhere)
    with pytest.raises(InputError, match="core: expected width"):
        found.steering(wide, PROMPT, "flip")


def test_a_core_is_used_in_another_model_of_the_same_shape_only_where_any_will_do(
    found: FoundCore, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = failed(capsys, "steer", SIBLING, PROMPT, "--core", path)
    assert f"core: expected one of {SIBLING}, got one found in {SMALL} with other weights or dtype: SHA-256" in said
    assert "--any-model uses it all the same" in said
    words = ["steer", str(SIBLING), PROMPT, "--core", str(path), "--tokens", "3", "--any-model"]
    assert main(words) == 0
    heading = capsys.readouterr().out.splitlines()[0]
    assert heading.startswith(f"{SIBLING}, site ")
    assert f"AUC {found.auc:.3f} measured in {SMALL}; found in {SMALL} with other weights" in heading
    assert main([*words, "--json"]) == 0
    axis = json.loads(capsys.readouterr().out)
    assert (axis["model"], axis["auc_of"], axis["same_model"]) == (str(SIBLING), str(SMALL), False)
    sibling = load_language_model(SIBLING)
    with pytest.raises(InputError, match=r"core: expected one of .* got one found in .* other weights"):
        found.steering(sibling, PROMPT, "flip")
    assert found.steering(sibling, PROMPT, "flip", any_model=True).site.path == found.path
    assert "measured in" not in steered(capsys, "--core", str(path), "--any-model")


def test_the_same_weights_under_another_name_are_the_same_model(
    found: FoundCore, language: LanguageModel, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "copied").symlink_to(SMALL)
    assert main(["steer", str(tmp_path / "copied"), PROMPT, "--core", str(path), "--tokens", "3"]) == 0
    assert "measured in" not in capsys.readouterr().out
    assert main(["steer", str(SMALL), PROMPT, "--core", str(path), "--tokens", "3", "--dtype", "bfloat16"]) == 1
    assert f"got one found in {SMALL} with other weights or dtype" in capsys.readouterr().err
    vocabulary = dict(language.tokenizer.get_vocab())
    assert found.foreign(language) is None
    other = SimpleNamespace(get_vocab=lambda: {**vocabulary, "more": len(vocabulary)})
    assert "with another tokenizer: SHA-256" in str(found.foreign(replace(language, tokenizer=other)))


def test_of_a_file_without_digests_it_is_not_known_which_model_it_is_of(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(path, {"weights": None, "tokenizer": None})
    said = failed(capsys, "steer", SMALL, PROMPT, "--core", path)
    assert f"got one found in {SMALL}, and it is not known which weights and tokenizer that had; --any-model" in said
    assert "it is not known which weights" in steered(capsys, "--core", str(path), "--any-model").splitlines()[0]


def test_a_core_without_a_contrast_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "core.safetensors"
    extract_core(gaussian(0, 20, 64), gaussian(1, 4, 64)).save(path)
    assert "expected a core with a site and a contrast, as `ace extract MODEL --contrast` writes, got one of width" in (
        failed(capsys, "steer", SMALL, PROMPT, "--core", path)
    )


def rewritten(path: Path, changes: Mapping[str, Any]) -> None:
    """The file with other entries beside the core, or without those that are None, sealed again."""
    arrays = load_file(path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    document = json.loads(header["__metadata__"][ENTRY])
    del document["sha256"]
    document["use"] = {name: value for name, value in {**document["use"], **changes}.items() if value is not None}
    document["sha256"] = _digest(document, arrays)
    save_file(arrays, path, metadata={ENTRY: json.dumps(document)})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"path": 3}, "expected path as str, got 3"),
        ({"index": True}, "expected index as int, got True"),
        ({"projector": "skew"}, "expected projector as one of orthogonal, oblique, got 'skew'"),
        ({"wanted": None}, "expected a contrast with wanted continuations, got None"),
        ({"wanted": []}, "expected a contrast: wanted: expected at least one"),
        ({"other": [[1]]}, "expected a contrast: other: "),
        ({"other": [" are"], "wanted": [" are"]}, "expected a contrast: continuations: expected different ones"),
        ({"weights": 3}, "expected weights as a SHA-256, got 3"),
        ({"separation": {"keep": 1.0}}, "expected separations under keep, remove, flip, got"),
    ],
)
def test_files_with_other_entries_are_refused(path: Path, changes: dict[str, Any], said: str) -> None:
    rewritten(path, {})
    FoundCore.load(path)
    rewritten(path, changes)
    Core.load(path)
    with pytest.raises(ArtifactError, match=said):
        FoundCore.load(path)


def test_what_is_beside_a_core_is_sealed_with_it(path: Path) -> None:
    assert read_use(path) is not None
    path.write_bytes(path.read_bytes().replace(b"orthogonal", b"ORTHOGONAL"))
    with pytest.raises(ArtifactError, match="SHA-256"):
        FoundCore.load(path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["steer", SMALL, PROMPT, "--core", "none.safetensors"], "none.safetensors: expected a saved core"),
        (["steer", SMALL, PROMPT, "--core", "CORE", "--site", "1"], "site: expected without --core"),
        (["steer", SMALL, PROMPT, "--core", "CORE", "--task", "agreement"], "task: expected without --core"),
        (["steer", SMALL, PROMPT, "--core", "CORE", "--scale", "nan"], "scale: expected a finite number, got nan"),
        (["steer", SMALL, PROMPT, "--flip", "--any-model"], "--any-model: expected with --core"),
        (["extract", SMALL, "--contrast", "none.csv", "--out", "OUT"], "contrast: expected one of agreement-english, "),
        (["extract", SMALL, "--contrast", "agreement", "--out", "no/such/folder/core"], "out: expected a file in a"),
        (["extract", "./none", "--contrast", "agreement", "--out", "OUT"], "model: expected a folder at './none'"),
        (["extract", SMALL, "--contrast", "agreement", "--out", "OUT", "--site", "9"], "site: expected 0..4, got 9"),
        (["extract", SMALL, "--contrast", "agreement", "--out", "OUT", "--site", "top"], "site: expected the index"),
        (["extract", SMALL, "--contrast", "agreement", "--out", "OUT", "--rank", "0"], "rank: expected "),
        (["extract", SMALL, "--contrast", "agreement", "--out", "OUT", "--projector", "x"], "projector: expected one"),
        (["extract", SMALL, "--contrast", "PAIRS", "--out", "OUT", "--lower-case"], "--lower-case: expected with"),
    ],
)
def test_wrong_calls_are_named_and_write_nothing(
    path: Path, words: list[object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _wrong_call(path, words, said, capsys)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["steer", SMALL, "", "--flip"], "prompt: expected a text, got ''"),
        (["steer", SMALL, " ", "--core", "CORE"], "prompt: expected a text, got ' '"),
        (["steer", SMALL, PROMPT, "--scale", "inf"], "scale: expected a finite number, got inf"),
        (["steer", SMALL, PROMPT, "--tokens", "0"], "tokens: expected an integer of at least 1, got 0"),
        (["steer", SMALL, PROMPT, "--task", "none.csv"], "task: expected one of agreement-english, "),
        (["extract", SMALL, "--contrast", "agreement", "--out", "OUT", "--rank", "0"], "rank: expected an integer of"),
        (
            ["extract", SMALL, "--contrast", "agreement", "--out", "OUT", "--projector", "obliq"],
            "projector: expected one of orthogonal, oblique, got 'obliq'",
        ),
        (["extract", SMALL, "--contrast", "no", "--out", "OUT"], "contrast: expected one of agreement-english, "),
    ],
)
def test_what_is_wrong_whatever_the_model_is_told_before_it_is_loaded(
    path: Path,
    words: list[object],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ace.zoo.named.load_language_model", lambda *given, **named: pytest.fail("loaded"))
    _wrong_call(path, words, said, capsys)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["extract", SMALL, "--contrast", "agreement", "--out", "OUT", "--rank", "500"],
            "rank: expected an integer in 1..64",
        ),
        (["extract", SMALL, "--contrast", "agreement", "--out", "OUT", "--site", "5"], "site: expected 0..4, got 5"),
        (["steer", SMALL, PROMPT, "--flip", "--tokens", "5000"], "tokens: expected at most "),
        (["steer", SMALL, 40 * PROMPT, "--flip"], "prompt: expected at most the model's "),
    ],
)
def test_what_a_loaded_model_shows_to_be_wrong_is_told_before_it_is_run(
    path: Path,
    words: list[object],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PromptStudy, "require_behaviour", lambda self, name: pytest.fail("run"))
    _wrong_call(path, words, said, capsys)


def _wrong_call(path: Path, words: list[object], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = path.with_name("pairs.csv")
    rows = [
        f"the {label} {k},{good},{bad},{label}"
        for k in range(9)
        for label, good, bad in (("a", "x", "y"), ("b", "y", "x"))
    ]
    pairs.write_text("\n".join(["prompt,good,bad,label", *rows]))
    named: dict[object, object] = {"CORE": path, "OUT": path.with_name("new.safetensors"), "PAIRS": pairs}
    assert said in failed(capsys, *(named.get(word, word) for word in words))
    assert not path.with_name("new.safetensors").exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda found, language: found.steering(language, PROMPT, "turn"), "edit: expected one of flip"),
        (lambda found, language: found.steering(language, PROMPT, "scale"), "strength: expected with scale"),
        (lambda found, language: found.steering(language, PROMPT, "flip", 1.0), "strength: expected with scale"),
    ],
)
def test_wrong_edits_are_named(
    found: FoundCore, language: LanguageModel, call: Callable[[FoundCore, LanguageModel], object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        call(found, language)


def test_a_model_that_does_not_tell_the_classes_apart_has_no_core(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = tmp_path / "pairs.csv"
    rows = [
        f"the number {k} {label},{good},{bad},{label}"
        for k in range(30)
        for label, good, bad in (("a", "red", "big"), ("b", "big", "red"))
    ]
    pairs.write_text("\n".join(["prompt,good,bad,label", *rows]))
    out = tmp_path / "core.safetensors"
    assert "does not agree" in failed(capsys, "extract", SMALL, "--contrast", pairs, "--out", out)
    assert not out.exists()
