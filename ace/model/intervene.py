"""Keep, remove, flip and scale a core at a site; performance at every rank from one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ace.check import as_finite, as_matrix, check_choice, check_count
from ace.core import PROJECTORS, REFERENCES, Core
from ace.errors import InputError
from ace.model.sites import Site, hooked

MODES = ("keep", "remove", "flip", "scale")
GAINS: Mapping[str, float] = MappingProxyType({"remove": 0.0, "flip": -1.0})  # g of the equivalent scale(g)


@dataclass(frozen=True)
class Intervention:
    """What is done to a state h with core projector P and reference point m.

    keep: m + P (h - m). scale(g): h + (g - 1) P (h - m). remove is scale(0), flip is scale(-1).

    Attributes:
        core: the core acted on.
        mode: keep, remove, flip or scale.
        strength: g, for scale only.
        reference: `mean` of the extraction states (default), `zero`, or `resample`: the state of another row of the
            same batch, so that what replaces the core, or its complement, is on the data's distribution.
        projector: orthogonal (the paper's, default) or oblique.
        seed: chooses the other rows under `resample`.
    """

    core: Core
    mode: str
    strength: float | None = None
    reference: str = "mean"
    projector: str = "orthogonal"
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.core, Core):
            raise InputError(f"core: expected an ace.Core, got {type(self.core).__name__}")
        check_choice("mode", self.mode, MODES)
        check_choice("reference", self.reference, REFERENCES)
        check_choice("projector", self.projector, PROJECTORS)
        if (self.mode == "scale") != (self.strength is not None):
            raise InputError(f"strength: expected with mode scale and only there, got {self.mode}, {self.strength!r}")
        if self.strength is not None:
            as_finite("strength", self.strength)

    @property
    def gain(self) -> float:
        """g of the equivalent scale(g); keep has none and does not ask."""
        return GAINS.get(self.mode, self.strength if self.strength is not None else 1.0)

    def apply(self, states: Tensor) -> Tensor:
        """Edited copy of states (..., d) in their dtype; half precision is computed in float32, the rest as it comes.

        Raises:
            InputError: another width than the core's, or fewer than two rows to resample from.
        """
        if states.shape[-1] != self.core.width:
            raise InputError(f"states: expected width {self.core.width}, got {states.shape[-1]}")
        working = states.to(torch.promote_types(states.dtype, torch.float32))
        towards, read = self._factors(working)
        reference = self._reference(working)
        component = (working - reference) @ read @ towards
        edited = reference + component if self.mode == "keep" else working + (self.gain - 1.0) * component
        return edited.to(states.dtype)

    def _factors(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """(r, d) and (d, r): the component of h - m in the core is (h - m) @ second @ first."""
        if self.projector == "orthogonal":
            return self.core.basis.T.to(like), self.core.basis.to(like)
        return self.core.directions.T.to(like), self.core.readers.T.to(like)

    def _reference(self, states: Tensor) -> Tensor:
        if self.reference == "mean":
            return self.core.mean.to(states)
        if self.reference == "zero":
            return torch.zeros_like(self.core.mean).to(states)
        rows = states.shape[0]
        if states.ndim < 2 or rows < 2:
            raise InputError(f"states: expected at least 2 rows to resample from, got shape {tuple(states.shape)}")
        # A random cycle: every row gets another row's state, none its own.
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(self.seed))
        donors = torch.empty_like(order)
        donors[order] = order.roll(1)
        return states[donors.to(states.device)]


@contextmanager
def intervening(
    model: nn.Module, site: Site, intervention: Intervention, *, position: int | None = None, rows: Tensor | None = None
) -> Iterator[None]:
    """Apply an intervention to every forward pass inside the body, then leave the model as it was.

    Args:
        position: the one position edited, negative from the end; all positions by default.
        rows: (k) indices of the sequences edited; all by default. What is not addressed stays bit-identical.

    Raises:
        InputError: a position outside the sequence, rows outside the batch, or another width than the core's.
        InterventionError: the body ended and the model was never run.
    """
    if position is not None and (isinstance(position, bool) or not isinstance(position, int)):
        raise InputError(f"position: expected an integer, got {position!r}")
    if rows is not None and (not isinstance(rows, Tensor) or rows.ndim != 1 or rows.dtype != torch.int64):
        came = f"{tuple(rows.shape)} in {rows.dtype}" if isinstance(rows, Tensor) else type(rows).__name__
        raise InputError(f"rows: expected a vector (k) of int64 indices, got {came}")

    def edit(state: Tensor) -> Tensor:
        if position is None and rows is None:
            return intervention.apply(state)
        if position is not None and not -state.shape[1] <= position < state.shape[1]:
            raise InputError(f"position: expected {-state.shape[1]}..{state.shape[1] - 1}, got {position}")
        if rows is not None and (rows.numel() == 0 or int(rows.min()) < 0 or int(rows.max()) >= len(state)):
            raise InputError(f"rows: expected indices in 0..{len(state) - 1}, got {rows.tolist()[:5]}")
        where = torch.arange(len(state), device=state.device) if rows is None else rows.to(state.device)
        edited = state.clone()
        if position is None:
            edited[where] = intervention.apply(state[where])
        else:
            edited[where, position] = intervention.apply(state[where, position])
        return edited

    with hooked(model, site, edit):
        yield


@dataclass(frozen=True, eq=False)
class RankScan:
    """Which predictions are right under keep and remove at every rank.

    Attributes:
        base_hits: (n) bool, without intervention.
        keep_hits, remove_hits: (r, n) bool, row k - 1 for rank k.
    """

    base_hits: Tensor
    keep_hits: Tensor
    remove_hits: Tensor

    @property
    def base(self) -> float:
        """Accuracy without intervention."""
        return float(self.base_hits.double().mean())

    @property
    def keep(self) -> Tensor:
        """(r) float64, accuracy of keep, entry k - 1 for rank k."""
        return self.keep_hits.double().mean(dim=1)

    @property
    def remove(self) -> Tensor:
        """(r) float64, accuracy of remove."""
        return self.remove_hits.double().mean(dim=1)

    @property
    def count(self) -> int:
        """Predictions behind each accuracy."""
        return len(self.base_hits)


def rank_scan(
    states: Tensor,
    targets: Tensor,
    weight: Tensor,
    bias: Tensor,
    core: Core,
    *,
    reference: str = "mean",
    projector: str = "orthogonal",
    chunk: int = 4096,
) -> RankScan:
    """Hits of keep and remove at every rank 1..r of a core whose site feeds a linear head, from one pass.

    Each rank adds one rank-one update to the logits of keep, and takes it from those of remove, so the whole scan costs
    O(n (d r + r v)) instead of one evaluation a rank.

    Args:
        states: (n, d) at the site. targets: (n) class ids. weight: (v, d) and bias: (v) of the head.
        core: extracted with the largest rank wanted; rank k is its leading k dimensions.
        reference: mean or zero. projector: orthogonal or oblique.

    Raises:
        InputError: shapes that do not fit each other, NaN or infinity, or a reference that has no one value.
    """
    check_choice("reference", reference, ("mean", "zero"))
    check_choice("projector", projector, PROJECTORS)
    matrix = as_matrix("states", states, width=core.width)
    head = as_matrix("weight", weight, width=core.width)
    if targets.shape != (len(matrix),):
        raise InputError(f"targets: expected shape ({len(matrix)},), got {tuple(targets.shape)}")
    if bias.shape != (len(head),):
        raise InputError(f"bias: expected shape ({len(head)},), got {tuple(bias.shape)}")
    check_count("chunk", chunk)
    towards = core.basis if projector == "orthogonal" else core.directions
    read = core.basis if projector == "orthogonal" else core.readers.T
    middle = core.mean if reference == "mean" else torch.zeros_like(core.mean)
    steps = (head @ towards).T  # (r, v): what one unit along each direction adds to the logits
    offset = as_finite("bias", bias)
    start = head @ middle + offset
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None, None]  # keep gains what remove loses
    signed = (signs * steps).transpose(0, 1)[..., None].contiguous()  # (r, 2, v, 1)
    parts = []
    for part, wanted in zip(matrix.split(chunk), targets.split(chunk), strict=True):
        # Logits lie class by class, (mode, v, n): the maximum over classes then runs along contiguous rows.
        base = torch.addmm(offset[:, None], head, part.T)
        logits = torch.stack([start[:, None].expand_as(base), base])
        coordinates = ((part - middle) @ read).T.contiguous()
        parts.append((_hits(base[None], wanted)[0], *_scan(logits, signed, coordinates, wanted)))
    return RankScan(*(torch.cat(pieces, dim=-1) for pieces in zip(*parts, strict=True)))


def _scan(logits: Tensor, steps: Tensor, coordinates: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """(r, n) hits of each of two modes: logits (2, v, n), to which each rank adds its step (2, v, 1) times (n).

    A right class is one whose logit exceeds all others. Where it equals another only an index tells which is first;
    that is rare, so the first pass only looks whether it occurs, and a second one counts by index.
    """
    start = logits.clone()
    place = wanted.expand(2, 1, -1)
    margins = logits.new_empty(len(steps), 2, len(wanted))
    for step, along, margin in zip(steps, coordinates, margins, strict=True):
        logits.addcmul_(step, along)
        own = logits.gather(1, place)
        torch.amax(logits.scatter_(1, place, -torch.inf), dim=1, out=margin)
        logits.scatter_(1, place, own)
        torch.sub(own[:, 0], margin, out=margin)
    if not bool((margins == 0).any()):
        hits = margins > 0
    else:
        hits = torch.stack([_hits(start.addcmul_(s, c), wanted) for s, c in zip(steps, coordinates, strict=True)])
    return hits[:, 0], hits[:, 1]


def _hits(logits: Tensor, wanted: Tensor) -> Tensor:
    """(m, n) whether the first largest of logits (m, v, n) is the wanted class (n)."""
    return logits.max(dim=1).indices == wanted
