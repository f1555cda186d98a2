"""Texts as token ids that a model can go on from: without what a tokenizer closes every text with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ace.errors import InputError


def closing_marks(tokenizer: Any) -> tuple[int, ...]:
    """Ids of what a tokenizer puts behind every text: its end mark, or one of any other name.

    Told by a text with and without special tokens; of a tokenizer that cannot do without, the end mark.
    """
    end = tokenizer.eos_token_id
    guess = () if end is None else (int(end),)
    try:
        whole, bare = ([*tokenizer("a", add_special_tokens=on)["input_ids"]] for on in (True, False))
    except TypeError:
        return guess
    places = range(len(whole) - len(bare) + 1)
    starts = [place for place in places if whole[place : place + len(bare)] == bare] if bare else []
    return tuple(whole[starts[-1] + len(bare) :]) if starts else guess


def encoded(tokenizer: Any, texts: Sequence[str], closing: tuple[int, ...]) -> list[list[int]]:
    """Token ids of texts without the closing marks, unless there is nothing else.

    Raises:
        InputError: what is no text, or has halves of surrogate pairs, as a command line that is no UTF-8 has.
    """
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"prompt: expected a text, got {type(text).__name__}")
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise InputError(f"prompt: expected valid Unicode, got {text[:40]!a} with surrogates; was it no UTF-8?")
    ids = tokenizer(list(texts), verbose=False)["input_ids"]  # too long a text is refused elsewhere
    length = len(closing)
    return [
        [*each[:-length]] if length and len(each) > length and tuple(each[-length:]) == closing else [*each]
        for each in ids
    ]
