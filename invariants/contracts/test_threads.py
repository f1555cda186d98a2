"""Small work keeps to one thread, and whatever happens gives the others back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from ace.threads import fair_share, one_thread, threads


@pytest.fixture
def three() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three")
def test_threads_come_back_after_the_work_and_after_an_error() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(RuntimeError, match="broken"), one_thread():
        raise RuntimeError("broken")
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three")
def test_processes_side_by_side_share_the_threads() -> None:
    assert [fair_share(workers) for workers in (1, 2, 3, 8)] == [3, 1, 1, 1]
    with threads(2):
        assert fair_share(1) == 2
