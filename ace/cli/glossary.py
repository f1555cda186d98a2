"""The words that verdicts and claims are told in, each in a sentence or two: what `ace explain WORD` prints.

The page `docs/glossary.md` is made of `TERMS` and of the controls that several families share.
"""

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
    " Site l is the input of block l, the last one the input of the final norm, or of the head where there is none.",
    "states": "What passes at a site on some inputs: a row for each token or prompt, d columns.",
    "sensitivities": "Gradients of the task's outputs with respect to the state at a site, one a row. Below a linear"
    " head they are its weight.",
    "core": "A low-dimensional subspace of the states at a site, found by balancing how states vary against what the"
    " task's outputs are sensitive to: directions, readers, an orthonormal basis, the point that edits turn about, and"
    " the rule that chose its size.",
    "keep": "An edit: the state's part in the core stays, all else goes to its mean.",
    "remove": "An edit: the state's part in the core goes to its mean, all else stays.",
    "flip": "An edit: the state's part in the core is reflected about its mean.",
    "scale": "An edit: the state's part in the core, as far as it differs from its mean, is multiplied.",
    "orthogonal": "The projector onto the core's range at right angles, as published; it changes with the coordinates."
    " Where a few dimensions vary far more than others, it sees those first.",
    "oblique": "The projector that reads what the task reads and writes along the core: it does not depend on the"
    " coordinates that a model happens to have.",
    "separation": "Mean contrast of one class of prompts minus that of the other under an edit, over the same without:"
    " 1 is untouched, 0 gone, -1 mirrored. An AUC sees order alone: it does not tell whether a contrast is gone.",
    "alternatives": "Other axes and subspaces in the core's place: mean difference, PCA, gradients alone, LDA, a probe,"
    " LEACE, DAS. They are no controls, for they may find the same subspace: they show what ACE adds.",
    "claim": "A sentence with its quantity, its bound and where that comes from, and its controls. Of kind P it is the"
    " paper's own, of kind S strengthened, or ours.",
    "subject": "What a claim is verified on: some models, a task and a site.",
    "control": "A case in which the sentence of a claim should not hold. Where it does, the verdict is VACUOUS.",
    "rank p-value": "(1 + number of random subspaces that do as well as the core) / (their number + 1), which must not"
    " exceed .01 in any seed where the rest is a control.",
    "seed": "One of several independent trainings of the same recipe. A sentence about every model holds when it holds"
    " in each.",
    "split": "Inputs for extraction, selection and evaluation differ. To evaluate on the split that a core was"
    " extracted from is an error.",
    "interval": "Of each seed at 95 %, at Holm's adjusted levels: a sentence about every model holds when it holds in"
    " each.",
    "documented": "Known beforehand, with reason and figures: a verdict that is documented passes, and any other, a"
    " better one too, fails the run.",
    "recipe": "All that determines the weights of the models trained here, in one TOML file; its hash is part of the"
    " weights' address.",
    "record": "The results of a run as one JSON file. Tables and figures are drawn from it alone.",
}
