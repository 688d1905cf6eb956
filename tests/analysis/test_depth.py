import numpy as np
import pandas as pd
import pytest

from modelstitch.analysis.depth import average, on_depth_axes, relative_depth

CELLS = ["objective", "sender", "receiver", "sender_layer", "receiver_layer"]
CELLS += ["sender_layer_count", "receiver_layer_count", "accuracy"]


def test_the_stem_is_at_0_and_the_last_layer_at_1():
    assert [relative_depth(layer, 5) for layer in range(5)] == [0, 0.25, 0.5, 0.75, 1]


def test_the_only_layer_is_the_last():
    assert relative_depth(0, 1) == 1


@pytest.mark.parametrize(("layer", "layers"), [(-1, 5), (5, 5), (1, 1), (0, 0)])
def test_a_layer_that_is_not_there_is_refused(layer, layers):
    with pytest.raises(ValueError, match=f"layer {layer} of {layers}"):
        relative_depth(layer, layers)


def test_a_point_has_the_value_of_the_nearest_cell():
    matrix = pd.DataFrame(np.arange(6.0).reshape(2, 3))
    # Parts of 1/8: rows change at 1/2, columns at 1/4 and 3/4.
    assert on_depth_axes(matrix, 2, 3, 8).tolist() == [[0, 0, 1, 1, 1, 1, 2, 2]] * 4 + [[3, 3, 4, 4, 4, 4, 5, 5]] * 4


def test_layers_that_were_left_out_are_stood_for_by_the_nearest():
    matrix = pd.DataFrame([[0.1, np.nan], [0.3, 0.4]], index=[0, 4], columns=[1, 3])
    np.testing.assert_array_equal(
        on_depth_axes(matrix, 5, 5, 4), np.repeat(np.repeat(matrix.to_numpy(), 2, axis=0), 2, axis=1)
    )


def test_the_average_counts_every_pair_with_a_result_once():
    """Two pairs, of 5 x 5 and 6 x 6 layers, constant at .2 and .6; the second has no result in its last row."""
    rows = [
        ("task", name, name, i, j, layers, layers, accuracy if i < 5 else np.nan)
        for name, layers, accuracy in (("R1111_trained_s0", 5, 0.2), ("R1112_trained_s0", 6, 0.6))
        for i in range(layers)
        for j in range(layers)
    ]
    found = average(pd.DataFrame(rows, columns=CELLS), 64)
    last_row = (np.arange(64) + 0.5) / 64 > 0.9
    np.testing.assert_allclose(found, np.where(last_row, 0.2, 0.4)[:, None].repeat(64, axis=1))


def test_layers_that_were_not_stitched_count_for_the_depth_of_those_that_were():
    """Layers 0 and 1 of 5, of networks that are no Small ResNets: from .125 on, all points are nearest to layer 1."""
    rows = [("task", "vit_trained_s0", "mine_trained_s0", i, j, 5, 2, 0.2 + 0.4 * i) for i in (0, 1) for j in (0, 1)]
    found = average(pd.DataFrame(rows, columns=CELLS), 16)
    np.testing.assert_allclose(found, np.repeat([0.2, 0.6], [2, 14])[:, None].repeat(16, axis=1))


def test_where_no_pair_has_a_result_the_average_is_nan():
    rows = [("task", "R1111_trained_s0", "R1111_trained_s0", i, 0, 5, 5, np.nan if i else 0.5) for i in range(5)]
    found = average(pd.DataFrame(rows, columns=CELLS), 8)
    assert found[0].tolist() == [0.5] * 8 and np.isnan(found[1:]).all()
