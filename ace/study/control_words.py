"""What the controls that several families share mean, in a line each; a family's own stand in its record."""

from __future__ import annotations

from collections.abc import Mapping

COMMON_CONTROLS: Mapping[str, str] = {
    "the rest": "random subspaces of the core's rank, drawn as the states vary and made orthogonal to the core: what"
    " they can do too, the core has no part in",
    "complement": "the core's orthogonal complement in the core's place: what it can do too, the core is not needed"
    " for",
    "untrained": "the same measured on twins whose weights are as training begins: what they do too was not learnt",
    "untrained, own labels": "untrained twins, their prompts labelled by their own contrast: an axis of whatever a"
    " random model happens to tell apart",
    "outputs": "the models' own outputs in the place of their states: what holds of them too is a sentence about"
    " behaviour",
    "shuffled map": "the map between two models fitted to rows that do not belong together: what survives that needs"
    " no agreement of coordinates",
    "untrained donor": "coordinates of an untrained twin in the donor's place: what they do too was not learnt",
}
