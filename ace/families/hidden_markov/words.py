"""What the controls of this family mean, beside those that all families share."""

from __future__ import annotations

from collections.abc import Mapping

CONTROLS: Mapping[str, str] = {
    "current token": "the token itself in the core's place: a belief that it shows needs no core",
    "symbols": "all symbols so far in the core's place: what they show linearly, the model need not have computed",
    "other sequences": "the core of other sequences: what is explained then comes from position alone",
}
