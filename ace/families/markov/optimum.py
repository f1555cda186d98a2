"""How well models of a Markov chain predict, and how many dimensions that takes."""

from __future__ import annotations

import numpy as np

from ace.errors import Inapplicable
from ace.stats import Estimate, bootstrap
from ace.study.measurement import Measurement, measures
from ace.study.tokens import TokenStudy, TokenSubject, standard_error
from ace.tasks.base import Split
from ace.tasks.markov import MarkovChain


@measures("untrained")
def accuracy(subject: TokenSubject) -> Measurement:
    """Deviation from the Bayes predictor in its own standard errors, the larger of accuracy's and cross-entropy's."""
    batch = subject.trained.batch(Split.EVALUATION)
    oracle_hits, oracle_loss = batch.oracle_hits.mean(axis=1), batch.oracle_loss.mean(axis=1)
    errors = np.array([standard_error(oracle_hits), standard_error(oracle_loss)])

    def deviations(study: TokenStudy) -> tuple[Estimate, ...]:
        return tuple(
            bootstrap(
                str(index),
                np.stack([hits.mean(axis=1) - oracle_hits, loss.mean(axis=1) - oracle_loss], axis=1),
                lambda mean: float(np.max(np.abs(mean) / errors)),
            )
            for index, (hits, loss) in enumerate(study.base(k) for k in range(len(study)))
        )

    base = [subject.trained.base(k) for k in range(len(subject.trained))]
    return Measurement(
        deviations(subject.trained),
        {"untrained": deviations(subject.twins())},
        details={
            "accuracy": [float(hits.mean()) for hits, _ in base],
            "cross-entropy": [float(loss.mean()) for _, loss in base],
            "oracle accuracy": float(oracle_hits.mean()),
            "oracle cross-entropy": float(oracle_loss.mean()),
        },
    )


@measures("low-rank chain", "untrained")
def rank(subject: TokenSubject) -> Measurement:
    """Dimensions of the core, less those of the chain's next-state distributions if all rows were different."""
    studies = {"low-rank chain": subject.companion("low-rank chain"), "untrained": subject.twins()}
    return Measurement(
        _ranks(subject.trained, subject.trained.task.vocabulary - 1),
        {name: _ranks(study, study.task.vocabulary - 1) for name, study in studies.items()},
        details={
            "dimensions": [subject.trained.core(k).dimension for k in range(len(subject.trained))],
            "sigma": _spectra(subject.trained),
        },
    )


@measures("untrained")
def low_rank(subject: TokenSubject) -> Measurement:
    """Dimensions of the core of a chain with fewer distinct rows than states."""
    task = subject.trained.expect_task(MarkovChain)
    _require_optimum(subject.trained)
    return Measurement(
        _ranks(subject.trained),
        {"untrained": _ranks(subject.twins())},
        {"distinct rows - 1": float(task.distinct_rows - 1)},
        {"sigma": _spectra(subject.trained), "states": task.vocabulary},
    )


def _ranks(study: TokenStudy, less: int = 0) -> tuple[Estimate, ...]:
    """Dimensions of every core, less a number; replicates from resampled extraction sequences."""
    estimates = []
    for index in range(len(study)):
        value = float(study.core(index).dimension - less)
        estimates.append(Estimate(str(index), value, replicates=study.replicate_ranks(index) - less))
    return tuple(estimates)


def _spectra(study: TokenStudy) -> list[list[float]]:
    """Leading sigma of every core, for the figure; none where an extractor gives a basis alone."""
    cores = [study.core(k) for k in range(len(study))]
    return [core.sigma[: study.task.vocabulary].tolist() if core.balanced else [] for core in cores]


def _require_optimum(study: TokenStudy) -> None:
    """The claim speaks about models at the Bayes optimum: cross-entropy within 3 standard errors of the oracle's."""
    oracle = study.batch(Split.EVALUATION).oracle_loss.mean(axis=1)
    for index in range(len(study)):
        excess = float((study.base(index)[1].mean(axis=1) - oracle).mean())
        if excess > 3 * standard_error(oracle):
            raise Inapplicable(
                f"model {index} is not at the Bayes optimum: cross-entropy {excess:.4f} nats above the oracle's,"
                f" more than three standard errors ({3 * standard_error(oracle):.4f})"
            )
