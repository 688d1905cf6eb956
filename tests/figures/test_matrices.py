"""Figures: what they show is what the tables say, in every format, the same bytes twice."""

import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.image import imread

from modelstitch.errors import ModelstitchError
from modelstitch.figures import canvas, matrices
from modelstitch.identifiers import NetworkId
from modelstitch.networks import architectures

CONTROLS = tuple(itertools.product(("trained", "random"), repeat=2))


def make_tables(names=("R1111", "R1112", "R1122"), seeds=(0,), combinations=CONTROLS, classes=10):
    """Matrices with the paper's triangle: good on and below the diagonal of relative depth, falling above it."""
    ids = [NetworkId(*one) for one in itertools.product(names, ("trained", "random"), seeds)]
    networks = pd.DataFrame([(str(one), *one, 0.9 if one.recipe == "trained" else 0.1, classes) for one in ids])
    networks.columns = ["network", "architecture", "recipe", "seed", "accuracy", "classes"]
    rows = []
    for sender, receiver in itertools.product(ids, repeat=2):
        if (sender.recipe, receiver.recipe) not in combinations:
            continue
        deep, wide = (architectures.count_layers(one.architecture) for one in (sender, receiver))
        for i, j in itertools.product(range(deep), range(wide)):
            accuracy = (0.93 if receiver.recipe == "trained" else 0.3) * (1 - max(0, j / (wide - 1) - i / (deep - 1)))
            rows.append(("task", str(sender), *sender, str(receiver), *receiver, i, j, accuracy, False))
    cells = pd.DataFrame(rows, columns=[
        "objective", "sender", "sender_architecture", "sender_recipe", "sender_seed",
        "receiver", "receiver_architecture", "receiver_recipe", "receiver_seed",
        "sender_layer", "receiver_layer", "accuracy", "diverged",
    ])  # fmt: skip
    return cells, networks


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def colours(figure):
    """Fill colours of the cells by their upper left corner, in inches."""
    return {
        tuple(np.round(path.vertices[0], 6)): tuple(colour)
        for collection in figure.axes[0].collections
        if isinstance(collection, PolyCollection) and len(collection.get_facecolors())
        for path, colour in zip(collection.get_paths(), collection.get_facecolors(), strict=True)
    }


def test_a_pair_shows_every_accuracy_as_the_paper_prints_it():
    cells, networks = make_tables()
    pair = (cells.sender == "R1111_trained_s0") & (cells.receiver == "R1112_trained_s0")
    cells.loc[pair, "accuracy"] = np.arange(pair.sum()) / 100
    cells.loc[cells[pair].index[-1], "accuracy"] = 0.999
    figure = matrices.draw_pair(cells, networks, "task", "R1111_trained_s0", "R1112_trained_s0", "viridis")
    shown = texts(figure)
    assert shown[0] == "R1111 trained → R1112 trained"
    assert "alone: .90 → .90" in shown[1]
    assert [f".{value:02d}" for value in range(29)] + ["1.0"] == shown[2:32]
    assert "chance .10" in shown


def test_rows_are_sender_layers_from_the_top_and_columns_receiver_layers():
    cells, networks = make_tables()
    figure = matrices.draw_pair(cells, networks, "task", "R1111_trained_s0", "R1122_trained_s0", "viridis")
    cell = matrices.PAIR_CELL
    drawn = colours(figure)
    left, top = min(drawn)
    chosen = cells[(cells.sender == "R1111_trained_s0") & (cells.receiver == "R1122_trained_s0")]
    assert len(drawn) == len(chosen) == 5 * 7
    for row in chosen.itertuples():
        corner = (round(left + row.receiver_layer * cell, 6), round(top + row.sender_layer * cell, 6))
        assert drawn[corner] == matplotlib.colormaps["viridis"](row.accuracy)


def test_cells_without_a_result_are_hatched_and_labelled():
    cells, networks = make_tables()
    cells.loc[0, ["accuracy", "diverged"]] = [np.nan, True]
    cells.loc[1, "accuracy"] = np.nan
    figure = matrices.draw_pair(cells, networks, "task", "R1111_trained_s0", "R1111_trained_s0", "viridis")
    assert texts(figure).count("div") == 1 and texts(figure).count("n/a") == 1
    assert [patch.get_hatch() for patch in figure.axes[0].patches].count("//////") == 1
    assert len(colours(figure)) == 25 - 2


def test_text_on_dark_cells_is_white_and_on_light_cells_dark():
    for colormap in ("viridis", "magma", "Greys_r"):
        dark, light = (matplotlib.colormaps[colormap](value) for value in (0.02, 0.98))
        assert canvas.ink_on(np.array(dark)) == "white"
        assert canvas.ink_on(np.array(light)) == canvas.INK


def test_seeds_are_named_where_there_are_several():
    cells, networks = make_tables(seeds=(0, 1))
    figure = matrices.draw_pair(cells, networks, "task", "R1111_trained_s0", "R1111_trained_s1", "viridis")
    assert texts(figure)[0] == "R1111 s0 trained → R1111 s1 trained"
    overview = matrices.draw_overview(cells, networks, "task", "trained", "trained", "viridis")
    assert texts(overview).count("R1122 s1") == 2


@pytest.mark.parametrize(
    ("names", "annotated"), [(("R1111", "R1112", "R1122"), True), (architectures.ARCHITECTURES, False)]
)
def test_an_overview_has_every_pair_and_numbers_where_they_are_legible(names, annotated):
    cells, networks = make_tables(names, combinations=[("trained", "trained")])
    figure = matrices.draw_overview(cells, networks, "task", "trained", "trained", "viridis")
    assert len(colours(figure)) == len(cells)
    assert all(texts(figure).count(name) == 2 for name in names)
    assert (".93" in texts(figure)) == annotated
    assert max(figure.get_size_inches()) < 14


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


def test_what_the_tables_lack_is_named():
    cells, networks = make_tables(["R1111"])
    with pytest.raises(ModelstitchError, match="sender R2222_trained_s0"):
        matrices.draw_pair(cells, networks, "task", "R2222_trained_s0", "R1111_trained_s0", "viridis")
    with pytest.raises(ModelstitchError, match="lacks R1111_trained_s0"):
        matrices.draw_controls(cells, networks[networks.recipe == "random"], "task", "viridis")


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


@pytest.mark.parametrize(("slope", "across", "down"), [(0.5, 1, 0.5), (2, 0.5, 1), (np.nan, None, None)])
def test_the_diagonal_and_the_best_slope_are_drawn_from_the_stem(slope, across, down):
    cells, networks = make_tables()
    table = triangles(depth_slope=slope)
    figure = matrices.draw_depth(cells, networks, table, "task", "trained", "trained", "viridis")
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    lines = [line for line in figure.axes[0].lines if line.get_color() == canvas.INK]
    ends = [
        [((x - left) / (right - left), (y - top) / (bottom - top)) for x, y in line.get_xydata()] for line in lines[:-1]
    ]
    expected = [[(0, 0), (1, 1)]] + ([[(0, 0), (across, down)]] if across else [])
    np.testing.assert_allclose(ends, expected, atol=1e-12)


def test_the_average_matrix_has_the_triangles_numbers_and_intervals():
    cells, networks = make_tables()
    seeds = {"difference_seeds_low": -0.042, "difference_seeds_high": 0.3, "difference_pairs_low": np.nan}
    figure = matrices.draw_depth(cells, networks, triangles(**seeds), "task", "trained", "trained", "viridis")
    shown = texts(figure)
    assert {".81", ".62", ".19", ".50", ".70", ".30", ".20", "\N{MINUS SIGN}.04 to .30 over seeds"} <= set(shown)
    assert not [text for text in shown if "over pairs" in text]
    with pytest.raises(ModelstitchError, match="receiver_recipe random"):
        matrices.draw_depth(cells, networks, triangles(), "task", "trained", "random", "viridis")


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_the_same_picture_has_the_same_bytes(tmp_path, kind):
    cells, networks = make_tables(["R1111"])
    cells.loc[0, "accuracy"] = np.nan
    for run in ("one", "two"):
        canvas.save(matrices.draw_controls(cells, networks, "task", "viridis"), [tmp_path / f"{run}.{kind}"])
    assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()
    assert b"Date" not in (tmp_path / f"one.{kind}").read_bytes()


def test_all_pairs_are_drawn_in_all_formats(tmp_path):
    cells, networks = make_tables(["R1111", "R1112"], combinations=[("trained", "random")])
    matrices.draw_all_pairs(cells, networks, tmp_path, "magma", ["png", "svg"])
    drawn = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert drawn == sorted(
        f"task/{sender}_trained_s0/{receiver}_random_s0.{kind}"
        for sender, receiver in itertools.product(("R1111", "R1112"), repeat=2)
        for kind in ("png", "svg")
    )
    picture = imread(tmp_path / "task/R1111_trained_s0/R1111_random_s0.png")
    assert picture.shape[0] > 800 and picture.std() > 0.1
