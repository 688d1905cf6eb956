"""Matrices: the cells table, laid out by layers."""

import numpy as np
import pandas as pd
import pytest

from modelstitch.analysis import matrices
from modelstitch.errors import ModelstitchError

PAIR = ("task", "R1111_trained_s0", "R1112_trained_s0")


@pytest.fixture
def cells():
    """Sender layers 0 to 2, receiver layers 0 and 1, accuracy .i j; cell (2, 1) has failed."""
    table = pd.DataFrame([(*PAIR, i, j, i / 10 + j / 100) for j in (1, 0) for i in (2, 0, 1)])
    table.columns = ["objective", "sender", "receiver", "sender_layer", "receiver_layer", "accuracy"]
    table.loc[(table.sender_layer == 2) & (table.receiver_layer == 1), "accuracy"] = np.nan
    names = {"sender_layer_name": table.sender_layer.map({0: "stem", 1: "2", 2: "body.norm, last"})}
    return table.assign(
        relative_accuracy=table.accuracy * 2,
        **names,
        receiver_layer_name="layers." + table.receiver_layer.astype(str),
        excess_over_remapped=np.nan,
    )


def test_rows_are_sender_layers_and_columns_receiver_layers(cells):
    values = matrices.matrix(cells, *PAIR)
    assert values.index.tolist() == [0, 1, 2] and values.columns.tolist() == [0, 1]
    np.testing.assert_array_equal(values, [[0, 0.01], [0.1, 0.11], [0.2, np.nan]])


def test_all_matrices_equal_those_of_single_pairs(cells):
    other = cells.assign(sender="R2222_random_s1", accuracy=0.5)
    found = matrices.matrices(pd.concat([cells, other]))
    assert list(found) == [PAIR, ("task", "R2222_random_s1", PAIR[2])]
    for pair, values in found.items():
        pd.testing.assert_frame_equal(values, matrices.matrix(pd.concat([cells, other]), *pair))


def test_an_unknown_pair_is_named(cells):
    with pytest.raises(ModelstitchError, match="R2222_trained_s0 to R1112_trained_s0"):
        matrices.matrix(cells, "task", "R2222_trained_s0", "R1112_trained_s0")


def test_a_written_matrix_has_its_layers_and_their_names(cells, tmp_path):
    matrices.write_all(cells, tmp_path)
    folder = tmp_path / "task" / "R1111_trained_s0"
    assert (folder / "R1112_trained_s0.csv").read_text() == (
        "sender_layer,sender_layer_name,0 layers.0,1 layers.1\n"
        '0,stem,0.0,0.01\n1,2,0.1,0.11\n2,"body.norm, last",0.2,NaN\n'
    )
    relative = pd.read_csv(folder / "R1112_trained_s0.relative.csv", index_col=["sender_layer", "sender_layer_name"])
    np.testing.assert_array_equal(relative, [[0, 0.02], [0.2, 0.22], [0.4, np.nan]])


def test_a_written_matrix_has_its_layers_in_their_order_whatever_their_names(cells, tmp_path):
    layers, names = {0: -1, 1: 9, 2: 10}, {-1: "image", 9: "b", 10: "a"}
    cells = cells.replace({"sender_layer": layers, "receiver_layer": layers})
    called = {f"{role}_layer_name": cells[f"{role}_layer"].map(names) for role in ("sender", "receiver")}
    matrices.write_all(cells.assign(**called), tmp_path)
    assert (tmp_path / "task/R1111_trained_s0/R1112_trained_s0.csv").read_text() == (
        "sender_layer,sender_layer_name,-1 image,9 b\n-1,image,0.0,0.01\n9,b,0.1,0.11\n10,a,0.2,NaN\n"
    )
