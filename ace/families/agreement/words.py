"""What the controls of this family mean, beside those that all families share."""

from __future__ import annotations

from collections.abc import Mapping

from ace.families.agreement.dormant import PROJECTIONS

CONTROLS: Mapping[str, str] = {
    "untrained, by luck": "the AUC that 95 of 100 twins before training stay below: of two words a random model prefers"
    " one by luck, and prompts on which luck reaches far say little",
    "other prompts": "the second model's coordinates of other prompts: what agrees then is not about the prompt",
    "the rest, each text along a draw": "text flipped along a random axis of the rest, another for each text: what"
    " changes then is not the core's",
    "agreement prompts": "the same removal on prompts of agreement, which it has to damage: else nothing was removed",
    PROJECTIONS: "as many random directions as are read in the place of those: where they carry the effect as well,"
    " being read says nothing",
}
