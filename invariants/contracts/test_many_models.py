"""`ace verify --models`: many models in processes of their own, one record, gone on with after any stop."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ace.cli import main, verify_many
from ace.cli.verify_many import FAMILY, Job, family_claims, read_models
from ace.engine import Engine
from ace.errors import ArtifactError, InputError
from ace.exits import NO_VERDICT
from ace.files import locked

WEIGHTS = Path(__file__).parents[2] / "fixtures" / "weights"
SMALL = sorted(path.parent for path in WEIGHTS.glob("agreement-small-*/*/config.json"))[:2]


def listed(folder: Path, *models: object) -> Path:
    path = folder / "models.txt"
    path.write_text("# checkpoints\n\n" + "".join(f"{model}  # one\n" for model in models))
    return path


def test_models_are_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert read_models(listed(tmp_path, tmp_path / "here", "gpt2")) == (str((tmp_path / "here").resolve()), "gpt2")
    with pytest.raises(InputError, match=r"line 4: expected each model once, got gpt2 of line 3 again"):
        read_models(listed(tmp_path, "gpt2", "gpt2"))
    with pytest.raises(InputError, match="expected a model a line, got none"):
        read_models(listed(tmp_path))
    with pytest.raises(InputError, match="expected a readable file"):
        read_models(tmp_path / "none.txt")


def test_calls_that_make_no_sense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = listed(tmp_path, "gpt2")
    for words, expected in (
        ((), "expected with --json FILE"),
        (("--json", "-"), "expected with --json FILE"),
        (("--json", "a.json", "--model", "gpt2"), "expected without --model, which speaks of one run"),
        (("--json", "a.json", "--compare", "b.json"), "expected without --compare"),
        (("--json", "a.json", "--engine", "dask"), "expected the address of a cluster's scheduler"),
    ):
        assert main(["verify", "--models", str(models), *words]) == 1
        assert expected in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--engine", "local"], ["--scheduler", "tcp://x:1"], ["--workers", "2"]])
def test_what_shares_out_models_is_refused_without_them(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--model", "gpt2", *words]) == 1
    assert f"{words[0][2:]}: expected with --models FILE" in capsys.readouterr().err


def fake(code: int = 0) -> Any:
    """A run of pytest that gives a record at once, and notes its job."""

    def run(job: Job) -> dict[str, Any]:
        fake.seen.append(job.name)  # type: ignore[attr-defined]
        if "broken" in job.models:
            return {"code": 4, "said": "no such model"}
        row = {"claim": "agreement.flip", "subject": job.name, "verdict": "HOLDS"}
        return {"code": code, "document": {"schema": 2, "subjects": {job.name: {"task": "a"}}, "results": [row]}}

    fake.seen = []  # type: ignore[attr-defined]
    return run


def verified(models: Sequence[str], record: Path) -> int:
    return verify_many.verify_many(models, ["-q"], record, Engine(workers=1))


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "all.json"
    monkeypatch.setattr(verify_many, "_run", fake())
    assert verified(["b", "a"], record) == 0
    assert fake.seen == ["b", "a", FAMILY]  # type: ignore[attr-defined]
    assert [row["subject"] for row in json.loads(record.read_text())["results"]] == ["a", "b", FAMILY]
    assert set(json.loads(record.read_text())["subjects"]) == {"a", "b", FAMILY}
    monkeypatch.setattr(verify_many, "_run", fake(1))
    assert verified(["b", "a"], record) == 0
    assert fake.seen == []  # type: ignore[attr-defined]
    assert verified(["b", "a", "c"], record) == 1  # c is new, and so are all of them together
    assert fake.seen == ["c", FAMILY]  # type: ignore[attr-defined]


def test_a_model_that_changed_and_a_run_that_was_interrupted_are_verified_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, model = tmp_path / "all.json", tmp_path / "ckpt"
    model.mkdir()
    (model / "weights").write_bytes(b"one")
    monkeypatch.setattr(verify_many, "_run", fake(2))  # interrupted: pytest writes what it has
    assert verified([str(model)], record) == 2
    monkeypatch.setattr(verify_many, "_run", fake())
    assert verified([str(model)], record) == 0
    assert verified([str(model)], record) == 0
    assert fake.seen == [str(model)]  # type: ignore[attr-defined]
    (model / "weights").write_bytes(b"other")
    assert verified([str(model)], record) == 0
    assert fake.seen == [str(model), str(model)]  # type: ignore[attr-defined]


def test_a_model_without_a_verdict_is_told_and_not_verified_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_many, "_run", fake(NO_VERDICT))
    assert verified(["a"], tmp_path / "all.json") == NO_VERDICT
    monkeypatch.setattr(verify_many, "_run", fake())
    assert verified(["a"], tmp_path / "all.json") == NO_VERDICT
    assert fake.seen == []  # type: ignore[attr-defined]


def test_models_that_cannot_be_compared_with_each_other_have_verdicts_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together = fake(), fake(NO_VERDICT)
    monkeypatch.setattr(verify_many, "_run", lambda job: (together if job.name == FAMILY else alone)(job))
    assert verified(["a", "b"], tmp_path / "all.json") == 0


def test_files_of_equal_name_that_change_places_are_a_change(tmp_path: Path) -> None:
    keys = []
    for content in (("one", "three"), ("three", "one")):
        for folder, text in zip("ab", content, strict=True):
            place = tmp_path / folder / "model.safetensors"
            place.parent.mkdir(exist_ok=True)
            place.write_text(text)
            os.utime(place, ns=(len(text), len(text)))
        keys.append(Job("model", (str(tmp_path),), ()).key)
    assert keys[0] != keys[1]


def test_two_calls_do_not_write_to_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "folder" / "all.json"
    monkeypatch.setattr(verify_many, "_run", fake())
    expected = r"all.json: expected no other verification at work on it, got one that holds its lock"
    with locked(record, "verification"), pytest.raises(ArtifactError, match=expected):
        verified(["a"], record)
    assert fake.seen == []  # type: ignore[attr-defined]
    assert verified(["a"], record) == 0
    with pytest.raises(ArtifactError, match=r"x.json: expected a place where files can be made: .*/proc/x.json.lock"):
        verified(["a"], Path("/proc/x.json"))


def test_one_that_breaks_stops_no_other_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "all.json"
    monkeypatch.setattr(verify_many, "_run", fake())
    with pytest.raises(ArtifactError, match="expected verdicts of 3 runs, got none of broken, models together"):
        verified(["broken", "a"], record)
    assert "broken: no verdicts, exit code 4\nno such model" in capsys.readouterr().err
    assert [row["subject"] for row in json.loads(record.read_text())["results"]] == ["a"]
    with pytest.raises(ArtifactError):
        verified(["broken", "a"], record)
    assert fake.seen == ["broken", "a", FAMILY, "broken", FAMILY]  # type: ignore[attr-defined]


def test_the_claims_about_several_models_are_those_of_the_registry() -> None:
    assert family_claims() == "agreement.scales- or agreement.scales_within-"


@pytest.mark.slow
def test_two_models_and_what_they_share_come_to_one_record(tmp_path: Path) -> None:
    record, models = tmp_path / "all.json", listed(tmp_path, *SMALL)
    words = ["--task", "agreement", "-k", "agreement.behaviour", "-p", "no:cacheprovider"]
    main(["verify", "--models", str(models), "--json", str(record), *words])
    found = json.loads(record.read_text())
    rows = {(row["claim"], row["subject"]) for row in found["results"]}
    assert {("agreement.behaviour", str(path)) for path in SMALL} <= rows
    assert {claim for claim, _ in rows} == {"agreement.behaviour", "agreement.scales", "agreement.scales_within"}
    assert set(map(str, SMALL)) <= set(found["subjects"])
