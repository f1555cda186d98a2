"""The published protocol on any task's models, against plain numpy: what it extracts, keeps, removes and compares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ace
from ace.arrays import Array
from ace.errors import Inapplicable
from ace.families.core import as_published
from ace.model.tail import ROWS_OF_INPUTS
from ace.report.record import result
from invariants.contracts.exact import Bent, Exact, Largest, Untrained

SIZES = {ace.Split.EXTRACTION: 200, ace.Split.SELECTION: 200, ace.Split.EVALUATION: 600}
FIGURES = {
    "rank": as_published.rank,
    "sufficiency": as_published.sufficiency,
    "necessity": as_published.necessity,
    "divergence": as_published.divergence,
    "alignment": as_published.alignment,
}
SITES = {Exact: "readout", Bent: "bend"}


def random_subject(kind: type[Exact]) -> ace.Subject[ace.TokenStudy]:
    """Three models whose readout is random, so that what is read and what varies are not the same directions."""
    models = [kind(index) for index in range(3)]
    for index, model in enumerate(models):
        model.readout.load_state_dict(Untrained(index).readout.state_dict())
    return ace.runs_subject("random", models, Largest(), sites=SITES[kind], sizes=SIZES)


class Plain:
    """One model by the published protocol, in numpy: states (n, s, d), weight (v, d) and what bends the outputs."""

    def __init__(self, study: ace.TokenStudy, index: int, kind: type[Exact]) -> None:
        model = study.models[index]
        assert isinstance(model, Exact)
        self.weight = model.readout.weight.detach().double().numpy()
        self.bends = kind is Bent
        self.states = study.states(index, ace.Split.EVALUATION).double().numpy()
        batch = study.batch(ace.Split.EVALUATION)
        self.targets, self.chance = batch.targets, float(study.chance.mean())
        rows = self.states.reshape(-1, self.states.shape[-1])
        centred = rows - rows.mean(axis=0)
        read = self.sensitivities()
        squares, directions = np.linalg.eig(centred.T @ centred @ read.T @ read)  # both Gramians formed, as published
        order = np.argsort(-squares.real)
        energy = np.cumsum(squares.real[order]) / squares.real.sum()
        self.rank = int((energy < 0.999).sum()) + 1
        self.basis = np.linalg.qr(directions.real[:, order[: self.rank]])[0]
        self.coordinates = centred @ self.basis

    def sensitivities(self) -> Array:
        """(m, d) gradients of each output at each position: those of sinh(z) are cosh(z) times the weight's rows."""
        if not self.bends:
            return self.weight
        slopes = np.cosh(self.states[:ROWS_OF_INPUTS] @ self.weight.T)
        return np.asarray((slopes[..., None] * self.weight).reshape(-1, self.weight.shape[1]))

    def score(self, states: Array) -> float:
        """Share of answers that are right; sinh leaves their order as it is, and there is no bias."""
        return float(((states @ self.weight.T).argmax(axis=-1) == self.targets).mean())

    @property
    def kept(self) -> float:
        return self.score(self.states @ self.basis @ self.basis.T) - self.score(self.states)

    @property
    def left(self) -> float:
        return self.score(self.states - self.states @ self.basis @ self.basis.T) - self.chance


def by_hand(models: list[Plain]) -> dict[str, list[float]]:
    pairs = [(models[i], models[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    spaces = [[np.linalg.qr(one.coordinates)[0] for one in pair] for pair in pairs]
    return {
        "rank": [float(model.rank) for model in models],
        "sufficiency": [model.kept for model in models],
        "necessity": [model.left for model in models],
        "divergence": [
            float(((a.basis.T @ b.basis) ** 2).sum() / min(a.basis.shape[1], b.basis.shape[1])) for a, b in pairs
        ],
        "alignment": [float(np.linalg.svd(a.T @ b, compute_uv=False).min()) for a, b in spaces],
    }


@pytest.mark.parametrize("kind", [Exact, Bent], ids=["linear head", "more than a linear head"])
def test_its_figures_are_those_of_plain_numpy(kind: type[Exact]) -> None:
    random = random_subject(kind)
    study = random.trained
    assert (study.tail(0).head is None) == (kind is Bent)
    wanted = by_hand([Plain(study, index, kind) for index in study.members])
    answers = study.batch(ace.Split.EVALUATION).targets.size
    for name, figure in FIGURES.items():
        # One answer may turn over where two logits tie to float32's rounding.
        tolerance = 2 / answers if name in ("sufficiency", "necessity") else 1e-5
        assert figure(random) == pytest.approx(wanted[name], abs=tolerance), name
    assert max(map(abs, wanted["sufficiency"])) > 0.01  # the orthogonal projector loses something here
    assert max(wanted["alignment"]) < 0.99


def test_the_shift_of_all_logits_counts_as_an_output() -> None:
    exact = ace.runs_subject("exact", [Exact(0)], Largest(), sites="readout", sizes=SIZES)
    assert exact.trained.core(0).dimension == 2
    assert as_published.rank(exact) == (3.0,)


def test_a_core_is_of_the_evaluation_sequences_and_of_the_energy_rule_whatever_the_subject_says() -> None:
    fixed = ace.runs_subject("fixed", [Exact(0)], Largest(), sites="readout", sizes=SIZES, rank=ace.Fixed(1))
    core = as_published.published_core(fixed.trained, 0)
    states = fixed.trained.states(0, ace.Split.EVALUATION).flatten(0, 1).double()
    assert torch.allclose(core.mean, states.mean(dim=0))
    assert core.rank.rule == "energy 0.999"


def test_each_sentence_of_the_paper_is_in_the_record_three_times() -> None:
    exact = ace.runs_subject(
        "exact", [Exact(0), Exact(1)], Largest(), sites="readout", untrained=Untrained, sizes=SIZES
    )
    for name, figure in FIGURES.items():
        verdict = ace.verify_claim(f"core.{name}", exact)
        kept = result(verdict)["replication"]
        assert verdict.claim.replication is not None
        assert kept["paper"] == verdict.claim.replication.paper
        assert kept["protocol"] == list(figure(exact))
        assert kept["ours"] == [seed.value for seed in verdict.seeds]


def test_where_nothing_is_read_there_is_no_core() -> None:
    blind = Exact(0)
    with torch.no_grad():
        blind.readout.weight.zero_()
    unread = ace.runs_subject("unread", [blind], Largest(), sites="readout", sizes=SIZES)
    with pytest.raises(
        Inapplicable, match=r"model 0 has a core of no dimensions by the published rule 'energy 0\.999'"
    ):
        as_published.rank(unread)


def test_the_record_holds_the_reason_where_the_protocol_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def choose(self, spectrum: object) -> object:
            return ace.rank.RankChoice(0, "nothing", {})

    monkeypatch.setattr(as_published, "Energy", lambda threshold: Nothing())
    verdict = ace.verify_claim(
        "core.sufficiency", ace.runs_subject("a", [Exact(0)], Largest(), sites="readout", sizes=SIZES)
    )
    assert verdict.status == "HOLDS"
    assert "no dimensions by the published rule 'nothing'" in result(verdict)["replication"]["protocol"]
