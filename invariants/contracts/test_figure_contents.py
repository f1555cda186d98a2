"""What figures draw and say: alternatives, epochs as numbers, every pair and the worst, numbers of the record."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from ace.families.agreement.figures.captions import scales_words, texts_words
from ace.families.agreement.figures.scales import pairs_of, scales_figure, worst
from ace.families.agreement.figures.texts import shown_model
from ace.families.markov import captions as markov_captions
from ace.families.markov import figure as markov
from ace.families.modular_addition import captions as addition_captions
from ace.families.modular_addition import figure as addition
from ace.families.style import STYLE, Words, span
from ace.report.record import read_document

Record = dict[str, Any]


def dots(axis: Axes, label: str) -> np.ndarray[Any, Any]:
    """(n, 2) the points of the scatter of that label."""
    (found,) = [each for each in axis.collections if isinstance(each, PathCollection) and each.get_label() == label]
    return np.asarray(found.get_offsets())


def estimates(*values: float) -> list[list[float]]:
    return [[value, value - 0.01, value + 0.01] for value in values]


# --- Markov: PCA beside the core --------------------------------------------------------------------------------------
WHOLE = (0.75, 0.74)


def chain(beside: bool = True) -> Record:
    """What the panel of ablations needs, and its words."""
    kept = {"PCA": estimates(-0.02, -0.03), "LDA": estimates(-0.2, -0.1), "oblique": estimates(0, 0)} if beside else {}
    removed = {"PCA": estimates(0.5, 0.25), "LDA": estimates(0.1, 0.1)} if beside else {}
    return {
        "markov.accuracy": {"details": {"accuracy": list(WHOLE), "oracle accuracy": 0.76}},
        "markov.sufficiency": {
            "values": [0.0, -0.01],
            "verdict": "HOLDS",
            "beside": kept,
            "rest": [{"nearest": [-0.4]}, {"nearest": [-0.45]}],
        },
        "markov.necessity": {
            "verdict": "HOLDS",
            "beside": removed,
            "details": {"chance": 0.25, "accuracy after removal": [0.26, 0.24]},
            "rest": [{"nearest": [0.9]}, {"nearest": [0.95]}],
        },
    }


def test_pca_kept_and_removed_stands_beside_the_core_with_its_accuracy() -> None:
    axis = Figure().subplots()
    markov._ablations(axis, chain())
    pca = dots(axis, "PCA in its place")[:, 1]
    np.testing.assert_allclose(pca, [0.75 - 0.02, 0.74 - 0.03])
    squares = [each for each in axis.collections if isinstance(each, PathCollection)]
    heights = [np.asarray(each.get_offsets())[:, 1] for each in squares]
    assert any(np.allclose(each, [0.25 + 0.5 * 0.5, 0.25 + 0.25 * 0.49]) for each in heights)
    np.testing.assert_allclose(dots(axis, "other alternatives")[:, 1], [0.55, 0.64])


def test_words_about_alternatives_come_from_the_record_and_go_with_them() -> None:
    text = markov_captions._ablations(chain())
    for part in (
        "0.74 to 0.75 whole (Bayes 0.76)",
        "-0.03 to -0.02",
        "0.25 to 0.5 of what",
        "LDA change it by at most 0.2",
    ):
        assert part in text
    assert "PCA" not in markov_captions._ablations(chain(beside=False))
    markov._ablations(Figure().subplots(), chain(beside=False))  # an older record has no alternatives


# --- modular addition: epochs are numbers -----------------------------------------------------------------------------
EPOCHS = [0, 100, 500, 700, 2000, 4400]


def growth() -> Record:
    curve = [0.0, 0.1, 0.2, 0.9, 1.0, 1.0]
    course = {"epochs": EPOCHS, "base": [curve], "kept": [curve], "removed": [[0.0] * 6]}
    grok = {"generalised": [650], "memorised": [50], "trained to": 4400}
    return {
        "modadd.formation": {"claim": "modadd.formation", "verdict": "HOLDS", "details": {"course": course}},
        "modadd.grok": {"claim": "modadd.grok", "verdict": "HOLDS", "values": [13.0], "details": grok},
        "modadd.sufficiency": {
            "claim": "modadd.sufficiency",
            "verdict": "HOLDS",
            "values": [-0.01],
            "details": {"base": [0.9], "dimensions": [12]},
            "beside": {"PCA": estimates(-0.3)},
        },
        "modadd.necessity": {
            "claim": "modadd.necessity",
            "verdict": "HOLDS",
            "values": [0.02],
            "details": {"chance": 0.02},
            "beside": {"PCA": estimates(0.4)},
        },
        "modadd.inflation": {"values": [1.5], "details": {"branch": 700}},
        "modadd.no_inflation": {"values": [1.1]},
        "modadd.rotation": {"values": [0.6]},
        "modadd.mode_growth": {
            "claim": "modadd.mode_growth",
            "verdict": "FAILS",
            "values": [1.25],
            "details": {"energy": {"epochs": EPOCHS, "share": [[[0.1 * n] * 3 for n in range(6)]]}},
        },
    }


def test_checkpoints_lie_where_their_epochs_are() -> None:
    axis = Figure().subplots()
    addition._ablations(axis, growth())
    lines = [line for line in axis.lines if len(np.asarray(line.get_xdata())) == len(EPOCHS)]
    assert len(lines) == 3
    assert all(list(np.asarray(line.get_xdata())) == EPOCHS for line in lines)
    places = axis.transData.transform([(epoch, 0.0) for epoch in EPOCHS])[:, 0]
    steps = np.diff(places)
    assert (steps > 0).all()
    ratios = steps[1:] / np.diff(np.log(EPOCHS[1:]))  # logarithmic from the first checkpoint on
    np.testing.assert_allclose(ratios, ratios[0])


def test_pca_at_grokking_is_an_open_square_at_its_epoch_and_accuracy() -> None:
    axis = Figure().subplots()
    addition._rival(axis, growth())
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines if len(line.get_xdata())]  # type: ignore[arg-type, index]
    assert points == [(700, pytest.approx(0.6)), (700, pytest.approx(0.4))]


def test_columns_of_the_map_of_modes_reach_half_way_to_the_next_checkpoint() -> None:
    figure = Figure()
    results = growth()
    (below,) = np.atleast_1d(np.asarray(figure.subfigures(1, 1)))
    addition._modes(below, results["modadd.mode_growth"], results["modadd.grok"])
    (mesh,) = [each for axis in below.axes for each in axis.collections if isinstance(each, QuadMesh)][:1]
    edges = np.asarray(mesh.get_coordinates())[0, :, 0]
    assert len(edges) == len(EPOCHS) + 1
    assert all(low <= epoch <= high for low, epoch, high in zip(edges[1:], EPOCHS[1:], edges[2:], strict=False))
    np.testing.assert_allclose(edges[3] ** 2, EPOCHS[2] * EPOCHS[3])


def test_words_about_modular_addition_come_from_the_record() -> None:
    words = addition_captions.words(growth())
    for part in (
        "epoch 50 and generalise at epoch 650",
        "12 dimensions",
        "-0.01",
        "PCA of equal rank",
        "1.25 times",
        "60 %",
    ):
        assert part in words.caption, part
    assert "one model along training" in words.alt


# --- scales: every pair, and the worst one ----------------------------------------------------------------------------
def scales(values: dict[str, tuple[float, float]]) -> Record:
    labels = [f"{pair}, {statistic}" for pair in values for statistic in ("Pearson", "Spearman")]
    generator = np.random.default_rng(0)
    models = ["a, seed 0", "a, seed 1", "b/c, seed 0", "b/c, seed 1"]
    result = {
        "claim": "agreement.scales",
        "verdict": "FAILS",
        "bound": 0.9,
        "seeds": labels,
        "values": [value for both in values.values() for value in both],
        "details": {
            "coordinates": {model: generator.normal(size=20).tolist() for model in models},
            "labels": [0, 1] * 10,
        },
    }
    return {"agreement.scales": result}


PAIRS = {"a/0 b/c/0": (0.98, 0.8), "a/0 b/c/1": (0.97, 0.3), "a/1 b/c/0": (-0.2, 0.1), "a/1 b/c/1": (0.99, 0.7)}


def test_the_family_figure_has_every_pair_of_models_and_shows_the_worst() -> None:
    results = scales(PAIRS)
    figure = scales_figure(results, "family")
    assert figure is not None
    above, below = figure.axes
    assert len(dots(above, "Pearson")) == len(dots(above, "Spearman")) == len(PAIRS)
    assert dots(above, "the worst, drawn below")[0, 1] == -0.2
    assert (below.get_xlabel(), below.get_ylabel()) == ("coordinate in a, seed 1", "coordinate in b/c, seed 0")
    assert "r = -0.20" in below.get_title()
    words = scales_words(results)
    assert "Pearson -0.2 to 0.99 and Spearman 0.1 to 0.8 (a, seed 1 and b/c, seed 0 least)" in words.caption


def test_labels_of_pairs_are_read_whatever_models_are_called() -> None:
    result = scales({"/models/a b/ckpt/0 /models/c/12": (0.5, 0.4)})["agreement.scales"]
    ((key, (pair, _)),) = pairs_of(result).items()
    assert key[1] == "/models/c"
    assert (pair.one, pair.two, worst([pair]).value) == (0, 12, 0.5)
    assert scales_figure(scales({"nothing": (1.0, 1.0)}), "family") is None


# --- texts: of the model in which the flip does least -----------------------------------------------------------------
def test_texts_are_those_of_the_model_in_which_most_flipped_copulas_agree() -> None:
    seeds: list[Record] = [
        {"share": {"clean": 0.9, "flipped": 0.1}, "texts": {"clean": ["a"]}},
        {"share": {"clean": 0.8, "flipped": 0.4}, "texts": {"clean": ["b"]}},
        {"share": {"clean": 0.8, "flipped": 0.7}},
    ]
    assert shown_model(seeds) == 1
    words = texts_words({"agreement.generation": {"details": {"seeds": seeds}}})
    assert "0.8 to 0.9 clean, 0.1 to 0.7 flipped. Shown is seed 1" in words.caption


def test_spans() -> None:
    assert span([0.12345, None, 0.5]) == "0.123 to 0.5"
    assert span([2.0, 2.0]) == "2"
    assert span([None]) == "none"
    assert Words("a", "b").alt == "a"


# --- legends and labels: clear of what is drawn -----------------------------------------------------------------------
RECORD = Path(__file__).parents[2] / "fixtures" / "verdicts.json"


def drawn(subject: str, make: Callable[[Any, str], Figure]) -> Figure:
    """The figure of a stored subject, laid out as it is saved."""
    results = {row["claim"]: row for row in read_document(RECORD)["results"] if row["subject"] == subject}
    with rc_context(STYLE):
        figure = make(results, subject)
        figure.savefig(io.BytesIO())
    return figure


def places(axis: Axes) -> Iterator[np.ndarray[Any, Any]]:
    """(n, 2) points of each line, marks of whole epochs too, and dots, on the screen."""
    for line in axis.lines:
        points = line.get_transform().transform(np.column_stack(line.get_data()))
        if len(points) > 1:
            steps = np.linspace(0, len(points) - 1, 50 * len(points))
            points = np.column_stack([np.interp(steps, np.arange(len(points)), column) for column in points.T])
        yield points
    for dotted in axis.collections:
        if isinstance(dotted, PathCollection):
            yield dotted.get_offset_transform().transform(np.asarray(dotted.get_offsets()))
    for patch in axis.patches:
        if isinstance(patch, Circle):
            yield patch.get_transform().transform(patch.get_path().interpolated(20).vertices)


@pytest.mark.parametrize(
    ("subject", "make"),
    [
        *((name, markov.markov_figure) for name in ("markov-paper", "markov-compact")),
        *((name, addition.grokking_figure) for name in ("modadd-paper", "modadd-compact")),
    ],
)
def test_no_legend_and_no_label_lies_on_what_is_drawn(subject: str, make: Callable[[Any, str], Figure]) -> None:
    figure, seen = drawn(subject, make), 0
    for axis in figure.axes:
        boxes = [text.get_window_extent() for text in axis.texts if text.get_text() in ("Bayes", "chance")]
        legend = axis.get_legend()
        if legend is not None:
            boxes.append(legend.get_window_extent())
        for box in boxes:
            seen += 1
            for points in places(axis):
                hit = [tuple(point) for point in points if box.contains(*point)]
                assert hit == [], (axis.get_title(loc="left"), box, hit[:3])
    assert seen >= 4
