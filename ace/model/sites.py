"""Sites: where a hidden state passes as one tensor, and is read and written by the same hook.

Site l (0 <= l < L) is the input of block l; site L is the input of the final norm, or of the head where there is none.
`output_hidden_states` is never used: its last entry lies after the final norm, in another space than site L.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ace.errors import InterventionError, SiteError
from ace.model.last_read import read_after
from ace.model.told_passes import passes_told

HEAD_NAMES = ("head", "lm_head", "embed_out", "output")


@dataclass(frozen=True)
class Site:
    """One place in a model.

    Attributes:
        index: 0..L.
        depth: index / L, 0 at the embedding and 1 below the head.
        path: name of the module whose input the state is.
        linear_tail: whether only a linear head follows.
    """

    index: int
    depth: float
    path: str
    linear_tail: bool

    def __str__(self) -> str:
        return f"site {self.index} (input of {self.path})"


@dataclass(frozen=True)
class Anatomy:
    """The blocks, the final norm or None, and the head of a model, as module names, with all its sites."""

    blocks: tuple[str, ...]
    norm: str | None
    head: str
    sites: tuple[Site, ...]

    def site(self, index: int) -> Site:
        """Site `index`; negative counts from the top, -1 is site L.

        Raises:
            SiteError: there is no such site.
        """
        if isinstance(index, bool) or not isinstance(index, int) or not -len(self.sites) <= index < len(self.sites):
            raise SiteError(f"site: expected 0..{len(self.sites) - 1}, got {index!r}")
        return self.sites[index]


def find_sites(model: nn.Module) -> Anatomy:
    """Anatomy of a model: its list of blocks, the norm that reads what the last of them returns, and the linear head.

    The blocks are the least nested list, so that the experts within a block are not taken for blocks; of several such
    lists, the one whose entries have parts of their own, then one of equal entries, then the longest. Where the model
    says what its decoder is, only that is searched: a model of images and text has blocks of both kinds. The final norm
    is one beside the blocks, or beside a module around them; where there are several, or one that may come before the
    blocks, the model is run on two tokens to see which of them reads what the last block returns, or at least comes
    after it. Where there is none, site L is the input of whatever else reads the last block's output: a projection to
    the head's width, or the head.

    Raises:
        SiteError: no list of blocks, no linear head, or an encoder beside the decoder.
    """
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        raise SiteError(f"model: expected a decoder without an encoder, got {type(model).__name__}")
    inside = _decoder(model)
    lists = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and name.startswith(inside)
    }
    filled = [name for name, module in lists.items() if len(module)]
    if not filled:
        raise SiteError(f"model: expected a ModuleList of blocks, found none in {type(model).__name__}")

    def rank(name: str) -> tuple[int, bool, bool, int]:
        around = sum(name.startswith(f"{other}.") for other in lists)
        entries = lists[name]
        equal = len({type(entry) for entry in entries}) == 1
        return -around, any(True for _ in entries[0].children()), equal, len(entries)

    stem = max(filled, key=rank)
    head = _linear_head(model, stem)
    norm = _final_norm(model, stem, f"{stem}.{len(lists[stem]) - 1}")
    last = norm or _projection(model, stem, head) or head
    names = tuple(f"{stem}.{index}" for index in range(len(lists[stem])))
    count = len(names)
    sites = [Site(index, index / count, name, linear_tail=False) for index, name in enumerate(names)]
    # Some models squash the logits themselves: then the head is not the end.
    capped = getattr(config, "final_logit_softcapping", None) is not None
    sites.append(Site(count, 1.0, last, linear_tail=norm is None and not capped))
    return Anatomy(names, norm, head, tuple(sites))


def module_site(model: nn.Module, path: str) -> Site:
    """The input of a module, by its name, as a site: for models whose anatomy no rule knows.

    Raises:
        SiteError: the model has no module of that name.
    """
    if not path or not _has(model, path):
        names = [name for name, _ in model.named_modules() if name]
        shown = ", ".join(names[-8:])
        raise SiteError(f"site: expected a module of {type(model).__name__}, such as {shown}; got {path!r}")
    return Site(0, 1.0, path, linear_tail=False)


def _decoder(model: nn.Module) -> str:
    """Beginning of the names of modules in what the model says is its decoder of text; empty for the whole model."""
    own = getattr(model, "get_decoder", None)
    decoder = own() if own is not None else None
    path = next((name for name, module in model.named_modules() if module is decoder), "")
    within = any(isinstance(module, nn.ModuleList) for module in decoder.modules()) if path and decoder else False
    return f"{path}." if within else ""


def _linear_head(model: nn.Module, stem: str) -> str:
    """What the model says its output embedding is, else a linear map of a usual name, else one onto the vocabulary."""
    names = {module: name for name, module in model.named_modules()}
    own = getattr(model, "get_output_embeddings", None)
    output = own() if own is not None else None
    if isinstance(output, nn.Linear) and output in names:
        return names[output]
    if isinstance(output, nn.Module):
        raise SiteError(
            f"{type(model).__name__}: expected a head that is an nn.Linear, got {type(output).__name__}"
            f"{f' at {names[output]}' if output in names else ''}; where it holds an adapter, merge it first"
        )
    outside = [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and not n.startswith(f"{stem}.")]
    named = [name for name in outside if name.rpartition(".")[2] in HEAD_NAMES]
    if named:
        return min(named, key=lambda name: name.count("."))
    sizes = {module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)}
    onto = [name for name in outside if model.get_submodule(name).out_features in sizes]
    if len(onto) == 1:
        return onto[0]
    raise SiteError(
        f"model: expected a linear head named one of {', '.join(HEAD_NAMES)}, or one onto the vocabulary, beside the"
        f" blocks {stem!r}, found {onto or 'none'} in {type(model).__name__}"
    )


def _around(model: nn.Module, stem: str) -> Iterator[tuple[str, nn.Module]]:
    """Modules beside the blocks, and beside each module around them, from the inside out, with their names."""
    owner = stem
    while owner:
        owner = owner.rpartition(".")[0]
        for name, module in reversed(list(model.get_submodule(owner).named_children())):
            yield _join(owner, name), module


def _final_norm(model: nn.Module, stem: str, last: str) -> str | None:
    """The norm beside the blocks that reads what the last of them returns, whatever its name."""
    beside = [name for name, module in _around(model, stem) if _is_norm(module)]
    usual = [name for name in beside if "emb" not in name.rpartition(".")[2]]  # one of embeddings is not final
    names = [name for name, _ in model.named_modules()]
    if not beside or (len(beside) == len(usual) == 1 and names.index(usual[0]) > names.index(stem)):
        return next(iter(beside), None)
    told = read_after(model, last, beside)
    if told is None:
        return next(iter(usual), None)
    return next(iter(told), None)


def _is_norm(module: nn.Module) -> bool:
    """Called a norm, or nothing but vectors of parameters, as the norms of all families have."""
    own = list(module.parameters())
    vectors = bool(own) and all(parameter.ndim == 1 for parameter in own)
    return not any(True for _ in module.children()) and ("norm" in type(module).__name__.lower() or vectors)


def _projection(model: nn.Module, stem: str, head: str) -> str | None:
    """A linear map beside the blocks from another width to the head's."""
    width = model.get_submodule(head).in_features
    for name, module in _around(model, stem):
        if isinstance(module, nn.Linear) and name != head and module.out_features == width != module.in_features:
            return name
    return None


def _has(model: nn.Module, name: str) -> bool:
    try:
        model.get_submodule(name)
    except AttributeError:
        return False
    return True


def _join(owner: str, name: str) -> str:
    return f"{owner}.{name}" if owner else name


def head_of(model: nn.Module) -> nn.Linear:
    """The linear head of a model."""
    head = model.get_submodule(find_sites(model).head)
    assert isinstance(head, nn.Linear)
    return head


def state_place(arguments: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """Where a block is handed its state: None for the first argument, otherwise the keyword."""
    if arguments:
        return None
    floating = (name for name, value in named.items() if isinstance(value, Tensor) and value.is_floating_point())
    return "hidden_states" if "hidden_states" in named else next(floating, "hidden_states")


@contextmanager
def hooked(model: nn.Module, site: Site, edit: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Call `edit` with the state (n, t, d) at a site on every forward pass; what it returns replaces the state.

    The hook goes whatever happens in the body. `None` leaves the state untouched, as a read; what replaces it has the
    state's shape.

    Raises:
        SiteError: the model has no module at the site, or one that runs more often than once a pass.
        InterventionError: the edit returned something of another shape, or the body ended normally and the hook never
            fired.
    """
    if not _has(model, site.path):
        raise SiteError(f"{site}: expected a module {site.path!r}, found none in {type(model).__name__}")
    seen: list[int | None] = []
    shapes: list[tuple[int, ...]] = []

    def before(
        module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        place = state_place(arguments, named)
        state = arguments[0] if place is None else named.get(place)
        if not isinstance(state, Tensor):
            raise SiteError(f"{site}: expected the state as a tensor, got {type(state).__name__}")
        now = current()
        shapes[:] = [*(shapes if now is not None and now in seen else ()), tuple(state.shape)]
        if len(shapes) > 1:
            count = len(state)
            raise SiteError(
                f"{site}: expected one state ({count}, t, d) or ({count}, d) a pass, got {shapes}: the module runs"
                f" again in a pass of {type(model).__name__}"
            )
        seen[:] = [now]
        edited = edit(state)
        if edited is None:
            return None
        if not isinstance(edited, Tensor) or edited.shape != state.shape:
            came = tuple(edited.shape) if isinstance(edited, Tensor) else type(edited).__name__
            raise InterventionError(f"{site}: expected an edited state of shape {tuple(state.shape)}, got {came}")
        if place is None:
            return (edited, *arguments[1:]), named
        return arguments, {**named, place: edited}

    handle = model.get_submodule(site.path).register_forward_pre_hook(before, with_kwargs=True)
    try:
        with passes_told(model) as current:  # each of several passes may run the module once
            yield
    finally:
        handle.remove()
    if not seen:
        raise InterventionError(f"{site}: the hook never fired; was the model run inside the block?")
