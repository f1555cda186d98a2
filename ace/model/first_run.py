"""The first runs of a language model: what later runs by parts assume of it is checked on a few tokens.

A few tokens are run whole; behind a stored prefix; with several edits of several prompts, one by one, twice, and those
of several sites at once; and token by token, steered. All must give the same but for rounding. Cost: the weights are
read some twenty times, for a few tokens each; of the head, a few rows but for some of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from ace.errors import AceError, ArtifactError, InputError, SiteError, first_line
from ace.model.continuation import Encoded
from ace.model.language import LanguageModel
from ace.model.outputs import advice
from ace.model.partial_runs import BlockRun, observed_blocks, restricted_head
from ace.model.prefix import PrefixRun
from ace.model.sites import Site, hooked
from ace.model.steer import Steering, steered_logits
from ace.model.stored_keys import growing_cache, tiled_cache
from ace.model.stored_prefix import are_same, store_prefix

PREFIX, TAIL = 3, 2  # tokens, where the model has positions for them
STEPS = 3  # tokens, one by one


@torch.no_grad()
def check_first_run(language: LanguageModel) -> None:
    """Run a model on a few tokens, whole and by parts, and refuse it where the two differ.

    Raises:
        ArtifactError: a model that is no causal one.
        InputError: NaN or infinity in states or logits.
        SiteError: blocks or sites' modules that do not run once a pass, something unknown between the last block and
            the head, more stored than keys and values, or any difference between whole runs and runs by parts.
    """
    with _named(language, "a pass of a few tokens"):
        whole = _Whole(language, _group(language))
    with _named(language, "edits behind a stored prefix"):
        _check_edits(whole)
    with _named(language, "tokens one by one"):
        _check_token_by_token(whole)


@contextmanager
def _named(language: LanguageModel, what: str) -> Iterator[None]:
    """Whatever a model raises that cannot be run in the ways that are needed becomes a `SiteError`."""
    try:
        yield
    except (AceError, torch.OutOfMemoryError, Warning):
        raise
    except Exception as error:
        raise SiteError(
            f"{language.name}: expected a model that can be run by parts; {what}: {first_line(error)}"
        ) from error


def _ids(language: LanguageModel, count: int) -> Tensor:
    """(count) token ids spread over the vocabulary, none of special meaning where there are others."""
    size = min(language.embedded, language.vocabulary)
    told = vars(getattr(language.model, "config", None) or object)
    special = {told[name] for name in told if name.endswith("token_id") and type(told[name]) is int}
    special |= {*getattr(language.tokenizer, "all_special_ids", ())}
    plain = [index for index in (size * k // (4 * count) for k in range(4 * count)) if index not in special]
    chosen = [*dict.fromkeys(plain)] or [*range(size)]
    step = max(1, len(chosen) // count)
    return torch.tensor([chosen[(k * step) % len(chosen)] for k in range(count)])


def _check_finite(language: LanguageModel, what: str, values: Tensor, *, infinite: bool = True) -> None:
    """Refuse NaN, and infinity unless a model may set logits to it."""
    bad = ~torch.isfinite(values) if infinite else torch.isnan(values) | (values == torch.inf)
    if bool(bad.any()):
        raise InputError(
            f"{language.name}: expected finite {what}, got NaN or infinity in {language.dtype}{advice(language.dtype)}"
        )


# --- by parts ---------------------------------------------------------------------------------------------------------
class _Group(Encoded):
    """Prompts whose contrast reads the logits of its own tokens as they are, however many tokens a tail has."""

    @property
    def tokens(self) -> Tensor:
        """Token ids whose logits are needed."""
        return torch.unique(self.targets)

    @property
    def single(self) -> bool:
        """The weights at every position add up to 0: logits need not be normalised."""
        return True


def _group(language: LanguageModel) -> _Group:
    """Two prompts, with as many tails each as these have tokens."""
    room = PREFIX + TAIL if language.positions is None else language.positions
    tail = min(TAIL, max(1, room - 1))
    prefix = min(PREFIX, room - tail)
    run = 2 * tail * tail
    before, after, targets = _ids(language, 2 * prefix + 3 * run).split([2 * prefix, run, 2 * run])
    before = before.view(2, prefix).clone()
    before[:, :1] = before[:1, :1]  # one first token, so that what comes later can be seen to change nothing there
    tails = after.view(2, tail, tail).clone()
    tails[:, :, 0] = tails[:, :1, 0]  # the prompt's last token
    weights = torch.tensor([1.0, -1.0]).expand(2, tail, tail, 2) * (1 + torch.arange(tail))[None, :, None, None]
    return _Group(torch.arange(2), before, tails, targets.view(2, tail, tail, 2), weights)


def _first_token(group: _Group) -> _Group:
    """The same prompts with one continuation of one token."""
    parts = (part[:, :1, :1].contiguous() for part in (group.tails, group.targets, group.weights))
    return _Group(group.rows, group.prefix, *parts)


class _Whole:
    """The prompts run whole, and what is compared with that."""

    def __init__(self, language: LanguageModel, group: _Group) -> None:
        self.language, self.group, self.tokens = language, group, group.tokens
        self.before = group.prefix.shape[1]
        prefix = group.prefix[:, None].expand(-1, group.tails.shape[1], -1)
        self.ids = torch.cat([prefix, group.tails], dim=2).flatten(0, 1).to(language.device)
        logits = self._checked_pass()
        self.logits = logits[..., self.tokens.to(logits.device)].float()
        self.size = float(self.logits.abs().max())

    def _checked_pass(self) -> Tensor:
        """Logits of a pass in which every block and site ran once, and what comes later changed nothing before it."""
        language, anatomy = self.language, self.language.anatomy
        states: dict[int, list[Tensor]] = {site.index: [] for site in anatomy.sites}
        returned: list[Any] = []

        def after(module: Any, arguments: Any, output: Any) -> None:
            returned.append(output[0] if isinstance(output, tuple | list) else output)

        with ExitStack() as stack:
            stack.callback(language.model.get_submodule(anatomy.blocks[-1]).register_forward_hook(after).remove)
            for site in anatomy.sites:
                stack.enter_context(hooked(language.model, site, states[site.index].append))
            stack.enter_context(observed_blocks(language.model, anatomy, []))  # last, to be the first to speak
            logits = language.run(self.ids)[0]
        kind, shape = type(language.model).__name__, tuple(self.ids.shape)
        for site in anatomy.sites:
            (state,) = states[site.index]
            if state.ndim != 3 or state.shape[:2] != shape:
                raise SiteError(
                    f"{kind}: expected a state ({shape[0]}, {shape[1]}, d) at {site}, got {tuple(state.shape)}"
                )
            _check_finite(language, f"states at {site}", state)
        if logits.ndim != 3 or logits.shape[:2] != shape:
            raise SiteError(
                f"{kind}: expected logits ({shape[0]}, {shape[1]}, v) of tokens {shape}, got {tuple(logits.shape)};"
                " does the model put tokens of its own in front?"
            )
        _check_finite(language, "logits", logits, infinite=False)
        # An encoder's language model is none to continue a text with.
        first = logits[:, 0][:, torch.isfinite(logits[0, 0])]
        if self.before and not are_same(language, first[1:], first[:1].expand_as(first[1:])):
            raise ArtifactError(f"model: expected a causal one at {language.name!r}, got {kind}, which looks ahead")
        (last,), (read,) = returned, states[anatomy.sites[-1].index]
        if last.shape != read.shape or not torch.equal(last.to(read.device), read):
            raise SiteError(f"{kind}: expected {anatomy.sites[-1].path} to read what {anatomy.blocks[-1]} returns")
        return logits

    def edited(self, site: Site, states: Tensor) -> Tensor:
        """(n, s, k) logits of the tails, after the states (n, d) are put at a site and the prompts' last position."""
        language, times = self.language, self.group.tails.shape[1]

        def put(state: Tensor) -> Tensor:
            changed = state.clone()
            changed[:, self.before] = states.repeat_interleave(times, dim=0).to(state)
            return changed

        with restricted_head(language, self.tokens), hooked(language.model, site, put):
            return language.run(self.ids)[0][:, self.before :]

    def first_contrast(self, logits: Tensor, first: _Group) -> Tensor:
        """(n) contrasts of prompts with one token after them, from logits (n q, s, k) of all their tails."""
        places = torch.searchsorted(self.tokens, first.tokens).to(logits.device)
        return first.contrast(logits[:: self.group.tails.shape[1], :1, places], first.tokens)[0]

    def compare(self, what: str, came: Tensor, wanted: Tensor) -> None:
        """Refuse what differs from a plain run by more than rounding.

        Raises:
            InputError: NaN or infinity in what is compared.
            SiteError: it differs.
        """
        language, size = self.language, self.size
        wanted = wanted.to(came.device)
        for values in (came, wanted):
            _check_finite(language, "logits", values)
        if not are_same(language, came, wanted, size):
            apart = f"{float((came - wanted).abs().max()):.2g}" if came.shape == wanted.shape else "by shape"
            raise SiteError(
                f"{language.name}: expected the same numbers but for rounding, got others from {what}: {apart} apart,"
                f" the largest logit being {size:.2g}"
            )


def _check_edits(whole: _Whole) -> None:
    language, group, compare = whole.language, whole.group, whole.compare
    sites = language.anatomy.sites
    middle, first = sites[len(sites) // 2], _first_token(group)
    language.as_whole.update({(whole.before, whole.before + length) for length in (1, group.tails.shape[2])})
    run, short = PrefixRun(language, group), PrefixRun(language, first)
    logits = whole.logits[:, whole.before :]
    compare("a run behind a stored prefix than from a whole run", run.base, group.contrast(logits, whole.tokens)[0])
    compare("a run behind a stored prefix than from a whole run", short.base, whole.first_contrast(logits, first))

    # Every site's states as they are and exchanged between the prompts, first at once, then site by site.
    places = sorted({0, min(1, len(sites) - 1), middle.index, len(sites) - 2, len(sites) - 1})
    edited = {place: torch.stack([short.states(sites[place]), short.states(sites[place]).flip(0)]) for place in places}
    together = short.push_all(edited)
    for place, found in together.items():
        compare(f"clean states pushed back at {sites[place]}, among other edits", found[0], short.base)
    for place in {0, middle.index, len(sites) - 1}:
        alone = short.push(sites[place], edited[place])
        compare(f"edits of several sites at once than from those at {sites[place]}", together[place], alone)
    states = edited[middle.index]
    alone = short.push(middle, states)
    compare(f"the same edits at {middle} pushed again", short.push(middle, states), alone)
    compare(f"several edits at once at {middle} than from one", alone[1:], short.push(middle, states[1:]))

    edited_whole = whole.edited(middle, states[1])
    told = f"edits at {middle} behind a stored prefix than from those in a whole run"
    compare(told, run.push(middle, states[1:])[0], group.contrast(edited_whole, whole.tokens)[0])
    compare(told, alone[1], whole.first_contrast(edited_whole, first))


def _check_token_by_token(whole: _Whole) -> None:
    """Texts grow token by token, steered or not, and what is stored of them stays that of the clean text."""
    language, tokens, compare = whole.language, whole.tokens, whole.compare
    ids = whole.ids[:: whole.group.tails.shape[1]]
    length = ids.shape[1]
    begin = max(1, length - STEPS)
    if begin == length or len(tokens) < 2:
        return
    cache, runs = store_prefix(language, ids[:, :begin]), list[BlockRun]()
    growing_cache(cache, STEPS)
    steering = _steering(language, tokens)
    for place in range(begin, length - 1):
        current = ids[:, place : place + 1]
        before = tiled_cache(cache) if runs else None
        logits, cache = steered_logits(language, current, cache, steering, runs)
        if before is not None:
            alone, _ = steered_logits(language, current, before, steering, [])
            compare("a steered token, clean and edited at once", logits[:, tokens], alone[:, tokens])
    with restricted_head(language, tokens):
        logits, _ = language.run(ids[:, -1:], cache)
    compare(
        "a run after steered tokens than from a whole run",
        logits[:, 0],
        whole.logits[:: whole.group.tails.shape[1], -1],
    )


def _steering(language: LanguageModel, tokens: Tensor) -> Steering:
    """One strength, so that rounding chooses none."""
    site = language.anatomy.sites[len(language.anatomy.blocks) // 2]
    wanted, other = (int(tokens[place]) for place in (0, -1))
    return Steering(site, lambda states: 0.1 * states.roll(1, dims=-1), (wanted,), (other,), strengths=(-1.0,))
