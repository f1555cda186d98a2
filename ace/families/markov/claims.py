"""Claims about transformers trained on observed Markov chains."""

from __future__ import annotations

from ace.families.core import as_published as published
from ace.families.core import likeness as any_task
from ace.families.markov import ablation, as_published, dynamics, likeness, optimum
from ace.study.claim import OURS, PAPER, Bound, Claim, Replication
from ace.study.subspaces import REST

SOURCE = f"{PAPER}, Markov-chain transformers"
WORDS = "in words only"  # no digits of the paper are on record
ZERO = "there about zero, and on the sequences that the core was extracted from"
IN_SAMPLE = "there in sample, on the sequences that the core was extracted from"
POINT = "non-inferior within one percentage point"
OUTPUTS = "where the models' own outputs do as well, the sentence is about behaviour"

CLAIMS = (
    Claim(
        "markov.accuracy",
        "Each model reaches the accuracy and the cross-entropy of the Bayes predictor.",
        SOURCE,
        "accuracy of each model minus the oracle's, and cross-entropy minus the oracle's in nats, same sequences",
        Bound.between(-optimum.MARGIN, optimum.MARGIN),
        "equivalence margin",
        "one percentage point of accuracy, and 0.01 nat: a relative probability of 1 %; fixed, whatever the number of"
        " sequences",
        controls=("untrained",),
        needs_behaviour=False,
        measure=optimum.accuracy,
        kind="P",
        replication=Replication(WORDS, as_published.accuracy, "there accuracy alone, here cross-entropy as well"),
    ),
    Claim(
        "markov.rank",
        "Every seed uses all dimensions that its head allows: the core has one fewer than the chain has states.",
        SOURCE,
        "dimensions of the core at 0.999 of the energy, less the chain's states - 1",
        Bound("==", 0.0),
        "theorem",
        "a distribution over s states has s - 1 free logits, and a linear head bounds the rank by that number from"
        " above: what is said is that no dimension is left unused, as a chain that needs fewer leaves some; where"
        " untrained models leave none either, the size is the head's",
        controls=("low-rank chain", "untrained"),
        measure=optimum.rank,
        kind="P",
        replication=Replication("3", published.rank, "there dimensions, logits not centred; here less the states - 1"),
    ),
    Claim(
        "markov.sufficiency",
        "The core alone preserves accuracy.",
        SOURCE,
        "accuracy with the core kept minus accuracy of the whole model, same sequences",
        Bound(">=", -0.01),
        "equivalence margin",
        POINT,
        controls=(REST, "complement"),
        measure=ablation.sufficiency,
        kind="P",
        replication=Replication(WORDS, as_published.sufficiency, ZERO),
    ),
    Claim(
        "markov.sufficiency_loss",
        "The core alone preserves the predicted distribution, not only its argmax.",
        f"{OURS}: strengthened form of markov.sufficiency",
        "cross-entropy with the core kept minus cross-entropy of the whole model, nats, same sequences",
        Bound("<=", 0.01),
        "equivalence margin",
        "the same margin as markov.sufficiency, in nats: a loss of 0.01 nat is a relative probability of 1 %",
        controls=(REST, "complement"),
        measure=ablation.sufficiency_loss,
    ),
    Claim(
        "markov.necessity",
        "Without the core accuracy falls to chance.",
        SOURCE,
        "accuracy with the core removed minus the best constant guess's, over the whole model's minus that",
        Bound.between(-0.1, 0.1),
        "equivalence margin",
        "within a tenth of what the model scores above chance, above and below; fixed, as core.necessity",
        controls=(REST,),
        measure=ablation.necessity,
        kind="P",
        replication=Replication(
            "chance, in words", as_published.necessity, f"there accuracy, chance about .25; {ZERO}"
        ),
    ),
    Claim(
        "markov.divergence",
        "The cores of different seeds lie in nearly orthogonal subspaces.",
        SOURCE,
        "overlap of two cores: mean squared cosine of the principal angles",
        Bound("<=", 0.0, "99.9% of Haar subspaces"),
        "null",
        "99.9 % quantile of the overlap of independent Haar subspaces of equal rank",
        controls=("untrained", "same model"),
        measure=likeness.divergence,
        kind="P",
        replication=Replication("nearly orthogonal, in words", published.divergence, "there on the test sequences"),
    ),
    Claim(
        "markov.weights",
        "The weights of different seeds differ.",
        SOURCE,
        "absolute cosine of all weights of two models",
        Bound("<=", 0.0, "99.9% of independent inits"),
        "null",
        "99.9 % quantile over pairs of independent initialisations of the same recipe",
        controls=("untrained", "own initialisation"),
        measure=likeness.weights,
        kind="P",
        replication=Replication(WORDS, as_published.weights, "the same"),
    ),
    Claim(
        "markov.alignment",
        "Core coordinates agree across seeds up to a linear map.",
        SOURCE,
        "smallest canonical correlation of the core coordinates of two seeds, held out",
        Bound(">=", 0.9),
        "paper",
        f"the published third correlation is .93; {OUTPUTS}",
        controls=("untrained", "outputs"),
        measure=any_task.alignment,
        kind="P",
        replication=Replication(".93", published.alignment, IN_SAMPLE),
    ),
    Claim(
        "markov.spectrum",
        "The linear operator fitted in the core has the chain's eigenvalues other than 1.",
        SOURCE,
        "optimal matching distance of fitted and true eigenvalues",
        Bound("<=", 0.02, "sampling term"),
        "paper",
        "published errors are below 1 to 2 %; the sampling term is the 95 % quantile of the same distance for the"
        f" operator fitted to the chain's own states on the same sequences; {OUTPUTS}",
        controls=("untrained", "outputs"),
        measure=dynamics.operator_spectrum,
        kind="P",
        replication=Replication("below 1 to 2 %", published.spectrum, IN_SAMPLE),
    ),
    Claim(
        "markov.oracle_r2",
        "The operator predicts the next core coordinates as well as the chain's states predict each other.",
        SOURCE,
        "held-out R2 of the core's operator divided by that of the operator on the chain's states",
        Bound(">=", 0.97),
        "paper",
        f"the published ratio is above .98; {OUTPUTS}",
        controls=("untrained", "outputs"),
        measure=dynamics.oracle_r2,
        kind="P",
        replication=Replication("above .98", as_published.oracle_r2, IN_SAMPLE),
    ),
    Claim(
        "markov.consensus",
        "A consensus subspace of the whole states is no substitute for the core: larger, and its removal is not fatal.",
        SOURCE,
        "smaller of: rank of the consensus over 5 times the core's; accuracy above chance after its removal over 0.1",
        Bound(">=", 1.0),
        "paper",
        "published: 48 dimensions against 3, and .52 to .55 accuracy after removal; here 5 times and chance + 10 %;"
        " where it is so of untrained models, it speaks of the method and not of what was learnt",
        controls=("untrained",),
        measure=ablation.consensus_substitute,
        kind="P",
        replication=Replication(
            ".52 to .55 after removal",
            as_published.consensus,
            "there accuracy, and a cut of the consensus that is not on record; the cut at the largest gap is ours",
        ),
    ),
    Claim(
        "markov.transplant",
        "Core coordinates of one model, mapped affinely, run another.",
        OURS,
        "accuracy of the host on transplanted coordinates minus its own accuracy, same sequences",
        Bound(">=", -0.01),
        "equivalence margin",
        f"{POINT}, as sufficiency; {OUTPUTS}",
        controls=("shuffled map", "untrained donor", "outputs"),
        measure=likeness.transplant,
    ),
    Claim(
        "markov.generation",
        "Chains generated by the core alone have the chain's transition matrix.",
        OURS,
        "largest difference between an entry of the generated chains' transition matrix and of the chain's own",
        Bound("<=", optimum.MARGIN),
        "equivalence margin",
        "one percentage point in every entry, as markov.accuracy; 3,000 chains of the published length, 30 a draw of"
        " the rest, of which only what its own scatter leaves counts",
        controls=("chains along the rest",),
        measure=dynamics.generation,
    ),
    Claim(
        "markov.low_rank",
        "A chain of 8 states with 4 distinct rows has a 3-dimensional core: the core counts what prediction needs.",
        OURS,
        "dimensions of the core at 0.999 of the energy",
        Bound("<=", 0.0, "distinct rows - 1"),
        "theorem",
        "4 distinct next-state distributions span 3 dimensions of centred logits",
        controls=("untrained",),
        measure=optimum.low_rank,
        about="low_rank",
    ),
)
