"""What `ace verify --plan` says: sizes from a configuration alone, constants that the record gives, clean output."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split as Cut
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ace import registry
from ace.cli import main
from ace.cli.plan import error_of
from ace.errors import ArtifactError
from ace.families.agreement import luck
from ace.files import read_json
from ace.study.language_subjects import AGREEMENT
from ace.study.prompt_seeds import TWINS
from ace.study.prompts import SIZES
from ace.tasks.base import Split
from ace.tasks.by_name import ENGLISH, TASKS
from ace.zoo.plan import REFERENCES, constants, load_of, make_plan, memory_of, on_gpu
from ace.zoo.shape import Shape, find_shape, shape_of
from ace.zoo.speed import Speed, measure_speed
from invariants.bench import scale
from invariants.bench.random_models import Counting, as_if_it_agreed, random_model
from invariants.bench.scale import RECORD, SCHEMA
from invariants.bench.scale_fit import fitted, shape_in

ROOT = Path(__file__).parents[2]
SPEED = Speed(1e10, 1e-6, "cpu", "float32", 1)
LLAMA = LlamaConfig(
    vocab_size=300,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=48,
    tie_word_embeddings=True,
)
GPT2 = GPT2Config(vocab_size=300, n_embd=32, n_layer=2, n_head=4, n_positions=64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration and nothing else."""
    LLAMA.save_pretrained(tmp_path)
    return tmp_path


# --- sizes ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "kind"), [(LLAMA, LlamaForCausalLM), (GPT2, GPT2LMHeadModel)], ids=["llama", "gpt2"]
)
def test_sizes_are_those_of_the_model_that_a_configuration_makes(config: Any, kind: type[Any]) -> None:
    model, shape = kind(config), shape_of("x", config)
    assert shape.weights == sum(part.numel() for part in model.parameters())
    blocks: Any = model.model.layers if kind is LlamaForCausalLM else model.transformer.h
    assert (shape.blocks, shape.width, shape.vocabulary) == (len(blocks), 32, 300)
    assert shape.block_weights == sum(part.numel() for part in blocks[0].parameters())
    assert shape.stored == (2 * 2 * 8 if kind is LlamaForCausalLM else 2 * 32)


def test_a_configuration_is_enough_and_no_weight_is_read(folder: Path) -> None:
    assert {path.suffix for path in folder.iterdir()} == {".json"}
    assert find_shape(str(folder)) == replace(shape_of("x", LLAMA), name=str(folder))


@pytest.mark.parametrize(("dtype", "each"), [("auto", 4), ("float32", 4), ("bfloat16", 2), ("float16", 2)])
def test_a_dtype_says_how_many_bytes_a_weight_has(dtype: str, each: int, folder: Path) -> None:
    shape = find_shape(str(folder), dtype=dtype)
    assert (shape.dtype, shape.bytes_each) == ("float32" if dtype == "auto" else dtype, each)


def test_what_has_no_configuration_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtifactError, match="model: expected a configuration at"):
        find_shape(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match=r"model: expected a folder at './nosuch', found none"):
        find_shape("./nosuch")
    with pytest.raises(ArtifactError, match=r"model: expected a GGUF file at 'nope.gguf', found none"):
        find_shape("nope.gguf")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ArtifactError, match="found none: ace zoo obtain smollm2-135m"):
        find_shape("smollm2-135m")


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        (REFERENCES[0], {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336, "heads": 32}),
        (REFERENCES[1], {"hidden_size": 8192, "num_hidden_layers": 80, "intermediate_size": 28672, "heads": 64}),
    ],
    ids=["8B", "70B"],
)
def test_the_large_models_that_are_compared_with_have_llama_3s_sizes(shape: Shape, sizes: dict[str, int]) -> None:
    heads = sizes.pop("heads")
    config = LlamaConfig(vocab_size=128256, num_attention_heads=heads, num_key_value_heads=8, **sizes)  # type: ignore[arg-type]
    assert shape_of(shape.name, config, "bfloat16") == shape


# --- what is fitted ---------------------------------------------------------------------------------------------------
def test_the_constants_are_those_that_the_record_gives() -> None:
    found = fitted(read_json(RECORD, SCHEMA))
    assert found.keys() == constants().keys()
    for name in ("schema", "command", "base", "error"):
        assert found[name] == constants()[name], name
    assert found["cost"] == pytest.approx(constants()["cost"], rel=1e-6)
    assert found["claims"].keys() == constants()["claims"].keys()
    for name, one in constants()["claims"].items():
        mine = found["claims"][name]
        assert mine.keys() == one.keys() == {"least", "most", "constant"}
        assert mine["constant"] == pytest.approx(one["constant"], rel=1e-6), name
        for extent in ("least", "most"):
            assert mine[extent].keys() == one[extent].keys()
            for kind, factors in one[extent].items():
                assert mine[extent][kind] == pytest.approx(factors, rel=1e-6), (name, extent, kind)


def test_real_models_in_the_record_were_measured_claim_by_claim() -> None:
    for one in read_json(RECORD, SCHEMA)["real"].values():
        assert set(one) == {"shape", "claims", "peak", "speed"}
        assert set(one["claims"]) == set(constants()["claims"])


def test_measuring_random_models_anew_keeps_the_real_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {"claims": {"agreement.mirror": {"seconds": 1.0}}}
    monkeypatch.setattr(scale, "RECORD", tmp_path / "scale.json")
    monkeypatch.setattr(scale, "process", lambda *words: measured)
    for words in (["measure"], ["real", "one"], ["measure"]):
        assert scale.main(words) == 0
    record = read_json(tmp_path / "scale.json", SCHEMA)
    assert record["real"] == {"one": measured}
    assert record["models"] == [measured] * len(scale.SIZES)


def test_every_claim_about_a_language_model_is_in_the_estimate() -> None:
    assert set(constants()["claims"]) == {claim.id for claim in registry().values() if claim.about == AGREEMENT}


def test_estimates_are_near_what_was_measured_of_the_models_they_are_fitted_to() -> None:
    load = load_of(TASKS[ENGLISH])
    for model in read_json(RECORD, SCHEMA)["models"]:
        plan = make_plan(shape_in(model), load, Speed(**model["speed"]))
        measured = sum(one["seconds"] for one in model["claims"].values())
        assert plan.seconds[0] == pytest.approx(measured, rel=0.5)
        assert plan.peak == pytest.approx(model["peak"], rel=0.25)


def test_time_and_memory_grow_with_blocks_width_vocabulary_and_prompts() -> None:
    load = load_of(TASKS[ENGLISH])
    small = Shape("small", 12, 768, 50_000, 12 * 768**2, 12 * 12 * 768**2, 1536, "float32")
    least, peak = make_plan(small, load, SPEED).seconds[0], make_plan(small, load, SPEED).peak
    for name, factor in (("blocks", 2), ("block_weights", 2), ("vocabulary", 4)):
        larger = make_plan(replace(small, **{name: factor * getattr(small, name)}), load, SPEED)
        assert larger.seconds[0] > least, name
        assert larger.peak >= peak, name
    fewer = make_plan(small, replace(load, extraction=20, selection=20, evaluation=20), SPEED)
    assert fewer.seconds[0] < least
    assert fewer.peak < peak
    every = make_plan(small, load, SPEED)
    assert all(0 <= low <= high for low, high in every.claims.values())
    assert make_plan(small, load, replace(SPEED, flops=1e12, operation=1e-7)).seconds[0] < least


def test_on_a_gpu_weights_are_there_once_and_nothing_of_main_memory_counts() -> None:
    load = load_of(TASKS[ENGLISH])
    shape = REFERENCES[0]
    weights = 2 * shape.weights
    on_cpu, on_mac, there = (memory_of(shape, load, device, 10**9) for device in ("cpu", "mps", "cuda"))
    assert on_mac == on_cpu
    assert sum(on_cpu.values()) - sum(there.values()) == weights + 10**9
    size, fits = on_gpu(make_plan(shape, load, SPEED))
    assert size == sum(there.values())
    assert weights < size < 24e9
    assert fits == "one GPU of 24 GB"


# --- measuring --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("all_draws", "twins"), [(False, TWINS), (True, luck.MOST)])
def test_the_most_counts_as_many_untrained_twins_as_there_may_be(all_draws: bool, twins: int) -> None:
    def tried(auc: float) -> int:
        return len(luck.reach_of_luck(lambda index: auc, 0.7)[1])

    near, far = 0.62, 0.51  # luck that reaches about to the bound, and luck that does not
    with as_if_it_agreed(all_draws):
        assert tried(near) == tried(far) == twins
    assert tried(far) == TWINS < tried(near)


def test_products_are_counted_exactly_and_those_of_the_vocabulary_apart() -> None:
    first, head = nn.Linear(8, 16, bias=False), nn.Linear(16, 50, bias=False)
    with torch.no_grad(), Counting(50) as counting:
        head(first(torch.ones(3, 8)))
    assert counting.counts["blocks"] == 2 * 3 * 8 * 16
    assert counting.counts["head"] == 2 * 3 * 16 * 50
    assert counting.counts["calls"] >= 2


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_random_model_knows_the_words_of_its_prompts(architecture: str) -> None:
    language = random_model(architecture, 16, 2, 2048)
    assert language.vocabulary == 2048
    texts = TASKS[ENGLISH].prompts(Split.EVALUATION, SIZES[Split.EVALUATION]).texts
    tokens = [token for ids in language.encode_all(texts) for token in ids]
    assert tokens.count(language.tokenizer.unk_token_id) < 0.01 * len(tokens)  # those of "'s"


def test_a_machines_speed_is_measured() -> None:
    speed = measure_speed()
    assert 1e8 < speed.flops < 1e14
    assert 1e-8 < speed.operation < 1e-3
    assert (speed.device, speed.dtype) == ("cpu", "float32")


# --- the command ------------------------------------------------------------------------------------------------------
def test_a_plan_is_printed_before_anything_is_loaded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--plan", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "nothing was loaded" in text
    assert "prompts: 240 to extract from, 120 to select, 240 to evaluate" in text
    for part in (
        "memory: ",
        "weights of the twin",
        "time: ",
        "agreement.mirror",
        "how good the estimate is",
        "8B",
        "70B",
    ):
        assert part in text
    assert error_of() in " ".join(text.split())


@pytest.mark.parametrize("beside", [True, False])
def test_prompts_are_counted_by_the_tokenizer_beside_the_model_and_else_words_are_said_to_be_assumed(
    beside: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if beside:  # a token a letter
        letters = {letter: place for place, letter in enumerate(["?", *string.printable])}
        core = Tokenizer(WordLevel(letters, unk_token="?"))
        core.pre_tokenizer = Cut("", "isolated")
        PreTrainedTokenizerFast(tokenizer_object=core, unk_token="?").save_pretrained(folder)
    words = ["verify", "--plan", str(folder), "--task", "agreement-story"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert ("taking each word for one" in text) is not beside
    assert ("no tokenizer lies beside the model" in text) is not beside
    assert "of a processor to start" in text
    assert main([*words, "--json", "-"]) == 0
    plan = json.loads(capsys.readouterr().out)
    prompts = TASKS["agreement-story"].prompts(Split.EVALUATION, 240).texts
    letters_each = sum(map(len, prompts)) / len(prompts)
    words_each = sum(len(prompt.split()) + 1 for prompt in prompts) / len(prompts)
    assert plan["prompts"]["tokens"] == pytest.approx(letters_each if beside else words_each)
    # " are", " were", " is", " was": four continuations, each as long as the longest
    assert plan["prompts"]["rows"] == (4 * 5 if beside else 1)
    assert ("20.0 positions are run behind a prompt" in text) is beside
    assert plan["start"] > 0


def test_continuations_of_several_tokens_take_longer() -> None:
    load = load_of(TASKS[ENGLISH])
    shape = Shape("x", 12, 768, 50000, 7e6, 124_000_000, 1536, "float32")
    one, four = (make_plan(shape, replace(load, rows=rows), SPEED) for rows in (1.0, 4.0))
    assert 2 * one.seconds[0] < four.seconds[0] < 5 * one.seconds[0]


def test_a_plan_as_json_is_clean(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--plan", str(folder), "--json", "-"]) == 0
    plan = json.loads(capsys.readouterr().out)
    parts = {name: size for name, size in plan["memory"].items() if name != "peak"}
    assert plan["memory"]["peak"] == sum(parts.values())
    assert plan["seconds"]["least"] == pytest.approx(sum(one["least"] for one in plan["claims"].values()))
    assert main(["verify", "--plan", str(folder), "--json", str(tmp_path / "plan.json")]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "plan.json").read_text())["shape"] == plan["shape"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_products_are_timed_in_the_dtype_of_the_weights(
    dtype: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--plan", str(folder), "--dtype", dtype, "--json", "-"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["shape"]["dtype"] == plan["speed"]["dtype"] == dtype
    assert plan["shape"]["bytes_each"] == 2


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_a_cpu_is_one_device_however_it_is_called(
    device: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--plan", str(folder), "--device", device, "--json", "-"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["speed"]["device"] == "cpu"
    assert plan["memory"]["python and its libraries"] > 0


def test_a_task_of_fewer_prompts_takes_less(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, *pairs = (ROOT / "examples" / "contrasts" / "pronoun_gender.csv").read_text(encoding="utf-8").splitlines()
    fewer = tmp_path / "pronoun_gender.csv"
    fewer.write_text("\n".join([header, *(line for line in pairs if line.endswith(",0"))]), encoding="utf-8")
    least = []
    for words in ([], ["--task", str(fewer)]):
        assert main(["verify", "--plan", str(folder), "--json", "-", *words]) == 0
        least.append(json.loads(capsys.readouterr().out))
    assert least[1]["prompts"]["evaluation"] < least[0]["prompts"]["evaluation"]
    assert least[1]["memory"]["peak"] < least[0]["memory"]["peak"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dtype", "float12"], "dtype: expected one of auto, float32, bfloat16, float16, got 'float12'"),
        (["--device", "tpu"], "device: expected cpu or a CUDA device, got 'tpu'"),
        (["--device", "cuda:99"], "CUDA devices, got 'cuda:99'"),
        (["--task", "none.csv"], "task: expected one of agreement-english"),
    ],
)
def test_what_a_plan_cannot_use_is_named(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--plan", str(folder), *words]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "which"),
    [
        (["--models", "list.txt"], "--models"),
        (["--engine", "local"], "--engine"),
        (["--scheduler", "tcp://x:1"], "--scheduler"),
        (["--workers", "7"], "--workers"),
        (["--model", "x"], "--model"),
        (["--tokenizer", "x"], "--tokenizer"),
        (["--retrain"], "--retrain"),
        (["--compare", "base.json"], "--compare"),
        (["-k", "zzz"], "-k"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_what_a_plan_does_not_take_is_refused(
    words: list[str], which: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--plan", str(folder), *words]) == 1
    told = capsys.readouterr()
    assert f"plan: expected without {which}, which no plan takes, got both" in told.err
    assert told.out == ""
