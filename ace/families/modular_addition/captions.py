"""What the figure of modular addition shows, in words, from the record alone."""

from __future__ import annotations

from typing import Any

from ace.families.style import Results, Words, models, span

RIVAL = "PCA"  # the alternative that is drawn beside the core


def grokked(results: Results) -> list[int]:
    """Each seed's first checkpoint after it generalised, of those whose ablations are drawn."""
    epochs = results["modadd.formation"]["details"]["course"]["epochs"]
    return [
        next((epoch for epoch in epochs if generalised is not None and epoch >= generalised), epochs[-1])
        for generalised in results["modadd.grok"]["details"]["generalised"]
    ]


def words(results: Results) -> Words:
    """Four rows: what is drawn, and what comes out in each."""
    seeds = len(results["modadd.grok"]["values"])
    alt = (
        f"Four rows of panels about {models(seeds)} along training: accuracy on training and held-out pairs, and"
        " held-out accuracy with the core kept and removed; how many dimensions accuracy takes and is spread over, and"
        " the same in three arms with and without weight decay; eigenvalues of the shift operator in the complex"
        " plane at each stage; and maps of the energy of every frequency at every checkpoint, one a seed."
    )
    return Words(alt, " ".join([_learnt(results), _ablations(results), _growth(results), _operator(results)]))


def _learnt(results: Results) -> str:
    details = results["modadd.grok"]["details"]
    return (
        f"Models memorise by epoch {span(details['memorised'], 6)} and generalise at epoch"
        f" {span(details['generalised'], 6)}; {details['trained to']:,} epochs were trained."
    )


def _ablations(results: Results) -> str:
    keep, remove = results["modadd.sufficiency"], results["modadd.necessity"]
    text = (
        f"At the first checkpoint after that, keeping a core of {span(keep['details']['dimensions'])} dimensions"
        f" changes held-out accuracy by {span(keep['values'])}, removing it leaves {span(remove['values'])} (chance"
        f" {remove['details']['chance']:.2g})"
    )
    if RIVAL in keep.get("beside", {}) and RIVAL in remove.get("beside", {}):
        kept, left = (span(value for value, _, _ in claim["beside"][RIVAL]) for claim in (keep, remove))
        text += f"; {RIVAL} of equal rank (squares) gives {kept} and {left}"
    return f"{text}."


def _growth(results: Results) -> str:
    decay, free = results["modadd.inflation"], results["modadd.no_inflation"]
    return (
        f"From there to the end, accuracy comes to be spread over {span(decay['values'])} times as many dimensions, and"
        f" without weight decay, from the branch at epoch {decay['details']['branch']:,}, over {span(free['values'])}."
    )


def _operator(results: Results) -> str:
    rotation, modes = results["modadd.rotation"], results["modadd.mode_growth"]
    return (
        f"{_share(rotation)} of the shift operator's eigenvalues lie on the ring after grokking. The effective number"
        f" of frequencies that carry it grows {span(modes['values'])} times. A checkpoint's column reaches half way to"
        " the next."
    )


def _share(result: Any) -> str:
    return " to ".join(f"{100 * end:.0f} %" for end in sorted({min(result["values"]), max(result["values"])}))
