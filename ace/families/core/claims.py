"""What the paper claims of any task, for anyone's own training runs."""

from __future__ import annotations

from ace.families.core import ablation, as_published, likeness, size
from ace.study.claim import OURS, PAPER, Bound, Claim, Replication

SOURCE = f"{PAPER}, algorithmic cores"
RUNS = "runs"
MARGIN = "fixed before any run: a fiftieth of what the model scores above chance"
TEST = "there on the core's own sequences, outputs not centred"  # of the published protocol
ZERO = f"{TEST}, about zero"

CLAIMS = (
    Claim(
        "core.rank",
        "Independently trained models have cores of one size.",
        SOURCE,
        "dimensions of the core, less the median over models",
        Bound("==", 0.0),
        "paper",
        "one size in every model; where untrained twins have it too, it is the head's and not the training's",
        controls=("untrained",),
        measure=size.rank,
        kind="P",
        replication=Replication(
            "3 in every seed on its Markov chain",
            as_published.rank,
            f"{TEST}, .999 of the energy, in dimensions; here less the median over models, by the subject's rule",
        ),
        about=RUNS,
    ),
    Claim(
        "core.sufficiency",
        "The core alone keeps the score.",
        SOURCE,
        "score with the core kept minus the model's own, over the model's own minus chance, same sequences",
        Bound(">=", -0.02),
        "equivalence margin",
        MARGIN,
        controls=("the rest", "complement"),
        measure=ablation.sufficiency,
        kind="P",
        replication=Replication(
            "kept, in words",
            as_published.sufficiency,
            f"{ZERO}, in the score's unit; here over what the model scores above chance",
        ),
        about=RUNS,
    ),
    Claim(
        "core.necessity",
        "Without the core the score is at chance.",
        SOURCE,
        "score with the core removed minus chance, over the model's own minus chance; each model from above and below",
        Bound("<=", 0.1),
        "equivalence margin",
        "fixed before any run: within a tenth of what the model scores above chance, by two one-sided tests",
        controls=("the rest",),
        measure=ablation.necessity,
        kind="P",
        replication=Replication(
            "chance, in words",
            as_published.necessity,
            f"{ZERO}, less chance in the score's unit; here over what the model scores above chance, each side",
        ),
        about=RUNS,
    ),
    Claim(
        "core.divergence",
        "Cores of different models lie in other subspaces.",
        SOURCE,
        "overlap of the cores of each pair of models, over what 999 of 1,000 Haar subspaces of their ranks stay below",
        Bound("<=", 1.0),
        "null",
        "independent random subspaces lie below; cores of untrained twins are expected to as well",
        controls=("untrained",),
        measure=likeness.divergence,
        kind="P",
        replication=Replication(
            "nearly orthogonal, in words",
            as_published.divergence,
            f"{TEST}, the overlap itself; here over what Haar subspaces stay below",
        ),
        about=RUNS,
    ),
    Claim(
        "core.alignment",
        "Core coordinates agree across models.",
        SOURCE,
        "smallest held-out canonical correlation of the core coordinates of each pair",
        Bound(">=", 0.9),
        "paper",
        "published correlations exceed .9; where the models' own outputs agree as well, the sentence is about them",
        controls=("untrained", "outputs"),
        measure=likeness.alignment,
        kind="P",
        replication=Replication(
            ".93 on its Markov chain",
            as_published.alignment,
            f"{TEST}, correlations in sample; here held out",
        ),
        about=RUNS,
    ),
    Claim(
        "core.transplant",
        "Coordinates of one model run another.",
        f"{OURS}: a causal form of core.alignment",
        "score of a host on a donor's mapped coordinates minus its own, over its own minus chance",
        Bound(">=", -0.02),
        "equivalence margin",
        MARGIN,
        controls=("shuffled map", "untrained donor", "outputs"),
        measure=likeness.transplant,
        about=RUNS,
    ),
    Claim(
        "core.spectrum",
        "The one-step operator in core coordinates has the spectrum of the task's own.",
        SOURCE,
        "largest distance in the best matching of eigenvalues",
        Bound("<=", 0.05),
        "equivalence margin",
        "fixed before any run; where outputs have the spectrum as well, the sentence is about outputs",
        controls=("untrained", "outputs"),
        measure=likeness.spectrum,
        kind="P",
        replication=Replication(
            "below 1 to 2 % on its Markov chain", as_published.spectrum, f"{TEST}, the operator fitted in sample"
        ),
        about=RUNS,
    ),
)
