"""What a measurement needs its study to be."""

from __future__ import annotations

from ace.errors import ClaimError
from ace.study.tokens import Study
from ace.tasks.markov import MarkovChain
from ace.training.transformer import SmallTransformer


def chain_of(study: Study) -> MarkovChain:
    """The study's task as a Markov chain, or `ClaimError`."""
    if not isinstance(study.task, MarkovChain):
        raise ClaimError(f"subject: expected a Markov chain, got {type(study.task).__name__}")
    return study.task


def small_model(study: Study, index: int) -> SmallTransformer:
    """A model of the study as a small transformer, or `ClaimError`."""
    model = study.models[index]
    if not isinstance(model, SmallTransformer):
        raise ClaimError(f"subject: expected small transformers, got {type(model).__name__}")
    return model
