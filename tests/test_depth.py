import numpy as np
import pandas as pd
import pytest

from modelstitch.depth import on_depth_axes, relative_depth


def test_the_stem_is_at_0_and_the_last_layer_at_1():
    assert [relative_depth(layer, 5) for layer in range(5)] == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize(("layer", "layers"), [(-1, 5), (5, 5), (0, 1)])
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
