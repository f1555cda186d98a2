"""What the controls of this family mean, beside those that all families share."""

from __future__ import annotations

from collections.abc import Mapping

CONTROLS: Mapping[str, str] = {
    "low-rank chain": "models of a chain that needs fewer dimensions: were their cores as large, it would mean nothing",
    "same model": "cores of one model from two sets of data, which must overlap: else the overlap of any two would be"
    " small",
    "own initialisation": "each model against the weights that it began with, which must be alike: else any two would"
    " differ",
    "chains along the rest": "chains generated with a random subspace of the rest kept in the core's place",
}
