"""What the figure of the Markov results shows, in words, from the record alone."""

from __future__ import annotations

from ace.families.style import Result, Results, Words, models, span

RIVAL = "PCA"  # the alternative that is drawn by itself
NOT_METHODS = ("oblique", RIVAL)


def others(result: Result) -> list[str]:
    """Names of the alternatives that a claim was measured with, but for PCA, which has a colour of its own."""
    return [name for name in result.get("beside", {}) if name not in NOT_METHODS]


def words(results: Results) -> Words:
    """Six panels: what is drawn, and what comes out in each."""
    seeds = len(results["markov.accuracy"]["details"]["accuracy"])
    alt = (
        f"Six panels about {models(seeds)} trained independently: similarity of their weights, accuracy with the core"
        " kept and removed beside PCA, other alternatives and random subspaces, overlap of cores, correlation of their"
        " coordinates, and eigenvalues in the complex plane, whole and magnified."
    )
    return Words(alt, " ".join([_weights(results), _ablations(results), _agreement(results), _spectrum(results)]))


def _weights(results: Results) -> str:
    result = results["markov.weights"]
    return f"Weights of two seeds have cosines of {span(map(abs, result['values']))}."


def _ablations(results: Results) -> str:
    accuracy, keep, remove = (results[f"markov.{name}"] for name in ("accuracy", "sufficiency", "necessity"))
    whole = accuracy["details"]["accuracy"]
    kept = [base + change for base, change in zip(whole, keep["values"], strict=True)]
    text = (
        f"Accuracy is {span(whole)} whole (Bayes {accuracy['details']['oracle accuracy']:.3g}), {span(kept)} with the"
        f" core kept and {span(remove['details']['accuracy after removal'])} with it removed (chance"
        f" {remove['details']['chance']:.3g})."
    )
    if RIVAL not in keep.get("beside", {}) or RIVAL not in remove.get("beside", {}):
        return text
    change, left = (span(value for value, _, _ in claim["beside"][RIVAL]) for claim in (keep, remove))
    text += (
        f" {RIVAL} of equal rank in the core's place changes accuracy by {change} where it is kept and leaves {left}"
    )
    text += " of what the model scores above chance where it is removed"
    names = others(keep)
    if names:
        far = [abs(value) for name in names for value, _, _ in keep["beside"][name]]
        text += f"; {', '.join(names)} change it by at most {max(far):.2g} where they are kept"
    nearest = span(drawn["nearest"][0] for drawn in keep["rest"])
    return f"{text}. The most favourable random subspace of the rest, kept, changes it by {nearest}."


def _agreement(results: Results) -> str:
    overlap, alignment = results["markov.divergence"], results["markov.alignment"]
    label, worst = min(zip(alignment["seeds"], alignment["values"], strict=True), key=lambda pair: pair[1])
    return (
        f"Cores of two seeds overlap by {span(overlap['values'])}, untrained ones by"
        f" {span(overlap['control_values']['untrained'])}. Of the correlation of their coordinates the claim's value"
        f" is {worst:.3g} in the worst pair, {label}."
    )


def _spectrum(results: Results) -> str:
    result = results["markov.spectrum"]
    far = max(result["values"])
    return f"Fitted eigenvalues lie at most {far:.2g} from the chain's; the bound is {result['bound']:.2g}."
