"""The words that verdicts and claims are told in, each in a sentence or two: what `ace explain WORD` prints."""

from __future__ import annotations

from collections.abc import Mapping

SOURCES: Mapping[str, str] = {
    "paper": "the paper's own number",
    "theorem": "it follows by proof",
    "null": "what chance alone stays within, drawn or computed",
    "chance": "what guessing reaches",
    "oracle": "what the best predictor there is reaches",
    "equivalence margin": "how much still counts as the same, fixed before any run; no published number",
}
TERMS: Mapping[str, str] = {
    "site": "One place in the network where the hidden state passes as a single tensor; it is read and written there."
    " Site l is the input of block l, the last one the input of the final norm.",
    "core": "A low-dimensional subspace of the states at a site, found by balancing how states vary against what the"
    " task's outputs are sensitive to; with the point that edits turn about.",
    "sensitivities": "Gradients of the task's outputs with respect to the state at a site.",
    "keep": "An edit: the state's part in the core stays, all else goes to its mean.",
    "remove": "An edit: the state's part in the core goes to its mean, all else stays.",
    "flip": "An edit: the state's part in the core is reflected about its mean.",
    "orthogonal": "The projector onto the core's range at right angles, as published. Where a few dimensions vary far"
    " more than others, it sees those first.",
    "oblique": "The projector that reads what the task reads and writes along the core: it does not depend on the"
    " coordinates that a model happens to have.",
    "separation": "Mean contrast of one class of prompts minus that of the other under an edit, over the same without:"
    " 1 is untouched, 0 gone, -1 mirrored.",
    "alternatives": "Other axes and subspaces in the core's place: mean difference, PCA, gradients alone, LDA, a probe,"
    " LEACE, DAS. They are no controls, for they may find the same subspace: they show what ACE adds.",
    "rank p-value": "(1 + number of random subspaces that do as well as the core) / (their number + 1), which must not"
    " exceed .01 in any seed where the rest is a control.",
    "documented": "Known beforehand, with reason and figures: a verdict that is documented passes, and any other, a"
    " better one too, fails the run.",
    "interval": "Of each seed at 95 %, at Holm's adjusted levels: a sentence about every model holds when it holds in"
    " each.",
}
