"""Pictures of many matrices: what they show is what the tables say."""

import numpy as np
import pandas as pd
import pytest

from modelstitch.errors import ModelstitchError
from modelstitch.figures import matrices
from modelstitch.figures.paper import INK
from modelstitch.networks.small_resnet import ARCHITECTURES
from tests.figures.drawn import boxes, colours, make_tables, texts


def test_seeds_are_named_where_there_are_several():
    cells, networks = make_tables(seeds=(0, 1))
    overview = matrices.draw_overview(cells, networks, "task", "trained", "trained", "viridis")
    assert texts(overview).count("R1122 s1") == 2


def test_what_the_tables_lack_is_named():
    cells, networks = make_tables(["R1111"])
    with pytest.raises(ModelstitchError, match="lacks R1111_trained_s0"):
        matrices.draw_controls(cells, networks[networks.recipe == "random"], "task", "viridis")


@pytest.mark.parametrize(("names", "annotated"), [(("R1111", "R1112", "R1122"), True), (ARCHITECTURES, False)])
def test_an_overview_has_every_pair_and_numbers_where_they_are_legible(names, annotated):
    cells, networks = make_tables(names, combinations=[("trained", "trained")])
    figure = matrices.draw_overview(cells, networks, "task", "trained", "trained", "viridis")
    assert len(colours(figure)) == len(cells)
    assert all(texts(figure).count(name) == 2 for name in names)
    assert ("0.93" in texts(figure)) == annotated
    assert max(figure.get_size_inches()) < 14


def test_long_names_of_networks_have_room():
    cells, networks = make_tables(["R1111", "R2222"])
    long = {"R2222": "swinv2_cr_tiny_ns_224.sw_in1k"}
    cells, networks = (table.replace(long, regex=True) for table in (cells, networks))
    for figure in (
        matrices.draw_overview(cells, networks, "task", "trained", "random", "viridis"),
        matrices.draw_controls(cells, networks, "task", "viridis"),
    ):
        assert len(boxes(figure)) == len(texts(figure)) and texts(figure).count(long["R2222"]) in (2, 8)


def test_controls_have_a_panel_for_every_combination_of_recipes():
    cells, networks = make_tables()
    cells.loc[cells.receiver_recipe == "random", "accuracy"] = np.nan
    figure = matrices.draw_controls(cells, networks, "task", "viridis")
    shown = texts(figure)
    headings = [text for text in shown if " → " in text]
    assert headings == ["trained → trained", "trained → random", "random → trained", "random → random"]
    assert shown.count("mean n/a, 324 of 324 failed") == 2
    assert "no result" in shown and shown.count("test accuracy") == 1
    assert len(colours(figure)) == cells.accuracy.notna().sum()


def test_controls_of_a_single_combination_and_architecture():
    cells, networks = make_tables(["R1111"], combinations=[("random", "trained")])
    assert "random → trained" in texts(matrices.draw_controls(cells, networks, "task", "viridis"))


def triangles(**numbers):
    """The row of all pairs of trained networks, as `modelstitch.analysis.triangle` gives it."""
    ids = {"objective": "task", "sender_recipe": "trained", "receiver_recipe": "trained", "sender": "all"}
    found = {"below": 0.81, "above": 0.62, "difference": 0.19, "depth_slope": 0.5, "depth_explained": 0.7}
    return pd.DataFrame([ids | found | {"depth_diagonal_explained": 0.3, "index_diagonal_explained": 0.2} | numbers])


def test_the_average_matrix_is_that_of_relative_depth_with_the_stem_at_the_top_left():
    cells, networks = make_tables()
    cells = cells.assign(accuracy=np.where((cells.sender_layer == 0) & (cells.receiver_layer > 0), 0.25, 0.75))
    figure = matrices.draw_depth(cells, networks, triangles(), "task", "trained", "trained", "viridis")
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
    figure = matrices.draw_depth(cells, networks, table, "task", "trained", "trained", "viridis")
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
    figure = matrices.draw_depth(cells, networks, triangles(**seeds), "task", "trained", "trained", "viridis")
    shown = texts(figure)
    assert {"0.81", "0.62", "0.19", "0.50", "0.70", "0.30", "0.20"} <= set(shown)
    assert "\N{MINUS SIGN}0.04 to 0.30 over seeds" in shown
    assert not [text for text in shown if "over pairs" in text]
    with pytest.raises(ModelstitchError, match="receiver_recipe random"):
        matrices.draw_depth(cells, networks, triangles(), "task", "trained", "random", "viridis")
