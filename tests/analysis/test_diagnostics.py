"""Failures are found where they are, and nothing else is."""

import numpy as np
import pandas as pd
import pytest

from modelstitch.analysis import diagnostics, tables
from modelstitch.analysis.cells import rows_of
from modelstitch.analysis.networks import networks
from tests.analysis.written import cells, write_network
from tests.records import made
from tests.records.made import EVIDENCE

TRAINED, RANDOM = "R1111_trained_s0", "R1111_random_s0"
LN_10 = np.log(10)


@pytest.fixture
def find(tmp_path):
    """Findings in a study of two networks of 5 layers: all is well but for `changes`.

    Changes of the trained network are by its name, of a cell by (sender, receiver, sender layer, receiver layer).
    """

    def find(changes, epochs=2):
        files = [
            write_network(tmp_path, TRAINED),
            write_network(tmp_path, RANDOM, accuracy=0.1, train_accuracy=None),
        ]
        for network, change in changes.items():
            if isinstance(network, str):
                write_network(tmp_path, network, **change)
        paths = [
            write_pair(tmp_path, sender, receiver, changes, epochs)
            for sender in (TRAINED, RANDOM)
            for receiver in (TRAINED, RANDOM)
        ]
        return diagnostics.find([with_first_losses(paths)], networks(files))

    return find


def write_pair(folder, sender, receiver, changes, epochs, objective="task"):
    accuracy = 0.9 if (sender, receiver) == (TRAINED, TRAINED) else 0.5
    columns = []
    for j in range(5):
        rows = [
            {"accuracy": accuracy, "train": accuracy, "losses": [1.0, 0.5][-epochs:], "test_loss": 0.5, "reason": ""}
            | changes.get((sender, receiver, i, j), {})
            for i in range(5)
        ]
        columns.append(
            made.column(
                j,
                [row["accuracy"] for row in rows],
                test_loss=np.array([row["test_loss"] for row in rows]),
                train_accuracy=np.array([[row["train"]] * epochs for row in rows]),
                train_loss=np.array([row["losses"] for row in rows]),
                diverged=np.array([row["reason"] == "loss not finite" for row in rows]),
                reason=tuple(row["reason"] for row in rows),
            )
        )
    return made.write(folder, made.record(columns, sender, receiver, objective=objective, receiver_accuracy=0.9))


def with_first_losses(paths):
    """The cells table of some records, with the losses of the first epoch."""
    rows = pd.DataFrame([row for path in paths for row in rows_of(EVIDENCE.read(path))])
    return cells(paths, EVIDENCE).merge(rows[[*diagnostics.CELL, "first_train_loss"]], on=list(diagnostics.CELL))


def cell_of(row):
    return (row.sender, row.receiver, row.sender_layer, row.receiver_layer)


def test_a_study_in_which_all_is_well_has_an_empty_table_with_its_header(find, tmp_path):
    found = find({})
    assert found.empty and list(found) == list(diagnostics.COLUMNS)
    tables.write_csv(found, tmp_path / "failures.csv")
    assert (tmp_path / "failures.csv").read_text() == ",".join(diagnostics.COLUMNS) + "\n"


@pytest.mark.parametrize(("accuracy", "count"), [(0.10, 1), (0.149, 1), (0.16, 0)])
def test_a_trained_network_near_chance_is_untrained(find, accuracy, count):
    found = find({TRAINED: {"accuracy": accuracy, "train_accuracy": accuracy}})
    assert found.finding.tolist() == ["untrained network"] * count
    assert (found.network == TRAINED).all() and found.sender_layer.isna().all()


@pytest.mark.parametrize(("train", "count"), [(0.85, 0), (0.95, 1)])
def test_a_network_that_knows_its_training_images_only_is_overfitted(find, train, count):
    found = find({TRAINED: {"accuracy": 0.7, "train_accuracy": train}})
    assert found.finding.tolist() == ["overfitted network"] * count
    assert found.value.tolist() == pytest.approx([0.25] * count)


@pytest.mark.parametrize("pair", [(TRAINED, TRAINED), (RANDOM, TRAINED), (TRAINED, RANDOM)])
def test_a_stitch_that_knows_its_training_images_only_is_overfitted(find, pair):
    found = find({(*pair, 3, 1): {"accuracy": 0.4, "train": 0.95}, (*pair, 2, 2): {"accuracy": 0.4, "train": 0.55}})
    assert found.finding.tolist() == ["overfitted stitch"]
    assert cell_of(found.iloc[0]) == (*pair, 3, 1)
    assert "0.950 of the training images right and 0.400 of the test images" in found.words[0]


def test_a_cell_without_a_result_is_found_with_its_reason(find):
    found = find(
        {
            (TRAINED, RANDOM, 1, 2): {"accuracy": np.nan, "losses": [1.0, np.nan], "reason": "loss not finite"},
            (TRAINED, RANDOM, 1, 3): {"accuracy": np.nan, "losses": [1.0, np.nan], "reason": "out of memory"},
        }
    )
    assert found.finding.tolist() == ["diverged", "no result"]
    assert [cell_of(row) for row in found.itertuples()] == [(TRAINED, RANDOM, 1, 2), (TRAINED, RANDOM, 1, 3)]
    assert found.words.str.endswith(("loss not finite", "out of memory")).all()


@pytest.mark.parametrize(("last", "count"), [(1.04, 0), (1.06, 1)])
def test_a_loss_that_rose_is_found(find, last, count):
    found = find({(TRAINED, TRAINED, 0, 4): {"losses": [1.0, last], "test_loss": 0.9}})
    assert found.finding.tolist() == ["loss rose"] * count
    assert found.value.tolist() == [1.06] * count


@pytest.mark.parametrize(("losses", "count"), [([0.04, 0.03], 0), ([0.04, 0.05], 1), ([0.05], 0)])
def test_a_squared_error_that_never_fell_is_found_however_small(tmp_path, losses, count):
    change = {(TRAINED, TRAINED, 0, 4): {"losses": losses, "train": np.nan, "test_loss": 9.0}}
    path = write_pair(tmp_path, TRAINED, TRAINED, change, len(losses), objective="similarity")
    found = diagnostics.find([with_first_losses([path])], networks([write_network(tmp_path, TRAINED)]))
    assert found.finding.tolist() == ["loss rose"] * count
    assert [cell_of(row) for row in found.itertuples()] == [(TRAINED, TRAINED, 0, 4)] * count
    assert found.limit.tolist() == [0.04] * count


@pytest.mark.parametrize(
    ("train_loss", "test_loss", "count"),
    [(LN_10 - 0.04, LN_10, 1), (5.0, 4.0, 1), (LN_10 - 0.06, LN_10, 0), (5.0, 1.0, 0)],
)
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_loss_that_stayed_at_that_of_a_guess_is_found_after_any_number_of_epochs(
    find, train_loss, test_loss, count, epochs
):
    change = {"losses": [9.0, train_loss][-epochs:], "test_loss": test_loss}
    found = find({(TRAINED, TRAINED, 0, 4): change, (RANDOM, TRAINED, 0, 4): change}, epochs)
    assert found.finding.tolist() == ["loss of a guess"] * count
    assert [cell_of(row) for row in found.itertuples()] == [(TRAINED, TRAINED, 0, 4)] * count


@pytest.mark.parametrize("control", [(RANDOM, TRAINED), (TRAINED, RANDOM), (RANDOM, RANDOM)])
def test_a_pair_below_its_control_is_found(find, control):
    better = {(*control, i, j): {"accuracy": 0.93, "train": 0.93} for i in range(5) for j in range(5)}
    found = find(better)
    assert found.finding.tolist() == ["below its control"]
    assert (found.sender[0], found.receiver[0]) == (TRAINED, TRAINED) and found.sender_layer.isna().all()
    assert found.value[0] == pytest.approx(-0.03)
    better |= {(*control, 0, j): {"accuracy": 0.8, "train": 0.8} for j in range(5)}
    assert find(better).empty


def test_networks_come_first_then_cells_in_the_order_of_their_table(find):
    bad = {"accuracy": np.nan, "reason": "loss not finite"}
    found = find(
        {
            (RANDOM, TRAINED, 0, 0): bad,
            (TRAINED, TRAINED, 2, 1): bad,
            (TRAINED, TRAINED, 1, 4): bad,
            TRAINED: {"accuracy": 0.1, "train_accuracy": 0.1},
        }
    )
    assert found.network[0] == TRAINED
    assert [cell_of(row) for row in found[1:].itertuples()] == [
        (TRAINED, TRAINED, 1, 4),
        (TRAINED, TRAINED, 2, 1),
        (RANDOM, TRAINED, 0, 0),
    ]


def test_a_study_without_controls_is_compared_with_none(tmp_path):
    path = write_pair(tmp_path, TRAINED, TRAINED, {}, 2)
    assert diagnostics.find([with_first_losses([path])], networks([write_network(tmp_path, TRAINED)])).empty


def test_the_table_survives_its_file(find, tmp_path):
    found = find({(TRAINED, RANDOM, 1, 2): {"accuracy": 0.1, "train": 0.9}, TRAINED: {"accuracy": 0.1}})
    tables.write_csv(found, tmp_path / "failures.csv")
    read = pd.read_csv(tmp_path / "failures.csv")
    assert read.sender_layer.dropna().tolist() == [1] and read.words.tolist() == found.words.tolist()
