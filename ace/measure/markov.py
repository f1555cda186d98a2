"""What is measured for the claims about observed Markov chains. Each function is one claim's quantity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ace.compare import affine_map, consensus, overlap, overlap_null, weight_cosine
from ace.core import Core, Gap, Spectrum
from ace.dynamics import Complex, match_spectra, spectrum
from ace.errors import ClaimError, Inapplicable
from ace.generate import sample_tokens
from ace.intervene import Intervention
from ace.measure.controls import LEVEL, principal_core, random_bases, random_controls
from ace.measure.measurement import Measurement
from ace.measure.subject import Study, Subject, standard_error
from ace.moments import canonical_pairs, correlations, explained, moments, regression
from ace.stats import (
    Array,
    Estimate,
    binomial_p_values,
    bootstrap,
    bootstrap_mean,
    exact,
    quantile,
)
from ace.tasks.base import Ints, Split
from ace.tasks.markov import MarkovChain
from ace.training.transformer import SmallTransformer, initialise

INITIALISATIONS = 50
CHAINS = 3000
CONTROL_CHAINS = 30
CONSENSUS_TIMES = 5
CONSENSUS_LEFT = 0.1


def accuracy(subject: Subject) -> Measurement:
    """Deviation from the Bayes predictor in its own standard errors, the larger of accuracy's and cross-entropy's."""
    batch = subject.trained.batch(Split.EVALUATION)
    oracle_hits, oracle_loss = batch.oracle_hits.mean(axis=1), batch.oracle_loss.mean(axis=1)
    errors = np.array([standard_error(oracle_hits), standard_error(oracle_loss)])

    def deviations(study: Study) -> tuple[Estimate, ...]:
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
        {"untrained": deviations(subject.untrained)},
        details={
            "accuracy": [float(hits.mean()) for hits, _ in base],
            "cross-entropy": [float(loss.mean()) for _, loss in base],
            "oracle accuracy": float(oracle_hits.mean()),
            "oracle cross-entropy": float(oracle_loss.mean()),
        },
    )


def _ranks(study: Study, less: int = 0) -> tuple[Estimate, ...]:
    """Dimensions of every core, less a number; replicates from resampled extraction sequences."""
    found = []
    for index in range(len(study)):
        value = float(study.core(index).dimension - less)
        found.append(Estimate(str(index), value, replicates=study.replicate_ranks(index) - less))
    return tuple(found)


def _spectra(study: Study) -> list[list[float]]:
    return [study.core(k).sigma[: study.task.vocabulary].tolist() for k in range(len(study))]


def rank(subject: Subject) -> Measurement:
    """Dimensions of the core, less those of the chain's next-state distributions if all rows were different."""
    studies = {"low-rank chain": subject.companion("low-rank chain"), "untrained": subject.untrained}
    return Measurement(
        _ranks(subject.trained, subject.trained.task.vocabulary - 1),
        {name: _ranks(study, study.task.vocabulary - 1) for name, study in studies.items()},
        details={
            "dimensions": [subject.trained.core(k).dimension for k in range(len(subject.trained))],
            "sigma": _spectra(subject.trained),
        },
    )


def low_rank(subject: Subject) -> Measurement:
    """Dimensions of the core of a chain with fewer distinct rows than states."""
    task = _chain(subject.trained)
    _require_optimum(subject.trained)
    return Measurement(
        _ranks(subject.trained),
        {"untrained": _ranks(subject.untrained)},
        {"distinct rows - 1": float(task.distinct_rows - 1)},
        {"sigma": _spectra(subject.trained), "states": task.vocabulary},
    )


def _require_optimum(study: Study) -> None:
    """The claim speaks about models at the Bayes optimum: cross-entropy within 3 standard errors of the oracle's."""
    oracle = study.batch(Split.EVALUATION).oracle_loss.mean(axis=1)
    for index in range(len(study)):
        excess = float((study.base(index)[1].mean(axis=1) - oracle).mean())
        if excess > 3 * standard_error(oracle):
            raise Inapplicable(
                f"model {index} is not at the Bayes optimum: cross-entropy {excess:.4f} nats above the oracle's,"
                f" more than three standard errors ({3 * standard_error(oracle):.4f})"
            )


def _edit(core: Core, mode: str, projector: str = "orthogonal") -> Callable[[Tensor], Tensor]:
    return Intervention(core, mode, projector=projector).apply


def _kept(study: Study, measure: int, core: Callable[[int], Core], mode: str = "keep") -> tuple[Estimate, ...]:
    """Hits (measure 0) or cross-entropy (measure 1) with a core kept, or its complement, minus base."""
    found = []
    for index in range(len(study)):
        change = study.performance(index, _edit(core(index), mode))[measure] - study.base(index)[measure]
        found.append(bootstrap_mean(str(index), change.mean(axis=1)))
    return tuple(found)


def sufficiency(subject: Subject) -> Measurement:
    """Accuracy with the core kept, minus base, on the same sequences."""
    study = subject.trained
    controls = random_controls(study, "keep", 0, +1, lambda k: study.base(k)[0].mean(axis=1))
    controls["complement"] = _kept(study, 0, study.core, "remove")
    controls["PCA"] = _kept(study, 0, lambda k: principal_core(study, k))
    return Measurement(_kept(study, 0, study.core), controls)


def sufficiency_loss(subject: Subject) -> Measurement:
    """Cross-entropy with the core kept, minus base, on the same sequences."""
    study = subject.trained
    controls = random_controls(study, "keep", 1, -1, lambda k: study.base(k)[1].mean(axis=1))
    controls["complement"] = _kept(study, 1, study.core, "remove")
    controls["PCA"] = _kept(study, 1, lambda k: principal_core(study, k))
    return Measurement(_kept(study, 1, study.core), controls)


def necessity(subject: Subject) -> Measurement:
    """Accuracy with the core removed, minus that of the best constant guess, on the same sequences."""
    study = subject.trained

    def removed(core: Callable[[int], Core], projector: str = "orthogonal") -> tuple[Estimate, ...]:
        return tuple(
            bootstrap_mean(
                str(k), study.performance(k, _edit(core(k), "remove", projector))[0].mean(axis=1) - study.chance
            )
            for k in range(len(study))
        )

    controls = random_controls(study, "remove", 0, -1, lambda k: study.chance)
    controls |= {"PCA": removed(lambda k: principal_core(study, k)), "oblique": removed(study.core, "oblique")}
    estimates = removed(study.core)
    return Measurement(
        estimates,
        controls,
        {"s.e. of chance": study.chance_error},
        {
            "chance": float(study.chance.mean()),
            "accuracy after removal": [float(study.chance.mean()) + estimate.value for estimate in estimates],
        },
    )


def divergence(subject: Subject) -> Measurement:
    """Overlap of the cores of each pair of seeds."""
    study = subject.trained
    null = overlap_null(study.core(0).width, study.core(0).dimension, 10_000, torch.Generator().manual_seed(0))

    def same(index: int) -> Estimate:
        # The core of the same model from other data: what an overlap of "the same subspace" looks like.
        return exact(str(index), overlap(study.core(index).basis, _elsewhere(study, index).basis))

    return Measurement(
        _overlaps(study),
        {"untrained": _overlaps(subject.untrained), "same model": tuple(same(k) for k in range(len(study)))},
        {"99.9% of Haar subspaces": quantile(null, LEVEL)},
        {"Haar quantiles .001, .5, .999": [float(q) for q in np.quantile(null, [0.001, 0.5, 0.999])]},
    )


def _elsewhere(study: Study, index: int) -> Core:
    states = study.states(index, Split.SELECTION).flatten(0, 1)
    weight, _ = study.head(index)
    return study.extractor(states, weight - weight.mean(dim=0), rank=study.rank)


def _overlaps(study: Study) -> tuple[Estimate, ...]:
    found = []
    for i, j in study.pairs:
        across = study.core_replicates(i).bases.mT @ study.core_replicates(j).bases
        drawn = across.square().sum(dim=(1, 2)) / min(across.shape[1:])
        value = overlap(study.core(i).basis, study.core(j).basis)
        found.append(Estimate(f"{i}-{j}", value, replicates=drawn.numpy()))
    return tuple(found)


def weights(subject: Subject) -> Measurement:
    """Absolute cosine of the weights of each pair of seeds."""
    study, start = subject.trained, subject.untrained
    sizes = _small(study, 0).sizes
    fresh = []
    for seed in range(INITIALISATIONS):
        model = SmallTransformer(sizes)
        initialise(model, torch.Generator().manual_seed(10_000 + seed))
        fresh.append(model)
    null = [abs(weight_cosine(fresh[i], fresh[j])) for i in range(len(fresh)) for j in range(i)]

    def cosines(one: Study) -> tuple[Estimate, ...]:
        return tuple(exact(f"{i}-{j}", abs(weight_cosine(one.models[i], one.models[j]))) for i, j in one.pairs)

    own = tuple(exact(str(k), abs(weight_cosine(study.models[k], start.models[k]))) for k in range(len(study)))
    return Measurement(
        cosines(study),
        {"untrained": cosines(start), "own initialisation": own},
        {"99.9% of independent inits": quantile(np.array(null), LEVEL)},
        {"null median": float(np.median(null)), "null pairs": len(null)},
    )


def _views(study: Study, split: Split) -> list[Array]:
    return [study.coordinates(k, split) for k in range(len(study))]


def alignment(subject: Subject) -> Measurement:
    """Smallest canonical correlation of the core coordinates of each pair; directions from the selection split."""
    trained, every = _aligned(subject.trained)
    untrained, others = _aligned(subject.untrained)
    return Measurement(trained, {"untrained": untrained}, details={"all": every, "all, untrained": others})


def _aligned(study: Study) -> tuple[tuple[Estimate, ...], dict[str, list[float]]]:
    """The smallest correlation of each pair, and all of them."""
    chosen = moments(*_views(study, Split.SELECTION))
    tested = moments(*_views(study, Split.EVALUATION))
    estimates, every = [], {}
    for i, j in study.pairs:
        first, second = tested.views[i], tested.views[j]
        pairs = canonical_pairs(chosen.total, first, second)

        def smallest(
            drawn: Array, first: slice = first, second: slice = second, pairs: tuple[Array, Array] = pairs
        ) -> float:
            return float(correlations(drawn, first, second, pairs).min())

        estimates.append(bootstrap(f"{i}-{j}", tested.clusters, smallest))
        every[f"{i}-{j}"] = correlations(tested.total, first, second, pairs).tolist()
    return tuple(estimates), every


def _chain(study: Study) -> MarkovChain:
    if not isinstance(study.task, MarkovChain):
        raise ClaimError(f"subject: expected a Markov chain, got {type(study.task).__name__}")
    return study.task


def _one_hot(study: Study, split: Split) -> Array:
    """(n, t, s - 1) indicator coordinates of the chain's own states; the last is given by the others."""
    return np.eye(study.task.vocabulary)[study.batch(split).inputs][..., :-1]


def _steps(*views: Array) -> Array:
    """Moments (n, p, p) of each view before and after a step: [1, before_1, after_1, before_2, ...]."""
    return moments(*(part for view in views for part in (view[:, :-1], view[:, 1:]))).clusters


def _padded(values: Complex, size: int) -> Complex:
    """A missing dimension predicts nothing: eigenvalue 0. So do the modes that a larger core adds to the chain's."""
    return np.concatenate([values, np.zeros(max(0, size - len(values)), dtype=np.complex128)])


def fitted_eigenvalues(study: Study, index: int) -> Complex:
    """(r) eigenvalues of the operator fitted to one model's core coordinates on the evaluation split."""
    return _operator_spectrum(_steps(study.coordinates(index, Split.EVALUATION)).mean(axis=0))


def _operator_spectrum(moment: Array) -> Complex:
    width = (len(moment) - 1) // 2
    slope, _ = regression(moment, slice(1, 1 + width), slice(1 + width, 1 + 2 * width))
    return spectrum(slope)


def _plane(study: Study) -> list[list[list[float]]]:
    """Fitted eigenvalues of every model as [real, imaginary]."""
    return [[[value.real, value.imag] for value in fitted_eigenvalues(study, k)] for k in range(len(study))]


def operator_spectrum(subject: Subject) -> Measurement:
    """Matching distance of the operator's eigenvalues to the chain's, other than 1."""
    wanted = _chain(subject.trained).eigenvalues

    def distance(drawn: Array) -> float:
        found = _operator_spectrum(drawn)
        size = max(len(found), len(wanted))
        return match_spectra(_padded(found, size), _padded(wanted, size)).largest

    def distances(study: Study) -> tuple[Estimate, ...]:
        return tuple(
            bootstrap(str(k), _steps(study.coordinates(k, Split.EVALUATION)), distance) for k in range(len(study))
        )

    oracle = bootstrap("oracle", _steps(_one_hot(subject.trained, Split.EVALUATION)), distance)
    return Measurement(
        distances(subject.trained),
        {"untrained": distances(subject.untrained)},
        {"sampling term": oracle.interval(0.9)[1]},
        {
            "true": [[value.real, value.imag] for value in wanted],
            "fitted": _plane(subject.trained),
            "fitted, untrained": _plane(subject.untrained),
        },
    )


def oracle_r2(subject: Subject) -> Measurement:
    """R2 of the core's operator over R2 of the operator on the chain's own states; fitted on the selection split."""

    def ratios(study: Study) -> tuple[Estimate, ...]:
        found = []
        for index in range(len(study)):
            splits = (Split.SELECTION, Split.EVALUATION)
            fit, test = (_steps(study.coordinates(index, s), _one_hot(study, s)) for s in splits)
            widths = (study.core(index).dimension, study.task.vocabulary - 1)
            found.append(bootstrap(str(index), test, _ratio_of_r2(fit.mean(axis=0), widths)))
        return tuple(found)

    return Measurement(ratios(subject.trained), {"untrained": ratios(subject.untrained)})


def _ratio_of_r2(fitted: Array, widths: tuple[int, int]) -> Callable[[Array], float]:
    edges = np.cumsum([1, widths[0], widths[0], widths[1], widths[1]])
    views = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    core, oracle = (views[0], views[1]), (views[2], views[3])
    own, chains = regression(fitted, *core), regression(fitted, *oracle)

    def ratio(moment: Array) -> float:
        return explained(moment, *core, *own) / explained(moment, *oracle, *chains)

    return ratio


def consensus_substitute(subject: Subject) -> Measurement:
    """Size of the consensus of the whole states and what its removal leaves, each over what the claim asks for."""
    study = subject.trained
    trained, details = _consensus_margins(study)
    untrained, beside = _consensus_margins(subject.untrained)
    cores = tuple(
        _capped(_left(study, k, study.core(k)), 1 / CONSENSUS_TIMES) for k in range(len(study))
    )  # a consensus of the core's own rank: 1 over 5 of the size asked for
    return Measurement(
        trained,
        {"core as consensus": cores, "untrained": untrained},
        details={**details, "untrained": beside},
    )


def _left(study: Study, index: int, core: Core) -> Estimate:
    """Accuracy above chance after a subspace is removed, over the 10 % that must be left."""
    hits = study.performance(index, _edit(core, "remove"))[0].mean(axis=1) - study.chance
    return bootstrap_mean(str(index), hits / CONSENSUS_LEFT)


def _consensus_margins(study: Study) -> tuple[tuple[Estimate, ...], dict[str, Any]]:
    """The consensus ends before the largest relative gap of its agreement: no threshold to choose."""
    shared = consensus([study.states(k, Split.EXTRACTION).flatten(0, 1) for k in range(len(study))])
    agreement = shared.agreement
    size = Gap().choose(Spectrum(agreement, len(agreement), lambda draws, generator: agreement)).value or 1
    bases = [study.core(k).with_basis(shared.basis(k, size)) for k in range(len(study))]
    left = [_left(study, k, bases[k]) for k in range(len(study))]
    margins = tuple(_capped(e, size / (CONSENSUS_TIMES * study.core(k).dimension)) for k, e in enumerate(left))
    above = [CONSENSUS_LEFT * estimate.value for estimate in left]
    return margins, {"rank": size, "accuracy above chance after removal": above, "agreement": agreement.tolist()}


def _capped(estimate: Estimate, limit: float) -> Estimate:
    replicates = None if estimate.replicates is None else np.minimum(estimate.replicates, limit)
    return Estimate(estimate.label, min(estimate.value, limit), replicates=replicates, count=estimate.count)


def transplant(subject: Subject) -> Measurement:
    """Accuracy of each host on every donor's core coordinates, mapped affinely, minus the host's own."""
    return Measurement(
        _transplants(subject.trained, subject.trained),
        {
            "shuffled map": _transplants(subject.trained, subject.trained, shuffled=True),
            "untrained donor": _transplants(subject.untrained, subject.trained),
        },
    )


def _transplants(donors: Study, hosts: Study, *, shuffled: bool = False) -> tuple[Estimate, ...]:
    found = []
    for host in range(len(hosts)):
        core = hosts.core(host)
        weight, bias = hosts.head(host)
        targets = hosts.batch(Split.EVALUATION).targets
        own = hosts.base(host)[0].mean(axis=1)
        goal = torch.from_numpy(hosts.coordinates(host, Split.SELECTION)).flatten(0, 1)
        for donor in range(len(donors)):
            if donor == host:
                continue
            source = torch.from_numpy(donors.coordinates(donor, Split.SELECTION)).flatten(0, 1)
            if shuffled:
                source = source[torch.randperm(len(source), generator=torch.Generator().manual_seed(donor))]
            carried = affine_map(source, goal)(torch.from_numpy(donors.coordinates(donor, Split.EVALUATION)))
            logits = (core.mean + carried @ core.basis.T) @ weight.T + bias
            hits = (logits.argmax(dim=-1).numpy() == targets).mean(axis=1)
            found.append(bootstrap_mean(f"{donor}>{host}", hits - own))
    return tuple(found)


def generation(subject: Subject) -> Measurement:
    """Smallest adjusted p-value of the transition counts of chains generated with the core kept at every position."""
    study = subject.trained
    chain = _chain(study)

    def p_value(paths: Ints) -> tuple[float, Array]:
        counts = transition_counts(paths, chain.vocabulary)
        trials = np.repeat(counts.sum(axis=1, keepdims=True), chain.vocabulary, axis=1)
        adjusted = binomial_p_values(counts, trials, chain.transition)
        return float(adjusted.min()), counts / np.maximum(trials, 1)

    def generated(index: int, edit: Callable[[Tensor], Tensor] | None) -> tuple[float, Array]:
        start = torch.from_numpy(study.batch(Split.EVALUATION).inputs[:CHAINS, :1])
        generator = torch.Generator().manual_seed(index)
        length = chain.length
        model = _small(study, index)
        return p_value(
            sample_tokens(model, start, length - 1, generator, study.sites[index] if edit else None, edit).numpy()
        )

    def random(index: int) -> list[float]:
        """The random subspaces share the seeds among them: each model takes its part of the 1,000."""
        share = -(-1000 // len(study))
        bases = random_bases(study, index, "random, Haar", share).float()
        mean = study.core(index).mean.float()
        rows = bases.repeat_interleave(CONTROL_CHAINS, dim=0)

        def edit(states: Tensor) -> Tensor:
            inner = torch.einsum("ntd,ndr->ntr", states - mean, rows)
            return mean + torch.einsum("ntr,ndr->ntd", inner, rows)

        inputs = study.batch(Split.EVALUATION).inputs[:, :1]
        start = torch.from_numpy(np.resize(inputs, (len(rows), 1)))
        generator = torch.Generator().manual_seed(1000 + index)
        paths = sample_tokens(_small(study, index), start, chain.length - 1, generator, study.sites[index], edit)
        return [p_value(part)[0] for part in paths.numpy().reshape(share, CONTROL_CHAINS, -1)]

    kept = [generated(k, _edit(study.core(k), "keep")) for k in range(len(study))]
    whole = [generated(k, None) for k in range(len(study))]
    drawn = np.array([value for k in range(len(study)) for value in random(k)])
    return Measurement(
        tuple(exact(str(k), found[0], count=CHAINS) for k, found in enumerate(kept)),
        {
            "random, Haar": (exact("all", quantile(drawn, LEVEL), count=len(drawn)),),
            "whole model": tuple(exact(str(k), found[0], count=CHAINS) for k, found in enumerate(whole)),
        },
        details={
            "largest deviation of an entry": [float(np.abs(found[1] - chain.transition).max()) for found in kept],
            "same, whole model": [float(np.abs(found[1] - chain.transition).max()) for found in whole],
        },
    )


def transition_counts(paths: Ints, states: int) -> Ints:
    """(s, s) int64 counts of the transitions in state paths (n, t)."""
    pairs = paths[:, :-1].ravel() * states + paths[:, 1:].ravel()
    return np.bincount(pairs, minlength=states * states).reshape(states, states).astype(np.int64)


def _small(study: Study, index: int) -> SmallTransformer:
    model = study.models[index]
    if not isinstance(model, SmallTransformer):
        raise ClaimError(f"subject: expected small transformers, got {type(model).__name__}")
    return model


MEASURES: Mapping[str, Callable[[Subject], Measurement]] = MappingProxyType(
    {
        "markov.accuracy": accuracy,
        "markov.rank": rank,
        "markov.sufficiency": sufficiency,
        "markov.sufficiency_loss": sufficiency_loss,
        "markov.necessity": necessity,
        "markov.divergence": divergence,
        "markov.weights": weights,
        "markov.alignment": alignment,
        "markov.spectrum": operator_spectrum,
        "markov.oracle_r2": oracle_r2,
        "markov.consensus": consensus_substitute,
        "markov.transplant": transplant,
        "markov.generation": generation,
        "markov.low_rank": low_rank,
    }
)
