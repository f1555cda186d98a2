"""The registry: every claim with its statement, source, quantity, bound and the controls on which it must fail.

Bounds live here and nowhere else. Each follows from the paper, a theorem, a null or chance; none is moved to make a run
pass. Ids, bounds and controls are those of the project's table of claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ace.errors import ClaimError

DIRECTIONS = ("<=", ">=", "==")


@dataclass(frozen=True)
class Bound:
    """`direction` `offset + factor * reference`, the reference being measured on the same data.

    Attributes:
        direction: "<=", ">=" or "==".
        offset: fixed part, in the claim's unit.
        reference: name of a measured number, such as the standard error of chance, or "".
        factor: what the reference is multiplied by.
    """

    direction: str
    offset: float = 0.0
    reference: str = ""
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ClaimError(f"direction: expected one of {', '.join(DIRECTIONS)}, got {self.direction!r}")

    def threshold(self, references: Mapping[str, float]) -> float:
        """The number a value is held against.

        Raises:
            ClaimError: the reference was not measured.
        """
        if not self.reference:
            return self.offset
        if self.reference not in references:
            raise ClaimError(f"bound: expected a measured reference {self.reference!r}, got {sorted(references)}")
        return self.offset + self.factor * references[self.reference]

    def place(self, low: float, high: float, threshold: float) -> str:
        """Where an interval lies: "inside", "outside" or "straddles" the bound."""
        if self.direction == "==":
            if low == high == threshold:
                return "inside"
            return "straddles" if low <= threshold <= high else "outside"
        worst, best = (high, low) if self.direction == "<=" else (low, high)
        if self.margin(worst, threshold) >= 0:
            return "inside"
        return "outside" if self.margin(best, threshold) < 0 else "straddles"

    def margin(self, value: float, threshold: float) -> float:
        """How far inside the bound a value lies; negative outside."""
        if self.direction == "==":
            return -abs(value - threshold)
        return threshold - value if self.direction == "<=" else value - threshold

    def __str__(self) -> str:
        terms = [f"{self.offset:g}"] if self.offset or not self.reference else []
        if self.reference:
            terms.append(self.reference if self.factor == 1 else f"{self.factor:g} {self.reference}")
        return f"{self.direction} {' + '.join(terms)}"


@dataclass(frozen=True)
class Claim:
    """One sentence, made falsifiable.

    Attributes:
        id: such as "markov.spectrum".
        statement: the sentence, in our words.
        source: where it stands in the paper, or "ours" for a strengthened form or control.
        quantity: what is measured, and its unit.
        bound: what the quantity is held against.
        bound_source: "paper", "theorem", "null", "chance" or "oracle".
        rationale: why the margin is what it is.
        controls: names of the controls that must lie outside the bound; one inside makes the claim VACUOUS.
        reported: names of controls shown beside it that need not lie outside.
        needs_behaviour: INAPPLICABLE where a model does not perform above chance.
        narrows: the bound is in standard errors, so it narrows with the interval as samples are added.
    """

    id: str
    statement: str
    source: str
    quantity: str
    bound: Bound
    bound_source: str
    rationale: str
    controls: tuple[str, ...]
    reported: tuple[str, ...] = ()
    needs_behaviour: bool = True
    narrows: bool = False


PAPER = "arXiv 2602.22600, Markov-chain transformers"
MODADD = "arXiv 2602.22600, modular addition"
AGREEMENT = "arXiv 2602.22600, subject-verb agreement"
OURS = "ours"

_CLAIMS = (
    Claim(
        "markov.accuracy",
        "Each model reaches the accuracy and the cross-entropy of the Bayes predictor.",
        PAPER,
        "larger deviation from the oracle, of accuracy and of cross-entropy, in standard errors of the oracle's own",
        Bound("<=", 3.0),
        "oracle",
        "three standard errors of the oracle's accuracy and cross-entropy on the same sequences",
        controls=("untrained",),
        needs_behaviour=False,
        narrows=True,
    ),
    Claim(
        "markov.rank",
        "The core has one dimension fewer than the chain has states, in every seed.",
        PAPER,
        "dimensions of the core at 0.999 of the energy, less the chain's states - 1",
        Bound("==", 0.0),
        "theorem",
        "a distribution over s states has s - 1 free logits; a linear head bounds the rank by the same number from"
        " above, so untrained models are reported, and a chain that needs fewer dimensions than states - 1 must differ",
        controls=("low-rank chain",),
        reported=("untrained",),
    ),
    Claim(
        "markov.sufficiency",
        "The core alone preserves accuracy.",
        PAPER,
        "accuracy with the core kept minus accuracy of the whole model, same sequences",
        Bound(">=", -0.01),
        "paper",
        "non-inferior within one percentage point",
        controls=("random, Haar", "random, covariance", "complement"),
        reported=("PCA",),
    ),
    Claim(
        "markov.sufficiency_loss",
        "The core alone preserves the predicted distribution, not only its argmax.",
        f"{OURS}: strengthened form of markov.sufficiency",
        "cross-entropy with the core kept minus cross-entropy of the whole model, nats, same sequences",
        Bound("<=", 0.01),
        "paper",
        "the same margin as markov.sufficiency, in nats: a loss of 0.01 nat is a relative probability of 1 %",
        controls=("random, Haar", "random, covariance", "complement"),
        reported=("PCA",),
    ),
    Claim(
        "markov.necessity",
        "Without the core accuracy falls to chance.",
        PAPER,
        "accuracy with the core removed minus accuracy of the best constant guess on the same sequences",
        Bound("<=", 0.0, "s.e. of chance", 3.0),
        "chance",
        "three standard errors, by sequence, of the constant guess's accuracy",
        controls=("random, Haar", "random, covariance"),
        reported=("PCA", "oblique"),
        narrows=True,
    ),
    Claim(
        "markov.divergence",
        "The cores of different seeds lie in nearly orthogonal subspaces.",
        PAPER,
        "overlap of two cores: mean squared cosine of the principal angles",
        Bound("<=", 0.0, "99.9% of Haar subspaces"),
        "null",
        "99.9 % quantile of the overlap of independent Haar subspaces of equal rank",
        controls=("untrained", "same model"),
    ),
    Claim(
        "markov.weights",
        "The weights of different seeds differ.",
        PAPER,
        "absolute cosine of all weights of two models",
        Bound("<=", 0.0, "99.9% of independent inits"),
        "null",
        "99.9 % quantile over pairs of independent initialisations of the same recipe",
        controls=("untrained", "own initialisation"),
    ),
    Claim(
        "markov.alignment",
        "Core coordinates agree across seeds up to a linear map.",
        PAPER,
        "smallest canonical correlation of the core coordinates of two seeds, held out",
        Bound(">=", 0.9),
        "paper",
        "the published third correlation is .93",
        controls=("untrained",),
    ),
    Claim(
        "markov.spectrum",
        "The linear operator fitted in the core has the chain's eigenvalues other than 1.",
        PAPER,
        "optimal matching distance of fitted and true eigenvalues",
        Bound("<=", 0.02, "sampling term"),
        "paper",
        "published errors are below 1 to 2 %; the sampling term is the 95 % quantile of the same distance for the"
        " operator fitted to the chain's own states on the same sequences",
        controls=("untrained",),
    ),
    Claim(
        "markov.oracle_r2",
        "The operator predicts the next core coordinates as well as the chain's states predict each other.",
        PAPER,
        "held-out R2 of the core's operator divided by that of the operator on the chain's states",
        Bound(">=", 0.97),
        "oracle",
        "the published ratio is above .98",
        controls=("untrained",),
    ),
    Claim(
        "markov.consensus",
        "A consensus subspace of the whole states is no substitute for the core: larger, and its removal is not fatal.",
        PAPER,
        "smaller of: rank of the consensus over 5 times the core's; accuracy above chance after its removal over 0.1",
        Bound(">=", 1.0),
        "paper",
        "published: 48 dimensions against 3, and .52 to .55 accuracy after removal; here 5 times and chance + 10 %",
        controls=("core as consensus",),
        reported=("untrained",),
    ),
    Claim(
        "markov.transplant",
        "Core coordinates of one model, mapped affinely, run another.",
        OURS,
        "accuracy of the host on transplanted coordinates minus its own accuracy, same sequences",
        Bound(">=", -0.01),
        "paper",
        "non-inferior within one percentage point, as sufficiency",
        controls=("shuffled map", "untrained donor"),
    ),
    Claim(
        "markov.generation",
        "Chains generated by the core alone have the chain's transition matrix.",
        OURS,
        "smallest Holm-adjusted binomial p-value over the entries of the transition matrix",
        Bound(">=", 0.001),
        "null",
        "each entry inside its 99.9 % binomial interval, family-wise; 3,000 chains of the published length",
        controls=("random, Haar",),
        reported=("whole model",),
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
    ),
    Claim(
        "hidden_markov.belief",
        "For a hidden Markov process the core linearly carries the belief state.",
        f"{OURS}; belief states in the residual stream: arXiv 2405.15943",
        "held-out R2 of the belief from the core minus that from the whole state",
        Bound(">=", -0.03),
        "oracle",
        "within .03 of what the whole state carries; the current token and untrained cores must lie below",
        controls=("current token", "untrained"),
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
    ),
    Claim(
        "modadd.grok",
        "Training accuracy saturates long before held-out accuracy, which gets there all the same.",
        MODADD,
        "points of the training curve from .99 on training pairs to .99 on held-out pairs; 0 if held-out ends below",
        Bound(">=", 1.0),
        "paper",
        "a delay that the curve resolves; the published one is some 700 epochs",
        controls=("training pairs held out",),
        needs_behaviour=False,
    ),
    Claim(
        "modadd.formation",
        "The core appears at grokking.",
        MODADD,
        "1 if at the first checkpoint after grokking the core alone answers .99 and removing it leaves chance, and not"
        " both at the last checkpoint before, else 0",
        Bound("==", 1.0),
        "chance",
        "kept: the interval reaches the published threshold of generalisation; removed: as modadd.necessity",
        controls=("memorised", "random, Haar"),
        needs_behaviour=False,
    ),
    Claim(
        "modadd.sufficiency",
        "The core alone keeps accuracy.",
        MODADD,
        "accuracy with the core kept minus accuracy of the whole model, same pairs",
        Bound(">=", -0.01),
        "paper",
        "non-inferior within one percentage point",
        controls=("random, Haar", "random, covariance", "complement"),
        reported=("PCA",),
    ),
    Claim(
        "modadd.necessity",
        "Without the core accuracy is at chance.",
        MODADD,
        "accuracy with the core removed",
        Bound("<=", 0.0, "chance and 3 s.e."),
        "chance",
        "1 / p and three standard errors on the same pairs; the published bound is 2 / p",
        controls=("random, Haar", "random, covariance"),
        reported=("PCA", "oblique"),
        narrows=True,
    ),
    Claim(
        "modadd.rotation",
        "The shift operator's eigenvalues lie on the unit circle after grokking, and inside it before.",
        MODADD,
        "share of eigenvalues within sin(pi / p) of the circle; rank at most p / 3, operators without held-out edges",
        Bound(">=", 0.9),
        "paper",
        "the paper has them all on the ring; one in ten may be off it",
        controls=("memorised", "permuted labels"),
        reported=("at the end", "random class means, in sample at rank p - 1"),
    ),
    Claim(
        "modadd.operator_r2",
        "The shift operator predicts the class mean of c + 1 from that of c.",
        MODADD,
        "R2 on edges left out of the fit, rank at most p / 3",
        Bound(">=", 0.0, "larger of null and 0"),
        "null",
        "above the 99.9 % quantile over random orders of the classes, and above 0, predicting nothing; in-sample at"
        " rank p - 1 any means give 1",
        controls=("memorised", "permuted labels", "random class means"),
        reported=("at the end", "random class means, in sample at rank p - 1"),
    ),
    Claim(
        "modadd.angles",
        "The angles of its eigenvalues are multiples of 2 pi / p.",
        MODADD,
        "mean distance of an angle to the grid, in units of 2 pi / p; rank at most p / 3, without held-out edges",
        Bound("<=", 0.0, "99.9% of permuted labels"),
        "null",
        "below the .1 % quantile over random orders of the classes; chance is .25",
        controls=("memorised", "permuted labels"),
        reported=("at the end", "random class means, in sample at rank p - 1"),
    ),
    Claim(
        "modadd.inflation",
        "With weight decay the core inflates after grokking.",
        MODADD,
        "r_nec at the end over r_nec at the first checkpoint after grokking",
        Bound(">=", 2.0),
        "paper",
        "published: 15 to 60 dimensions; half of that growth",
        controls=("without weight decay", "random subspaces"),
        reported=("reset, with weight decay",),
    ),
    Claim(
        "modadd.no_inflation",
        "Without weight decay it does not.",
        MODADD,
        "r_nec at the end over r_nec at the branch, in the arm without weight decay",
        Bound("<=", 1.3),
        "paper",
        "flat; the control arm has weight decay and the same fresh optimiser",
        controls=("reset, with weight decay", "random subspaces at the end"),
        reported=("weight decay all along",),
    ),
    Claim(
        "modadd.redundancy",
        "Necessity grows and sufficiency does not: the core becomes redundant.",
        MODADD,
        "growth of r_nec - r_suf from the first checkpoint after grokking to the end, in dimensions",
        Bound(">=", 1.0),
        "paper",
        "the gap widens by at least one dimension",
        controls=("without weight decay", "no training between"),
    ),
    Claim(
        "modadd.modes",
        "Rotation modes fill up to p // 2 + 1.",
        MODADD,
        "distinct modes of the operator on all core coordinates at the end, the constant one with them",
        Bound("==", 0.0, "p // 2 + 1"),
        "paper",
        "the published count for p = 53 is 27; class means in general position have as many, and so have the"
        " whole states of a model that has learnt nothing yet",
        controls=("random class means", "memorised"),
        reported=("whole states, untrained", "whole states, memorised", "whole states, at the end"),
    ),
    Claim(
        "modadd.mode_growth",
        "Under weight decay more and more modes carry the operator's energy.",
        f"{OURS}: strengthened form of modadd.modes",
        "modes that hold 99 % of the energy at the end, over those at the first checkpoint after grokking",
        Bound(">=", 2.0),
        "paper",
        "as modadd.inflation: a mode is two dimensions",
        controls=("without weight decay", "random class means"),
    ),
    Claim(
        "modadd.universality",
        "Seeds share the algorithm, not only the spectrum: core coordinates of one run another.",
        f"{OURS}; gradient symmetricity and distance irrelevance: arXiv 2306.17844",
        "accuracy of the host on transplanted coordinates minus its own accuracy, same pairs",
        Bound(">=", -0.01),
        "paper",
        "non-inferior within one percentage point, as sufficiency",
        controls=("shuffled map", "memorised donor"),
        reported=("at the end",),
    ),
    Claim(
        "agreement.behaviour",
        "The model agrees at all: its contrast of verb forms tells the number of the head.",
        AGREEMENT,
        "AUC of the contrast for the head's number, crossed prompts",
        Bound(">=", 0.7),
        "chance",
        "chance is .5; below .7 there is nothing to explain, and every claim about agreement is INAPPLICABLE",
        controls=("untrained",),
    ),
    Claim(
        "agreement.one_dimension",
        "One axis carries agreement.",
        AGREEMENT,
        "1 if one dimension keeps the AUC within .02 and the relative gap after sigma_1 exceeds the 99.9 % quantile of"
        " turned sensitivities, else 0",
        Bound("==", 1.0),
        "null",
        "the paper has one dimension at every scale; turning keeps both spectra and destroys their alignment",
        controls=("untrained, own labels", "arbitrary contrasts"),
    ),
    Claim(
        "agreement.sufficiency",
        "Keeping the axis keeps agreement.",
        AGREEMENT,
        "AUC with the core kept at the last position minus the model's own, same prompts",
        Bound(">=", -0.02),
        "paper",
        "non-inferior within .02",
        controls=("random, Haar", "random, covariance", "complement"),
        reported=("arbitrary contrasts",),
    ),
    Claim(
        "agreement.necessity",
        "Removing the axis destroys agreement.",
        AGREEMENT,
        "distance from .5 of the AUC with the core removed",
        Bound("<=", 0.05, "half of the .5 interval"),
        "chance",
        "the 95 % interval of an AUC that tells nothing, widened by .05",
        controls=("random, Haar", "random, covariance"),
        reported=("arbitrary contrasts",),
        narrows=True,
    ),
    Claim(
        "agreement.flip",
        "Reflecting the axis inverts number.",
        AGREEMENT,
        "AUC under the flip minus (1 - the model's own), or the same of accuracy, whichever is larger",
        Bound("<=", 0.05),
        "paper",
        "a perfect inversion turns every AUC and accuracy into one minus it",
        controls=("random, Haar", "random, covariance"),
        reported=("arbitrary contrasts",),
    ),
    Claim(
        "agreement.depth",
        "Keeping, removing and reflecting all do so below the top.",
        f"{OURS}: strengthened form of the three before",
        "the largest of their excesses over what each is allowed, at a site in the lower 80 % of depth",
        Bound("<=", 0.0),
        "paper",
        "the three bounds before, together, at a site that the selection split chose among the lower ones",
        controls=("random, Haar", "random, covariance", "arbitrary contrasts"),
    ),
    Claim(
        "agreement.final_norm",
        "At the final norm reflecting the oblique axis inverts number.",
        f"{OURS}: the tautology that agreement.depth guards against",
        "AUC under the flip minus (1 - the model's own), oblique projector, input of the final norm",
        Bound("<=", 0.05),
        "theorem",
        "what is read there is nearly linear, so the axis of any contrast of any model does the same",
        controls=("untrained, own labels", "random, Haar"),
    ),
    Claim(
        "agreement.knob",
        "The contrast is affine in the core coordinate.",
        AGREEMENT,
        "held-out R2 of the contrast on the core coordinates",
        Bound(">=", 0.9),
        "paper",
        "published R2 is high; a tenth may be left unexplained",
        controls=("random, Haar", "random, covariance", "embedding of the last token"),
    ),
    Claim(
        "agreement.dose",
        "The contrast follows the strength of the intervention all the way to the other number.",
        f"{OURS}: strengthened form of agreement.knob",
        "share of prompts whose contrast moves one way at every step of strength from 1 to -1 and ends beyond zero",
        Bound(">=", 0.9),
        "paper",
        "monotone; one prompt in ten may stray",
        controls=("random, Haar", "random, covariance"),
    ),
    Claim(
        "agreement.scales",
        "Core coordinates agree across scales.",
        AGREEMENT,
        "correlation of two models' coordinates on shared prompts, within each number",
        Bound(">=", 0.7),
        "paper",
        "half of the variance shared; within a class, so that the two numbers alone cannot make it",
        controls=("untrained", "other prompts"),
    ),
    Claim(
        "agreement.generation",
        "Flipping inverts number all through open-ended generation.",
        AGREEMENT,
        "the larger of .9 - share of copulas that agree in clean text, and that share under the flip - .1",
        Bound("<=", 0.0),
        "paper",
        "nine in ten agree clean, one in ten flipped; 50 tokens, temperature 1, top 50",
        controls=("random, Haar",),
    ),
    Claim(
        "agreement.attractor",
        "The axis codes the number of the head, not of the attractor.",
        OURS,
        "partial coefficient of the core coordinate on the head's number over that on the attractor's, crossed 2 x 2",
        Bound(">=", 3.0),
        "paper",
        "the published prompts confound the two; three to one leaves no doubt which is coded",
        controls=("embedding of the last token",),
    ),
    Claim(
        "agreement.transfer",
        "The axis transfers to verbs, nouns and templates that were not used to find it.",
        OURS,
        "AUC of has against have, and of regular verbs, with the copula's core flipped",
        Bound("<=", 0.25),
        "chance",
        "half way from chance to a perfect inversion",
        controls=("random, Haar",),
    ),
    Claim(
        "agreement.collateral",
        "Removing the axis leaves other text alone.",
        OURS,
        "KL of the next token on neutral text, over the smaller of .1 nat and the 99th percentile of norm-matched"
        " random directions",
        Bound("<=", 1.0),
        "null",
        "at most .1 nat, and no more than removing as much along a random direction does",
        controls=("agreement prompts",),
    ),
    Claim(
        "agreement.dormant",
        "The effect is carried by directions that downstream weights read.",
        f"{OURS}; dormant directions: arXiv 2311.17030",
        "effect of flipping the read part of the axis over that of the whole",
        Bound(">=", 0.9),
        "paper",
        "read: directions that hold .9 of what linear maps above the site take in; as many random ones must do less",
        controls=("random directions as many",),
    ),
)

REGISTRY: Mapping[str, Claim] = MappingProxyType({claim.id: claim for claim in _CLAIMS})


def claim(identifier: str) -> Claim:
    """The claim of that id.

    Raises:
        ClaimError: there is none.
    """
    if identifier not in REGISTRY:
        raise ClaimError(f"claim: no claim {identifier!r}; known: {', '.join(REGISTRY)}")
    return REGISTRY[identifier]
