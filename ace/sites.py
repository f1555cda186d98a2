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

HEAD_NAMES = ("head", "lm_head", "embed_out", "output")
NORM_NAMES = ("ln_f", "norm", "final_norm", "final_layer_norm", "final_layernorm")


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
    """Anatomy of a model, by structure: the longest list of equal blocks, the norm beside it and the linear head.

    Raises:
        SiteError: no list of blocks, or no linear head.
    """
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) and len({type(child) for child in module}) == 1
    ]
    if not lists:
        raise SiteError(f"model: expected a ModuleList of blocks, found none in {type(model).__name__}")
    stem, blocks = max(lists, key=lambda found: (len(found[1]), -found[0].count(".")))
    head = _linear_head(model, stem)
    owner = stem.rpartition(".")[0]
    norm = next((n for n in (_join(owner, name) for name in NORM_NAMES) if _has(model, n)), None)
    last = norm or head
    names = tuple(f"{stem}.{index}" for index in range(len(blocks)))
    count = len(names)
    sites = [Site(index, index / count, name, linear_tail=False) for index, name in enumerate(names)]
    sites.append(Site(count, 1.0, last, linear_tail=norm is None))
    return Anatomy(names, norm, head, tuple(sites))


def _linear_head(model: nn.Module, stem: str) -> str:
    for name in HEAD_NAMES:
        if _has(model, name) and isinstance(model.get_submodule(name), nn.Linear):
            return name
    raise SiteError(
        f"model: expected a linear head named one of {', '.join(HEAD_NAMES)} beside the blocks {stem!r},"
        f" found none in {type(model).__name__}"
    )


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


@contextmanager
def hooked(model: nn.Module, site: Site, edit: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Call `edit` with the state (n, t, d) at a site on every forward pass; what it returns replaces the state.

    The hook goes whatever happens in the body. `None` leaves the state untouched, as a read; what replaces it has the
    state's shape.

    Raises:
        SiteError: the model has no module at the site.
        InterventionError: the edit returned something of another shape, or the body ended normally and the hook never
            fired.
    """
    if not _has(model, site.path):
        raise SiteError(f"{site}: expected a module {site.path!r}, found none in {type(model).__name__}")
    fired = False

    def before(
        module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        nonlocal fired
        state = arguments[0] if arguments else named.get("hidden_states")
        if not isinstance(state, Tensor):
            raise SiteError(f"{site}: expected the state as a tensor, got {type(state).__name__}")
        fired = True
        edited = edit(state)
        if edited is None:
            return None
        if not isinstance(edited, Tensor) or edited.shape != state.shape:
            came = tuple(edited.shape) if isinstance(edited, Tensor) else type(edited).__name__
            raise InterventionError(f"{site}: expected an edited state of shape {tuple(state.shape)}, got {came}")
        if arguments:
            return (edited, *arguments[1:]), named
        return arguments, {**named, "hidden_states": edited}

    handle = model.get_submodule(site.path).register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
    if not fired:
        raise InterventionError(f"{site}: the hook never fired; was the model run inside the block?")
