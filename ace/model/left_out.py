"""Blocks that need not run: those above a site where its state is only read, those below it where its state is given.

Names and order only say which blocks might be left out. They are, where a run without them gives the very same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ace.errors import AceError, SiteError
from ace.model.partial_runs import passing_on, returned_tuples
from ace.model.sites import Site, find_sites

Ends = tuple[tuple[str, bool], ...]  # modules' names, and whether each returns a tuple that begins with its state


@dataclass(frozen=True)
class LeftOut:
    """Blocks of one model that need not run for one site.

    Attributes:
        to_read: where the state at the site is only read.
        to_run: where the state is given at all its positions.
    """

    to_read: Ends = ()
    to_run: Ends = ()


@contextmanager
def without(model: nn.Module, blocks: Ends) -> Iterator[None]:
    """Inside, these blocks hand on what they get."""
    with passing_on(model, [name for name, _ in blocks], [in_tuple for _, in_tuple in blocks]):
        yield


def find_left_out(
    model: nn.Module, site: Site, run: Callable[[], Tensor], read: Callable[[], Tensor], given: Callable[[], Tensor]
) -> LeftOut:
    """Which blocks can be left out, told by runs on a few inputs.

    Args:
        run: gives the outputs.
        read: gives the state at the site.
        given: gives the outputs after the state at the site was replaced by itself.
    """
    try:
        anatomy = find_sites(model)
    except SiteError:
        return LeftOut()
    places = [place.path for place in anatomy.sites]
    if site.path not in places:
        return LeftOut()
    tuples: list[bool] = []
    with returned_tuples(model, anatomy, tuples):
        outputs = run()
    if len(tuples) != len(anatomy.blocks):  # a block that runs twice, or not at all
        return LeftOut()
    index, ends = places.index(site.path), tuple(zip(anatomy.blocks, tuples, strict=True))
    return LeftOut(
        ends[index:] if _is_same(model, ends[index:], read, read()) else (),
        ends[:index] if _is_same(model, ends[:index], given, outputs) else (),
    )


def _is_same(model: nn.Module, blocks: Sequence[tuple[str, bool]], run: Callable[[], Tensor], wanted: Tensor) -> bool:
    try:
        with without(model, tuple(blocks)):
            came = run()
    except AceError:
        return False
    return torch.equal(came, wanted)
