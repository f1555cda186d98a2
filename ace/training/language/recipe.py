"""A recipe of language models: everything that determines their weights, in one small record with an address."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ace.check import check_count
from ace.errors import InputError, RecipeError
from ace.training.recipe import NOT_NEGATIVE, POSITIVE, check_in_range, digest_of, read_entries


@dataclass(frozen=True)
class LanguageRecipe:
    """Everything that determines a few language models which differ only in their seed.

    Attributes:
        name: stem of the recipe file.
        sentences: fewest and most sentences of a story.
        positions: context, and length of the training sequences that stories are packed into.
        blocks, width, heads: sizes of the GPT-2 architecture; the feed-forward width is 4 times the width.
        learning_rate: of AdamW, at its highest: it rises linearly over `warmup` steps and falls linearly to 0.
        weight_decay, clip: of AdamW, and the largest norm of a gradient.
        steps, batch: optimiser steps, and sequences in each.
        models, seed: how many models, and the base of their streams.
    """

    name: str
    sentences: tuple[int, int]
    positions: int
    blocks: int
    width: int
    heads: int
    learning_rate: float
    weight_decay: float
    clip: float
    warmup: int
    steps: int
    batch: int
    models: int
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("blocks", "width", "heads", "warmup", "steps", "batch", "models")
        try:
            for name in counts:
                check_count(name, getattr(self, name))
            check_count("positions", self.positions, smallest=2)  # one token predicts nothing
            check_count("seed", self.seed, smallest=0)
            for count in self.sentences:
                check_count("sentences", count)
        except (InputError, TypeError) as error:
            raise RecipeError(f"{self.name}.{error}") from error
        if len(self.sentences) != 2 or self.sentences[0] > self.sentences[1]:
            raise RecipeError(f"{self.name}.sentences: expected fewest and most, got {list(self.sentences)}")
        if self.width % self.heads:
            raise RecipeError(f"{self.name}.heads: expected a divisor of width {self.width}, got {self.heads}")
        if self.warmup >= self.steps:
            raise RecipeError(f"{self.name}.warmup: expected fewer than {self.steps} steps, got {self.warmup}")
        for name, allowed in (("learning_rate", POSITIVE), ("weight_decay", NOT_NEGATIVE), ("clip", POSITIVE)):
            check_in_range(f"{self.name}.{name}", getattr(self, name), allowed)

    @property
    def digest(self) -> str:
        """SHA-256 of all entries but the name, 64 hexadecimal digits."""
        entries = asdict(self)
        del entries["name"]
        return digest_of(entries)

    @property
    def address(self) -> str:
        """`name-` and 12 hexadecimal digits of the digest."""
        return f"{self.name}-{self.digest[:12]}"


def read_language_recipe(path: Path) -> LanguageRecipe:
    """Recipe from a TOML file; its name is the file's stem.

    Raises:
        RecipeError: unreadable, missing or unknown keys, values out of range.
    """
    entries = read_entries(path)
    known = {field.name for field in fields(LanguageRecipe)} - {"name"}
    unknown, missing = sorted(set(entries) - known), sorted(known - set(entries) - {"seed"})
    if unknown or missing:
        raise RecipeError(f"{path.stem}: unknown key(s) {unknown}, missing key(s) {missing}")
    if not isinstance(entries["sentences"], list):
        raise RecipeError(f"{path.stem}.sentences: expected fewest and most, got {entries['sentences']!r}")
    return LanguageRecipe(path.stem, tuple(entries.pop("sentences")), **entries)
