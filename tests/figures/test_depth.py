"""Pictures of the average pair: what they show is what the tables say."""

import numpy as np
import pandas as pd
import pytest

from modelstitch.errors import ModelstitchError
from modelstitch.figures import depth
from modelstitch.figures.paper import INK
from tests.figures.drawn import make_tables, texts


def triangles(**numbers):
    """The row of all pairs of trained networks, as `modelstitch.analysis.triangle` gives it."""
    ids = {"objective": "task", "sender_recipe": "trained", "receiver_recipe": "trained", "sender": "all"}
    found = {"below": 0.81, "above": 0.62, "difference": 0.19, "depth_slope": 0.5, "depth_explained": 0.7}
    return pd.DataFrame([ids | found | {"depth_diagonal_explained": 0.3, "index_diagonal_explained": 0.2} | numbers])


def test_the_average_matrix_is_that_of_relative_depth_with_the_stem_at_the_top_left():
    cells, networks = make_tables()
    cells = cells.assign(accuracy=np.where((cells.sender_layer == 0) & (cells.receiver_layer > 0), 0.25, 0.75))
    figure = depth.draw(cells, networks, triangles(), "task", "trained", "trained", "viridis")
    picture = figure.axes[0].images[0]
    left, right, bottom, top = picture.get_extent()
    assert left < right and top < bottom and right - left == bottom - top
    shown = picture.get_array()
    assert (shown[0, 0], shown[0, -1], shown[-1, 0], shown[-1, -1]) == (0.75, 0.25, 0.75, 0.75)
    assert (picture.norm.vmin, picture.norm.vmax) == (0, 1)
    assert "9 pairs" in texts(figure)[1]


@pytest.mark.parametrize(
    ("slope", "explained", "across", "down"),
    [(0.5, 0.7, 1, 0.5), (2, 0.7, 0.5, 1), (np.nan, np.nan, None, None), (2, 0.004, None, None)],
)
def test_the_diagonal_and_a_slope_that_explains_anything_are_drawn_from_the_stem(slope, explained, across, down):
    cells, networks = make_tables()
    table = triangles(depth_slope=slope, depth_explained=explained)
    figure = depth.draw(cells, networks, table, "task", "trained", "trained", "viridis")
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    lines = [line for line in figure.axes[0].lines if line.get_color() == INK]
    ends = [
        [((x - left) / (right - left), (y - top) / (bottom - top)) for x, y in line.get_xydata()] for line in lines[:-1]
    ]
    expected = [[(0, 0), (1, 1)]] + ([[(0, 0), (across, down)]] if across else [])
    np.testing.assert_allclose(ends, expected, atol=1e-12)
    assert ("best slope (dashed)" in texts(figure)) == bool(across)


def test_the_average_matrix_has_the_triangles_numbers_and_intervals():
    cells, networks = make_tables()
    seeds = {"difference_seeds_low": -0.042, "difference_seeds_high": 0.3, "difference_pairs_low": np.nan}
    figure = depth.draw(cells, networks, triangles(**seeds), "task", "trained", "trained", "viridis")
    shown = texts(figure)
    assert {"0.81", "0.62", "0.19", "0.50", "0.70", "0.30", "0.20"} <= set(shown)
    assert "\N{MINUS SIGN}0.04 to 0.30 over seeds" in shown
    assert not [text for text in shown if "over pairs" in text]
    with pytest.raises(ModelstitchError, match="receiver_recipe random"):
        depth.draw(cells, networks, triangles(), "task", "trained", "random", "viridis")
