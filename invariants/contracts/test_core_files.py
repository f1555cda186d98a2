"""Saved cores: what is not exactly what was saved is refused with a named error that tells what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors
from torch import Tensor

from ace.core import Core
from ace.core_arrays import ARRAYS
from ace.core_file import ENTRY, SCHEMA, _digest
from ace.errors import ArtifactError, InputError
from ace.extract import extract_core
from ace.rank import Full
from invariants.contracts import builders

CORE = builders.core()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a saved core."""
    path = tmp_path_factory.mktemp("core") / "core.safetensors"
    CORE.save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a doctored file goes."""
    return tmp_path_factory.mktemp("doctored") / "core.safetensors"


def forged(place: Path, arrays: dict[str, Tensor], **changes: Any) -> Path:
    """A file with a right digest and whatever else is asked for."""
    rank = {"value": CORE.dimension, "rule": CORE.rank.rule, "evidence": dict(CORE.rank.evidence)}
    document: dict[str, Any] = {"schema": SCHEMA, "rank": rank, "samples": 5, "site": "", "task": "", "split": ""}
    document |= changes
    document["sha256"] = _digest(document, arrays)
    place.write_bytes(save_safetensors(arrays, metadata={ENTRY: json.dumps(document)}))
    return place


def parts(**changes: Tensor | None) -> dict[str, Tensor]:
    """Arrays of a good core with some replaced, or removed by None."""
    whole: dict[str, Tensor | None] = {name: getattr(CORE, name).clone() for name in ARRAYS}
    whole |= {"sigma": CORE.sigma.clone(), **changes}
    return {name: array.contiguous() for name, array in whole.items() if array is not None}


def test_a_forged_file_that_is_right_in_all_parts_is_loaded(place: Path) -> None:
    assert Core.load(forged(place, parts())).rank == CORE.rank
    assert not Core.load(forged(place, parts(sigma=None))).balanced


@given(length=st.integers(0, 4000))
def test_a_truncated_file_is_refused(content: bytes, place: Path, length: int) -> None:
    place.write_bytes(content[: min(length, len(content) - 1)])
    with pytest.raises(ArtifactError, match=r"core\.safetensors: expected"):
        Core.load(place)


@settings(max_examples=200)
@given(position=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(content: bytes, place: Path, position: int, bit: int) -> None:
    changed = bytearray(content)
    changed[position % len(content)] ^= 1 << bit
    place.write_bytes(changed)
    try:
        loaded = Core.load(place)
    except ArtifactError:
        return
    assert loaded == CORE  # a space in the header may have turned into another kind of space


SKEWED = 2 * CORE.basis
RISING = CORE.sigma.flip(0)
FAULTS: dict[str, tuple[dict[str, Tensor | None], dict[str, Any], str]] = {
    "another schema": ({}, {"schema": 2}, "expected schema 1, got 2"),
    "no schema": ({}, {"schema": None}, "expected schema 1, got None"),
    "an array missing": ({"readers": None}, {}, "expected arrays mean, directions, readers, basis .* got"),
    "an array too many": ({"weights": SKEWED}, {}, "expected arrays .* got .*weights"),
    "float32": ({"basis": CORE.basis.float()}, {}, "expected basis .* in float64, got .* in torch.float32"),
    "half precision": ({"basis": CORE.basis.bfloat16()}, {}, "in float64, got .* in torch.bfloat16"),
    "NaN": ({"mean": CORE.mean * float("nan")}, {}, "expected mean .* finite"),
    "a vector": ({"basis": CORE.mean}, {}, r"expected a basis \(d, r\)"),
    "a dimension missing": ({"readers": CORE.readers[1:]}, {}, "expected readers"),
    "another width": ({"mean": CORE.mean[1:]}, {}, "expected mean"),
    "not orthonormal": ({"basis": SKEWED}, {}, "expected an orthonormal basis"),
    "not dual": (
        {"readers": 2 * CORE.readers},
        {},
        r"expected readers @ directions = identity, got it off by 1\.0e\+00",
    ),
    "not dual, no sigma": ({"readers": -CORE.readers, "sigma": None}, {}, "expected readers @ directions = identity"),
    "another span": (
        {"basis": torch.eye(8, 3, dtype=torch.float64)},
        {},
        "expected directions in the span of the basis",
    ),
    "rising sigma": ({"sigma": RISING}, {}, "expected the 3 sigma of the core positive and falling"),
    "too few sigma": ({"sigma": CORE.sigma[:2]}, {}, "expected at least 3 sigma"),
    "infinite sigma": ({"sigma": CORE.sigma / 0}, {}, "expected at least 3 sigma, finite"),
    "no rank": ({}, {"rank": None}, "expected a rank with value, rule and evidence, got None"),
    "a rank in words": ({}, {"rank": {"value": "3", "rule": "", "evidence": {}}}, "expected a rank"),
    "evidence in words": ({}, {"rank": {"value": 3, "rule": "", "evidence": {"a": "b"}}}, "expected a rank"),
    "samples in words": ({}, {"samples": "5"}, "expected samples as int, got '5'"),
    "a site in numbers": ({}, {"site": 5}, "expected site as str, got 5"),
}


@pytest.mark.parametrize(("arrays", "entries", "text"), FAULTS.values(), ids=FAULTS)
def test_a_file_that_holds_no_core_is_refused(
    arrays: dict[str, Tensor | None], entries: dict[str, Any], text: str, place: Path
) -> None:
    with pytest.raises(ArtifactError, match=rf"core\.safetensors: .*{text}"):
        Core.load(forged(place, parts(**arrays), **entries))


FOREIGN = {
    "text": b"mean = 0\n",
    "json": b'{"schema": 1}',
    "other tensors": save_safetensors({"weight": CORE.mean}),
    "other metadata": save_safetensors({"weight": CORE.mean}, metadata={"format": "pt"}),
    "no JSON": save_safetensors(parts(), metadata={ENTRY: "{"}),
    "a list": save_safetensors(parts(), metadata={ENTRY: "[]"}),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_refused(content: bytes, place: Path) -> None:
    place.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"core\.safetensors: expected"):
        Core.load(place)


def test_what_would_not_be_loaded_is_not_saved_and_the_old_file_stays(place: Path, content: bytes) -> None:
    place.write_bytes(content)
    for broken in (
        replace(CORE, basis=SKEWED),
        replace(CORE, readers=2 * CORE.readers),
        replace(CORE, site=5),  # type: ignore[arg-type]
        replace(CORE, samples=np.int64(5)),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError, match="core: expected"):
            broken.save(place)
    assert place.read_bytes() == content
    assert list(place.parent.iterdir()) == [place]


def test_a_core_of_the_full_numerical_rank_is_saved_whatever_its_condition(place: Path) -> None:
    # The smallest sigma is barely above rounding, and readers @ directions is off the identity accordingly.
    sizes = torch.logspace(0, -12, 6, dtype=torch.float64)
    turn = torch.linalg.qr(builders.gaussian(0, 6, 6)).Q
    core = extract_core(builders.gaussian(1, 40, 8), turn * sizes @ builders.gaussian(2, 6, 8), rank=Full())
    assert core.dimension == 6
    assert float((core.readers @ core.directions - torch.eye(6)).abs().max()) > 1e-6  # more than is borne of others
    core.save(place)
    assert Core.load(place) == core
