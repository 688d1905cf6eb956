"""The matrix as training grows: numbers of hand-made records, and two starts that come nearer."""

import numpy as np
import pandas as pd
import pytest

from modelstitch.analysis.evidence import Evidence
from modelstitch.config.stitches import STARTS
from modelstitch.figures import training_budget as figures
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import training_budget
from tests.records import made
from tests.settings import FAST

SENDER, RECEIVER = "R1111_trained_s0", "R1111_trained_s1"
HIGH, LOW = 0.8, 0.4


def triangle(above: float, size: int = 5) -> np.ndarray:
    """`HIGH` at or below the diagonal, `above` above it."""
    return np.where(np.tri(size, dtype=bool), HIGH, above)


def write(folder, matrix: np.ndarray, epochs: float, start: str):
    columns = [made.column(j, accuracies) for j, accuracies in enumerate(matrix.T)]
    pair = made.record(columns, SENDER, RECEIVER, settings={"epochs": epochs, "start": start})
    return made.write(folder, pair, str(epochs), start)


@pytest.fixture
def grown(tmp_path):
    """Two starts: one has its whole triangle at first, the other from the beginning; both end at the same matrix."""
    matrices = {
        (0.25, "least-squares"): triangle(LOW),
        (4.0, "least-squares"): triangle(0.7),
        (0.25, "random"): triangle(0.5),
        (4.0, "random"): triangle(0.7),
    }
    paths = [write(tmp_path, matrix, *which) for which, matrix in matrices.items()]
    return training_budget.cells(paths, made.EVIDENCE)


def test_layers_are_called_as_the_networks_call_them(grown):
    for role in ("sender", "receiver"):
        assert grown[f"{role}_layer_name"].tolist() == [f"layers.{layer}" for layer in grown[f"{role}_layer"]]
    assert grown.columns.get_loc("sender_layer_name") == grown.columns.get_loc("sender_layer") + 1


def test_the_numbers_are_those_of_the_matrices(grown):
    table = training_budget.measure(grown).set_index(["start", "epochs"])
    first, last = table.loc[("least-squares", 0.25)], table.loc[("least-squares", 4.0)]
    assert first.cells == 25
    assert first.accuracy == pytest.approx((15 * HIGH + 10 * LOW) / 25)
    assert (first.below, first.above, first.left) == pytest.approx((HIGH, LOW, 1))
    assert last.left == pytest.approx((HIGH - 0.7) / (HIGH - LOW))
    assert (first.apart, first.largest_apart, first.spearman_apart) == pytest.approx((0.1 * 10 / 25, 0.1, 1))
    assert (last.apart, last.short, last.largest_short) == pytest.approx((0, 0, 0))
    assert (first.short, first.largest_short) == pytest.approx((0.3 * 10 / 25, 0.3))


def test_a_failed_cell_counts_nowhere(tmp_path):
    broken = triangle(LOW)
    broken[0, 4] = np.nan
    paths = [write(tmp_path, broken, 1.0, "random"), write(tmp_path, triangle(0.5), 2.0, "random")]
    table = training_budget.measure(training_budget.cells(paths, made.EVIDENCE)).set_index("epochs")
    assert (table.cells.tolist(), table.above.tolist()) == ([24, 25], pytest.approx([LOW, 0.5]))
    assert table.short[1.0] == pytest.approx(0.1 * 9 / 24)
    assert table[["apart", "largest_apart", "spearman_apart"]].isna().all(axis=None)


def test_a_matrix_with_one_side_only_has_no_triangle(tmp_path):
    path = write(tmp_path, np.where(np.tri(5, dtype=bool), HIGH, np.nan), 1.0, "random")
    row = training_budget.measure(training_budget.cells([path], made.EVIDENCE)).iloc[0]
    assert (row.cells, row.accuracy) == (15, pytest.approx(HIGH)) and np.isnan([row.above, row.left]).all()


def test_two_starts_come_nearer_with_more_training(digits, digits_path, trained, tmp_path):
    paths = []
    for epochs in (0.1, 4.0):
        for start in STARTS:
            settings = FAST.model_copy(update={"epochs": epochs, "start": start})
            layers = {"sender_layers": [1, 3], "receiver_layers": [2, 4]}
            record = train_pair(trained, trained, digits, settings, study_seed=0, **layers).record
            paths.append(made.write(tmp_path, record, str(epochs), start))
    table = training_budget.measure(training_budget.cells(paths, Evidence.of(digits_path)))
    assert table.sender.unique().tolist() == ["R1111_trained_s0"]
    apart = table.groupby("epochs").apart.first()
    assert apart[4.0] < apart[0.1] / 3
    assert (table[table.start == "random"].accuracy.diff().iloc[-1]) > 0.1


def test_a_figure_has_a_matrix_for_each_budget_and_start(grown):
    networks = pd.DataFrame({"network": [SENDER, RECEIVER], "classes": 10, "accuracy": HIGH, "seed": [0, 1]})
    figure = figures.draw(grown, training_budget.measure(grown), networks, "viridis")
    shown, panel = figure.axes
    drawn = [np.ma.getdata(image.get_array()) for image in shown.images]
    assert [values.shape for values in drawn] == [(5, 5)] * 4 + [(1, 256)]
    np.testing.assert_array_equal(drawn[0], triangle(LOW))
    for line, expected in zip(panel.lines[:2], ([HIGH, HIGH], [LOW, 0.7]), strict=True):
        np.testing.assert_allclose(line.get_ydata(), expected)
