"""Claims about transformers trained on a hidden Markov process."""

from __future__ import annotations

from ace.families.hidden_markov import belief
from ace.study.claim import OURS, Bound, Claim

CLAIMS = (
    Claim(
        "hidden_markov.belief",
        "For a hidden Markov process the core linearly carries the belief state.",
        f"{OURS}; belief states in the residual stream: arXiv 2405.15943",
        "held-out R2 of the belief from the core minus that from the whole state",
        Bound(">=", -0.03),
        "oracle",
        "within .03 of what the whole state carries; the current token and untrained cores must lie below",
        controls=("current token", "untrained"),
        measure=belief.belief,
    ),
    Claim(
        "hidden_markov.alignment",
        "Those cores agree across seeds beyond what the current token explains.",
        OURS,
        "smallest held-out canonical correlation after token and position are regressed out",
        Bound(">=", 0.0, "larger of null and untrained"),
        "null",
        "above the 99.9 % quantile over permuted sequences and above the upper end of every untrained pair",
        controls=("permuted sequences", "untrained"),
        measure=belief.alignment,
    ),
)
