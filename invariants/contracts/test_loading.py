"""Language models from folders: in any precision, placed by accelerate, without the hub, and refused with a reason."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from ace.errors import ArtifactError, InputError, SiteError
from ace.model.continuation import encode_prompts
from ace.model.language import LanguageModel, load_language_model, wrap_model
from ace.model.prefix import PrefixRun
from ace.model.quiet import quiet_transformers
from invariants.contracts import families

SHARED = Path(__file__).parents[3] / "shared"
NAMES = ("gpt2", "gpt-neo", "gpt-neox", "opt", "llama-tied", "gemma2")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved models by family, each with its tokenizer."""
    root = tmp_path_factory.mktemp("models")
    for name in NAMES:
        save(families.language(families.family(name)).model, root / name)
    return root


def save(model: Any, folder: Path, *, tokenizer: bool = True) -> Path:
    with quiet_transformers():
        model.save_pretrained(folder)
        if tokenizer:
            families.tokenizer().save_pretrained(folder)
    return folder


def base(language: LanguageModel) -> torch.Tensor:
    (group,) = encode_prompts(language, families.prompts(families.SINGLE, families.TEXTS[:2]))
    return PrefixRun(language, group).base


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_folder_is_the_model_that_was_saved(
    folders: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    saved = families.language(families.family(name))
    for options in ({}, {"dtype": "float32"}, {"device": "cpu"}, {"device_map": "cpu"}, {"device_map": {"": "cpu"}}):
        language = load_language_model(folders / name, **options)
        assert language.anatomy == saved.anatomy
        assert torch.equal(base(language), base(saved))
        assert not any(parameter.requires_grad for parameter in language.model.parameters())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_loaded_and_scored_in_float32(folders: Path, dtype: str) -> None:
    language = load_language_model(folders / "gpt2", dtype=dtype)
    assert language.model.get_parameter("lm_head.weight").dtype == getattr(torch, dtype)
    found, wanted = base(language), base(families.language(families.family("gpt2")))
    assert found.dtype == torch.float32
    eps = torch.finfo(getattr(torch, dtype)).eps
    assert float((found - wanted).abs().max()) <= 16 * eps * (1 + float(wanted.abs().max()))


def test_a_folder_is_loaded_without_the_hub(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Offline is read when the hub's client is imported, so in a process of its own, with no socket to be had.
    code = (
        "import socket, sys\n"
        "def refuse(*arguments, **named): raise AssertionError('asked the network')\n"
        "socket.socket.connect = refuse\n"
        "from ace.model.language import load_language_model\n"
        "print(load_language_model(sys.argv[1]).anatomy.head)\n"
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(folders / "gpt2")], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("lm_head\n", "", 0)


def test_quiet_ends_with_its_body() -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with quiet_transformers():
        assert not logging.is_progress_bar_enabled()
    with pytest.raises(KeyError), quiet_transformers():
        raise KeyError
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


# --- refused ----------------------------------------------------------------------------------------------------------
def refused(words: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises(ArtifactError) as raised:
        load_language_model(*arguments, **options)
    for word in words.split(" | "):
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused("model: expected a folder | nowhere", tmp_path / "nowhere")
    refused("model: expected a folder | ./nowhere", "./nowhere")
    refused("model: expected a folder", "one/two/three")


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    refused(f"model: expected a causal language model | {tmp_path}", tmp_path)


def test_a_folder_without_a_tokenizer_is_refused_unless_one_is_named(folders: Path, tmp_path: Path) -> None:
    for name in ("gpt2", "llama-tied", "opt"):
        bare = save(families.language(families.family(name)).model, tmp_path / name, tokenizer=False)
        refused(f"tokenizer: expected one | {bare}", bare)
        assert load_language_model(bare, tokenizer=folders / name).name == str(bare)
    refused("tokenizer: expected a folder | nowhere", folders / "gpt2", tokenizer=tmp_path / "nowhere")


def test_truncated_weights_are_refused(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders / "gpt2", tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    refused("model | cut", tmp_path / "cut")


def test_missing_weights_are_refused_and_not_made_up(folders: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folders / "gpt2", tmp_path / "holed")
    weights = tmp_path / "holed" / "model.safetensors"
    kept = {name: value for name, value in load_file(weights).items() if ".h.2.mlp.c_proj" not in name}
    save_file(kept, weights, metadata={"format": "pt"})
    refused("model: expected all weights of GPT2LMHeadModel | h.2.mlp.c_proj.bias", tmp_path / "holed")


def bert(*, is_decoder: bool = False) -> hf.BertConfig:
    return hf.BertConfig(
        vocab_size=len(families.tokenizer()),
        max_position_embeddings=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=20,
        is_decoder=is_decoder,
    )


def test_models_that_are_no_causal_language_models_are_refused(tmp_path: Path) -> None:
    config = bert()
    refused("model: expected all weights of", save(hf.BertModel(config), tmp_path / "encoder"))
    refused("model: expected a causal one | looks ahead", save(hf.BertForMaskedLM(config), tmp_path / "masked"))
    sizes: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 20, "num_layers": 2, "num_heads": 2}
    t5 = hf.T5Config(**sizes | {"vocab_size": 40, "decoder_start_token_id": 0})
    refused("model: expected a causal", save(hf.T5ForConditionalGeneration(t5), tmp_path / "pairs"))


def test_a_model_with_more_between_its_blocks_and_its_head_than_a_norm_is_refused(tmp_path: Path) -> None:
    config = bert(is_decoder=True)
    folder = save(hf.BertLMHeadModel(config), tmp_path / "bert")
    with pytest.raises(SiteError, match=r"expected cls\.predictions\.decoder to read what bert\.encoder\.layer\.1"):
        load_language_model(folder)


class Scaled(torch.nn.Linear):
    """A linear map by its class that does more: what adapters and quantised weights are."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(states)


def whole(head: torch.nn.Linear) -> torch.nn.Linear:
    """The same with weights that are no fractions."""
    head.weight = torch.nn.Parameter(head.weight.round().to(torch.int8), requires_grad=False)
    return head


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda head: Scaled(head.in_features, head.out_features), "got Scaled that gives something else"),
        (whole, "got Linear with a weight in torch.int8"),
    ],
    ids=["scaled", "quantised"],
)
def test_a_head_that_is_more_than_its_weight_is_refused(change: Any, words: str) -> None:
    model: Any = families.family("llama").make()
    model.lm_head = change(model.lm_head)
    with pytest.raises(SiteError, match=f"lm_head: expected a head that multiplies by its weight.*{words}"):
        wrap_model(model, families.tokenizer(), "strange")


def test_a_head_with_nan_is_no_matter_of_structure() -> None:
    model: Any = families.family("llama").make()
    with torch.no_grad():
        model.lm_head.weight[:, 1] = torch.nan
    language = wrap_model(model, families.tokenizer(), "broken")
    with pytest.raises(InputError, match="NaN"):
        base(language)


def test_a_tokenizer_of_another_model_is_found_out_when_it_gives_an_id_too_large() -> None:
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=8, n_positions=8, n_embd=8, n_layer=1, n_head=1))
    language = wrap_model(model, families.tokenizer(), "small")
    with pytest.raises(InputError, match=r"outside the model's 8: another tokenizer\?"):
        language.encode("the key were")


def test_a_text_longer_than_the_model_reads_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    language = families.language(families.family("gpt2"))
    assert len(language.encode("the" + (families.POSITIONS - 2) * " key")) == families.POSITIONS
    with pytest.raises(InputError, match=f"at most the model's {families.POSITIONS} tokens, got 33"):
        language.encode("the" + (families.POSITIONS - 1) * " key")
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not SHARED.exists(), reason="no shared/ with a real model beside the repository")
def test_a_real_model_is_loaded(capfd: pytest.CaptureFixture[str]) -> None:
    language = load_language_model(SHARED / "models" / "stories260k")
    assert len(language.anatomy.sites) == 6
    assert language.anatomy.norm == "model.norm"
    assert capfd.readouterr() == ("", "")
