"""Common countable nouns with their plurals, by what they name, and the part of them that each split has.

Verbs and relative pronouns go by what a noun names, so that a teacher meets people and a lamp stands against things.
"""

from __future__ import annotations

from dataclasses import dataclass

from ace.tasks.base import HELD_OUT, Split

PERSON, ANIMAL, THING = "person", "animal", "thing"

_NOUNS = {
    PERSON: (
        "teacher doctor nurse lawyer farmer painter singer writer student soldier sailor driver actor author"
        " artist baker banker builder butcher carpenter coach dancer dentist designer director editor engineer"
        " gardener guard guide hunter judge king queen manager mayor merchant musician neighbor officer owner"
        " player poet priest prince professor reporter scientist servant tailor tourist trainer uncle visitor"
        " waiter worker boy girl cousin brother sister daughter clerk captain lady baby spy secretary princess"
        " waitress witness boss man woman child wife thief hero policeman fireman businessman"
    ),
    ANIMAL: (
        "dog cat horse bird cow pig goat rabbit tiger lion bear monkey snake spider bee whale shark frog chicken"
        " eagle elephant donkey turtle camel zebra kangaroo squirrel crow owl kitten lamb puppy pony butterfly fox"
        " wolf mouse goose calf"
    ),
    THING: (
        "key cabinet car truck boat train book letter picture table chair lamp window door tree flower bridge"
        " apple cake cup plate spoon clock ring coat hat candle basket bottle bag bed blanket bicycle button"
        " camera card carpet coin computer curtain desk drawer engine fence flag guitar hammer house jacket ladder"
        " machine map mirror necklace painting pencil phone piano pillow pipe plane poster radio rope sofa statue"
        " stone suitcase sword tent ticket tower toy umbrella vase wagon wall wheel box brush bench watch dish"
        " dress church bus factory diary knife leaf shelf loaf tooth"
    ),
}
_IRREGULAR = {
    "man": "men",
    "woman": "women",
    "child": "children",
    "wife": "wives",
    "thief": "thieves",
    "hero": "heroes",
    "policeman": "policemen",
    "fireman": "firemen",
    "businessman": "businessmen",
    "wolf": "wolves",
    "mouse": "mice",
    "goose": "geese",
    "calf": "calves",
    "knife": "knives",
    "leaf": "leaves",
    "shelf": "shelves",
    "loaf": "loaves",
    "tooth": "teeth",
}


@dataclass(frozen=True)
class Noun:
    """A countable noun.

    Attributes:
        forms: singular and plural.
        kind: what it names: a person, an animal or a thing.
    """

    forms: tuple[str, str]
    kind: str


def plural_of(noun: str) -> str:
    """The plural of a noun in lower case: of these words' irregular ones their own, of any other the regular one."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


# Every third of a kind to each split, so that all have their share of people and things, and of irregular plurals.
NOUNS: dict[Split, tuple[Noun, ...]] = {
    split: tuple(
        Noun((noun, plural_of(noun)), kind) for kind, words in _NOUNS.items() for noun in words.split()[place::3]
    )
    for place, split in enumerate(HELD_OUT)
}
