"""Blocks are left out where that changes nothing, and only there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ace.model.intervene import Intervention
from ace.model.sites import find_sites
from ace.model.tail import Tail, find_tail
from invariants.contracts import builders

BLOCKS, WIDTH, CLASSES = 3, 6, 5


class Block(nn.Module):
    """Positions read those before them; as a tuple if asked for."""

    def __init__(self, seed: int, in_tuple: bool) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, WIDTH)
        self.in_tuple, self.runs = in_tuple, 0
        with torch.no_grad():
            for parameter in self.inner.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))

    def forward(self, states: Tensor) -> Any:
        self.runs += 1
        mixed = states + torch.tanh(self.inner(states.cumsum(dim=1) / WIDTH))
        return (mixed, None) if self.in_tuple else mixed


class Chain(nn.Module):
    """Blocks between an embedding and a head."""

    def __init__(self, in_tuple: bool = False) -> None:
        super().__init__()
        self.tokens = nn.Embedding(CLASSES, WIDTH)
        self.blocks = nn.ModuleList([Block(seed, in_tuple) for seed in range(BLOCKS)])
        self.head = nn.Linear(WIDTH, CLASSES)
        self.eval().requires_grad_(False)

    def step(self, block: nn.Module, states: Tensor) -> Tensor:
        came = block(states)
        return came[0] if isinstance(came, tuple) else came

    def forward(self, inputs: Tensor) -> Tensor:
        states = self.tokens(inputs)
        for block in self.blocks:
            states = self.step(block, states)
        logits: Tensor = self.head(states)
        return logits


class Bypassed(Chain):
    """What the first block adds reaches the head by a way of its own too."""

    def forward(self, inputs: Tensor) -> Tensor:
        embedded = self.tokens(inputs)
        first = states = self.step(self.blocks[0], embedded)
        for block in self.blocks[1:]:
            states = self.step(block, states)
        logits: Tensor = self.head(states + first - embedded)
        return logits


class Twice(Chain):
    """The last block runs first as well."""

    def forward(self, inputs: Tensor) -> Tensor:
        states = self.step(self.blocks[-1], self.tokens(inputs))
        for block in self.blocks:
            states = self.step(block, states)
        logits: Tensor = self.head(states)
        return logits


def inputs(count: int = 7) -> Tensor:
    return torch.randint(0, CLASSES, (count, 4), generator=torch.Generator().manual_seed(1))


def tail_of(model: nn.Module, index: int) -> Tail:
    return find_tail(model, find_sites(model).site(index), inputs())


def ran(model: Chain, call: Callable[[], object]) -> list[int]:
    """How often each block runs in a call."""
    blocks = [block for block in model.blocks if isinstance(block, Block)]
    before = [block.runs for block in blocks]
    call()
    return [block.runs - had for block, had in zip(blocks, before, strict=True)]


@pytest.mark.parametrize("in_tuple", [False, True])
@pytest.mark.parametrize("index", range(BLOCKS + 1))
def test_blocks_above_are_not_read_and_blocks_below_not_run(index: int, in_tuple: bool) -> None:
    model = Chain(in_tuple)
    tail = tail_of(model, index)
    states = tail.states(inputs(), 4)
    assert ran(model, lambda: tail.states(inputs(), 4)) == [int(block < index) for block in range(BLOCKS)]
    if tail.head is None:
        assert ran(model, lambda: tail.from_states(inputs(), states)) == [int(k >= index) for k in range(BLOCKS)]
    torch.testing.assert_close(tail.from_states(inputs(), states), model(inputs()))


@given(rank=st.integers(1, WIDTH - 1), index=st.integers(0, BLOCKS))
def test_an_edit_gives_what_a_hook_on_the_whole_model_gives(rank: int, index: int) -> None:
    model = Chain()
    tail = tail_of(model, index)
    edit = Intervention(builders.core(rank, WIDTH), "flip").apply
    (came,) = tail.outputs(inputs(), tail.states(inputs(), 4), 4, edit)
    path = model.get_submodule(tail.site.path)
    handle = path.register_forward_pre_hook(lambda module, arguments: (edit(arguments[0]),))
    wanted = model(inputs())
    handle.remove()
    torch.testing.assert_close(came, wanted)


def test_blocks_that_reach_the_outputs_by_another_way_run() -> None:
    model = Bypassed()
    tail = tail_of(model, 2)
    states = tail.states(inputs(), 4)
    assert tail.left_out.to_run == ()
    assert ran(model, lambda: tail.from_states(inputs(), states)) == [1, 1, 1]
    torch.testing.assert_close(tail.from_states(inputs(), states), model(inputs()))


def test_blocks_that_run_out_of_order_run() -> None:
    tail = tail_of(Twice(), 1)
    assert (tail.left_out.to_read, tail.left_out.to_run) == ((), ())


def test_some_positions_given_are_no_reason_to_leave_blocks_out() -> None:
    # What stands at the others comes from below.
    model = Chain()
    tail = tail_of(model, 1)
    last = tail.states(inputs(), 4)[:, -1:]
    torch.testing.assert_close(tail.from_states(inputs(), last), model(inputs()))
    assert ran(model, lambda: tail.from_states(inputs(), last)) == [1, 1, 1]
