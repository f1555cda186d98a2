"""How well models of a Markov chain predict, and how many dimensions that takes."""

from __future__ import annotations

from ace.errors import Inapplicable
from ace.families.trained import share_that_may_fail
from ace.stats import Estimate, bootstrap_mean
from ace.study.measurement import Measurement, measures
from ace.study.tokens import TokenStudy, TokenSubject
from ace.tasks.base import Split
from ace.tasks.markov import MarkovChain

MARGIN = 0.01  # of accuracy, and nats of cross-entropy
PARTS = ("accuracy", "cross-entropy")


@measures("untrained")
def accuracy(subject: TokenSubject) -> Measurement:
    """Accuracy, and cross-entropy in nats, of each model minus those of the Bayes predictor, on the same sequences."""
    batch = subject.trained.batch(Split.EVALUATION)
    oracle_hits, oracle_loss = batch.oracle_hits.mean(axis=1), batch.oracle_loss.mean(axis=1)

    def deviations(study: TokenStudy) -> tuple[Estimate, ...]:
        return tuple(
            bootstrap_mean(f"{index}, {part}", values.mean(axis=1) - oracle)
            for index in study.members
            for part, values, oracle in zip(PARTS, study.base(index), (oracle_hits, oracle_loss), strict=True)
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
            **share_that_may_fail(subject.trained),
        },
    )


@measures("low-rank chain", "untrained")
def rank(subject: TokenSubject) -> Measurement:
    """Dimensions of the core, less those of the chain's next-state distributions if all rows were different."""

    def below(study: TokenStudy) -> tuple[Estimate, ...]:
        return _ranks(study, study.task.vocabulary - 1)

    return Measurement(
        below(subject.trained),
        {"low-rank chain": below(subject.companion("low-rank chain")), "untrained": below(subject.twins())},
        details={
            "dimensions": [subject.trained.core(k).dimension for k in range(len(subject.trained))],
            "sigma": _spectra(subject.trained),
            **share_that_may_fail(subject.trained),
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
        {"sigma": _spectra(subject.trained), "states": task.vocabulary, **share_that_may_fail(subject.trained)},
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
    """The claim speaks about models at the Bayes optimum: cross-entropy within the margin of markov.accuracy."""
    oracle = study.batch(Split.EVALUATION).oracle_loss.mean(axis=1)
    for index in range(len(study)):
        excess = float((study.base(index)[1].mean(axis=1) - oracle).mean())
        if excess > MARGIN:
            raise Inapplicable(
                f"model {index} is not at the Bayes optimum: cross-entropy {excess:.4f} nats above the oracle's, more"
                f" than {MARGIN}"
            )
