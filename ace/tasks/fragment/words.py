"""The words of the fragment, with their forms."""

from __future__ import annotations

SINGULAR, PLURAL = 0, 1

_REGULAR = (
    "key cabinet dog cat boy girl teacher doctor farmer painter horse bird car truck boat train book letter picture"
    " table chair lamp window door garden tree flower river lake road bridge king queen soldier sailor singer writer"
    " student lion tiger rabbit duck cow pig goat apple cake cup plate spoon clock ring coat hat"
)
_IRREGULAR = (("child", "children"), ("man", "men"), ("woman", "women"), ("mouse", "mice"), ("knife", "knives"))
NOUNS: tuple[tuple[str, str], ...] = (
    *((noun, f"{noun}s") for noun in _REGULAR.split()),
    *_IRREGULAR,
    ("wolf", "wolves"),
)
ADJECTIVES = ("old", "new", "big", "small", "red", "blue", "quiet", "bright", "dark", "strange", "pretty", "heavy")
ADVERBS = ("often", "still", "always", "really", "certainly", "now")
PREPOSITIONS = ("near", "behind", "beside", "above", "under", "next to", "in front of", "far from")
FRONTS = (
    "today",
    "in the morning",
    "every day",
    "at night",
    "in spring",
    "as a rule",
    "to be honest",
    "after the storm",
)
PRONOUNS = ("it", "they")
# Of each verb: present singular, present plural, past, participle.
VERBS = tuple(
    (f"{stem}s", stem, past, participle)
    for stem, past, participle in (
        ("like", "liked", "liked"),
        ("help", "helped", "helped"),
        ("follow", "followed", "followed"),
        ("see", "saw", "seen"),
        ("find", "found", "found"),
        ("move", "moved", "moved"),
        ("want", "wanted", "wanted"),
        ("know", "knew", "known"),
    )
)
COPULAS = {"present": ("is", "are"), "past": ("was", "were")}
HAVE = {"present": ("has", "have"), "past": ("had", "had")}


def vocabulary() -> list[str]:
    """All words of the fragment, with its full stop and comma, sorted."""
    phrases = [*ADJECTIVES, *ADVERBS, *PREPOSITIONS, *FRONTS, *PRONOUNS, "the that , ."]
    phrases += [word for forms in (*NOUNS, *VERBS, *COPULAS.values(), *HAVE.values()) for word in forms]
    return sorted({word for phrase in phrases for word in phrase.split()})
