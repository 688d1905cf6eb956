"""What all figures are drawn with."""

import ast
import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest

from modelstitch.figures import canvas, matrices
from modelstitch.figures.paper import INK, save
from tests.checkout import ROOT
from tests.figures.drawn import NAMES, boxes, make_tables, texts


def test_text_on_dark_cells_is_white_and_on_light_cells_dark():
    for colormap in ("viridis", "magma", "Greys_r"):
        dark, light = (matplotlib.colormaps[colormap](value) for value in (0.02, 0.98))
        assert canvas.ink_on(np.array(dark)) == "white"
        assert canvas.ink_on(np.array(light)) == INK


def test_numbers_have_a_leading_zero_and_two_digits():
    values = (0.9149, 0.999, 0.0, -0.042, -0.001, 1.25, float("nan"))
    shown = ["0.91", "1.00", "0.00", "\N{MINUS SIGN}0.04", "0.00", "1.25", "n/a"]
    assert [canvas.number(value) for value in values] == shown
    assert [canvas.tick(value) for value in (0, 0.25, -0.5, 1.0, 100)] == ["0", "0.25", "\N{MINUS SIGN}0.5", "1", "100"]


@pytest.mark.parametrize("room", [0.6, 1.0, 1.4, 2.0, 3.2])
@pytest.mark.parametrize("guess", [0.01, 0.1, 0.35, 0.5, 0.9])
def test_the_words_of_a_short_scale_do_not_lie_on_each_other(room, guess):
    axes = canvas.canvas(5, 2)
    canvas.draw_bar(axes, 1.0, 0.5, room, guess, "viridis")
    for one, other in itertools.combinations(boxes(axes.figure), 2):
        assert not one.overlaps(other)


def test_a_key_has_as_many_rows_as_it_takes_and_every_word_once():
    words = [f"word {number}" for number in range(7)]
    rows = canvas.key_rows(words, 2.0)
    assert [word for row in rows for word in row] == words and len(rows) == 4
    assert len(canvas.key_rows(words, 100)) == 1 and len(canvas.key_rows(words, 0)) == 7


@pytest.mark.parametrize(
    ("count", "room", "expected"),
    [(5, np.inf, (5, 2.0)), (5, 100, (5, 2.0)), (5, 3.4, (3, 1.0)), (4, 3.4, (2, 1.6)), (7, 0.5, (1, 0.5))],
)
def test_panels_fill_rows_of_about_the_same_length(count, room, expected):
    across, size = canvas.arranged(count, room, 1.0, 2.0, 0.2)
    assert (across, round(size, 9)) == expected


@pytest.mark.parametrize(
    ("classes", "chance"), [(1000, "0.001"), (200, "0.005"), (100, "0.01"), (10, "0.10"), (2, "0.50"), (None, None)]
)
def test_the_accuracy_of_a_guess_is_marked_on_the_scale_where_it_is_known(classes, chance):
    axes, (left, length) = canvas.canvas(5, 2), (1.0, 3.0)
    guess = classes and canvas.chance_of(pd.DataFrame({"classes": [classes]}))
    canvas.draw_bar(axes, left, 0.5, length, guess, "viridis")
    shown = texts(axes.figure)
    assert [text for text in shown if "chance" in text] == ([f"chance {chance}"] if chance else [])
    assert [line.get_xdata().tolist() for line in axes.lines] == ([[left + length * guess] * 2] if guess else [])
    words = [
        box
        for text, box in zip(shown, boxes(axes.figure), strict=True)
        if text in ("test accuracy", f"chance {chance}")
    ]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(words, 2))


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_the_same_picture_has_the_same_bytes(tmp_path, kind):
    cells, networks = make_tables(["R1111"])
    cells.loc[0, "accuracy"] = np.nan
    for run in ("one", "two"):
        save(matrices.draw_controls(cells, networks, "task", "viridis"), [tmp_path / f"{run}.{kind}"])
    assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()
    assert b"Date" not in (tmp_path / f"one.{kind}").read_bytes()


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["layers.0", "layers.1", "layers.2"], ["", "", ""]),
        (["features.0", "features.3", "features.6"], ["", "3", "6"]),
        (["layers.1", "layers.0"], ["1", "0"]),
        (["net.body.stem", "net.body.stage.0", "net.body.stage.1"], ["stem", "stage.0", "stage.1"]),
        (["block", "block.1", "block.2"], ["block", "block.1", "block.2"]),
        (["layer1.0.add", "layer1.1.add"], ["0.add", "1.add"]),
        (["stem"], ["stem"]),
        (["body.0"], [""]),
        (NAMES, ["conv_proj", "encoder_layer_0", "encoder_layer_1"]),
        (["a." + "b" * 16, "b." + "b" * 17], ["a." + "b" * 16, "b" * 17]),
        (["a." + "b" * 18, "a." + "bc" * 10], ["b" * 18, "…" + "c" + "bc" * 8]),
        ({3: "layers.3", 7: "layers.8"}, {3: "", 7: "8"}),
    ],
)
def test_a_short_name_is_what_not_all_names_begin_with_and_none_where_it_is_the_index(names, short):
    layers = names if isinstance(names, dict) else range(len(names))
    found = [canvas.short_name(layer, names) for layer in layers]
    assert found == list(short.values() if isinstance(short, dict) else short)
    assert max(map(len, found)) <= canvas.LONGEST


def test_the_input_is_called_image():
    assert canvas.short_name(-1, NAMES) == "image"


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_a_figure_is_what_it_is_whatever_the_users_matplotlibrc_says(tmp_path, kind):
    cells, networks = make_tables(["R1111"])
    theirs = {"font.size": 20, "font.family": "monospace", "axes.grid": True, "savefig.transparent": True}
    theirs |= {"savefig.bbox": "tight", "lines.linewidth": 9, "svg.fonttype": "none", "image.cmap": "magma"}
    found = []
    for name, settings in (("ours", {}), ("theirs", theirs)):
        with matplotlib.rc_context(settings):
            before = dict(matplotlib.rcParams)
            save(matrices.draw_controls(cells, networks, "task", "viridis"), [tmp_path / f"{name}.{kind}"])
            assert dict(matplotlib.rcParams) == before
        found.append((tmp_path / f"{name}.{kind}").read_bytes())
    assert found[0] == found[1]


def test_every_figure_is_drawn_so():
    drawing = {}
    for path in (ROOT / "modelstitch/figures").glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and "= canvas(" in ast.unparse(function):
                drawing[path.stem, function.name] = [ast.unparse(one) for one in function.decorator_list]
    assert len(drawing) >= 15 and set(map(tuple, drawing.values())) == {("plain()",)}
