"""One thread for each test: tiny products gain nothing from more, and on busy cores threads wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from invariants.contracts.runs import run, suite

__all__ = ["run", "suite"]  # fixtures


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
