"""A picture of one pair: what it shows is what the table or the record says."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.image import imread
from matplotlib.patches import Circle

from modelstitch import records
from modelstitch.analysis.controls import with_excess
from modelstitch.errors import ModelstitchError
from modelstitch.figures import pair
from modelstitch.figures.paper import save
from tests.analysis.written import cells as cells_table
from tests.figures.drawn import NAMES, boxes, colours, make_tables, texts
from tests.records import made


def test_a_pair_shows_every_accuracy_as_the_paper_prints_it():
    cells, networks = make_tables()
    chosen = (cells.sender == "R1111_trained_s0") & (cells.receiver == "R1112_trained_s0")
    cells.loc[chosen, "accuracy"] = np.arange(chosen.sum()) / 100
    cells.loc[cells[chosen].index[-1], "accuracy"] = 0.999
    figure = pair.draw_pair(cells, networks, "task", "R1111_trained_s0", "R1112_trained_s0", "viridis")
    shown = texts(figure)
    assert shown[0] == "R1111 trained → R1112 trained"
    assert "alone: 0.90 → 0.90" in shown[1]
    assert [f"0.{value:02d}" for value in range(29)] + ["1.00"] == shown[2:32]
    assert "chance 0.10" in shown


def test_rows_are_sender_layers_from_the_top_and_columns_receiver_layers():
    cells, networks = make_tables()
    figure = pair.draw_pair(cells, networks, "task", "R1111_trained_s0", "R1122_trained_s0", "viridis")
    cell = pair.CELL
    drawn = colours(figure)
    left, top = min(drawn)
    chosen = cells[(cells.sender == "R1111_trained_s0") & (cells.receiver == "R1122_trained_s0")]
    assert len(drawn) == len(chosen) == 5 * 7
    for row in chosen.itertuples():
        corner = (round(left + row.receiver_layer * cell, 6), round(top + row.sender_layer * cell, 6))
        assert drawn[corner] == colormaps["viridis"](row.accuracy)


def test_cells_without_a_result_are_hatched_and_labelled():
    cells, networks = make_tables()
    cells.loc[0, ["accuracy", "diverged"]] = [np.nan, True]
    cells.loc[1, "accuracy"] = np.nan
    figure = pair.draw_pair(cells, networks, "task", "R1111_trained_s0", "R1111_trained_s0", "viridis")
    assert texts(figure).count("div") == 1 and texts(figure).count("n/a") == 1
    assert [patch.get_hatch() for patch in figure.axes[0].patches].count("//////") == 2
    assert len(colours(figure)) == 25 - 2


def test_all_pairs_are_drawn_in_all_formats(tmp_path):
    cells, networks = make_tables(["R1111", "R1112"], combinations=[("trained", "random")])
    pair.draw_all(cells, networks, compared(), tmp_path, "magma", ["png", "svg"])
    drawn = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert drawn == sorted(
        f"task/{sender}_trained_s0/{receiver}_random_s0.{kind}"
        for sender, receiver in itertools.product(("R1111", "R1112"), repeat=2)
        for kind in ("png", "svg")
    )
    picture = imread(tmp_path / "task/R1111_trained_s0/R1111_random_s0.png")
    assert picture.shape[0] > 800 and picture.std() > 0.1


def compared(*cells, comparison="corresponding", pair=("task", "R1111_trained_s0", "R1112_trained_s0")):
    """A table of comparisons: sender and receiver layer, sender layer of the other cell, verdict."""
    rows = [(*pair, *layers, comparison, other, verdict) for *layers, other, verdict in cells]
    names = ["objective", "sender", "receiver", "sender_layer", "receiver_layer"]
    return pd.DataFrame(rows, columns=[*names, "comparison", "other_sender_layer", "verdict"])


def marks(figure):
    """Cells (row, column) of a pair's figure by their mark, and those of the key, whose places are no cells."""
    left, top = min(colours(figure))
    circles = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    found = {"dot": set(), "ring": set()}
    for circle in circles:
        column, row = ((place - corner) // pair.CELL for place, corner in zip(circle.center, (left, top), strict=True))
        found["dot" if circle.get_facecolor()[3] else "ring"].add((int(row), int(column)))
    return found["dot"], found["ring"]


def test_cells_like_the_corresponding_one_have_a_dot_and_that_one_a_ring():
    cells, networks = make_tables()
    comparisons = pd.concat(
        [
            compared((0, 1, 1, "lower"), (2, 1, 1, "undecided"), (4, 5, 3, "undecided"), (0, 5, 3, "higher")),
            compared((3, 3, 1, "undecided"), comparison="own_layer"),
            compared((3, 3, 1, "undecided"), pair=("task", "R1112_trained_s0", "R1111_trained_s0")),
        ]
    )
    names = ("task", "R1111_trained_s0", "R1112_trained_s0", "viridis")
    figure = pair.draw_pair(cells, networks, *names, comparisons)
    dots, rings = marks(figure)
    assert {cell for cell in dots if cell[0] < 5} == {(2, 1), (4, 5)}
    assert {cell for cell in rings if cell[0] < 5} == {(1, 1), (3, 5)}
    assert len(dots) == len(rings) == 3  # with those of the key
    assert texts(figure)[-2:] == ["no significant difference from the ring", "the corresponding layer"]
    boxes(figure)


def test_excess_over_remapped_labels_is_marked_where_it_is_none():
    cells, networks = make_tables()
    cells = with_excess(cells.assign(excess_over_remapped=0.2))
    names = ("excess_over_remapped", "R1111_trained_s0", "R1112_trained_s0", "viridis")
    marked = {"remapped": (0, 1), "remapped-2": (3, 0), "corresponding": (2, 2)}
    tables = [compared((i, j, i, "undecided"), comparison=name) for name, (i, j) in marked.items()]
    figure = pair.draw_pair(cells, networks, *names, pd.concat(tables))
    dots, rings = marks(figure)
    assert {cell for cell in dots if cell[0] < 5} == {(0, 1), (3, 0)} and not rings
    assert texts(figure)[-1] == "no significant difference from remapped labels"


def test_a_pair_that_was_not_compared_has_no_marks():
    cells, networks = make_tables()
    names = ("task", "R1111_trained_s0", "R1111_trained_s0", "viridis")
    plain = pair.draw_pair(cells, networks, *names)
    for comparisons in (compared(), compared((0, 0, 1, "undecided"))):
        figure = pair.draw_pair(cells, networks, *names, comparisons)
        assert texts(figure) == texts(plain) and marks(figure) == (set(), set())
        assert figure.get_size_inches().tolist() == plain.get_size_inches().tolist()


def test_the_key_of_a_narrow_matrix_is_not_cut_off():
    cells, networks = make_tables()
    narrow = cells[cells.receiver_layer.isin([1])]
    names = ("task", "R1111_trained_s0", "R1112_trained_s0", "viridis")
    boxes(pair.draw_pair(narrow, networks, *names, compared((0, 1, 1, "undecided"))))


def test_seeds_are_named_where_there_are_several():
    cells, networks = make_tables(seeds=(0, 1))
    figure = pair.draw_pair(cells, networks, "task", "R1111_trained_s0", "R1111_trained_s1", "viridis")
    assert texts(figure)[0] == "R1111 s0 trained → R1111 s1 trained"


def test_what_the_tables_lack_is_named():
    cells, networks = make_tables(["R1111"])
    with pytest.raises(ModelstitchError, match="sender R2222_trained_s0"):
        pair.draw_pair(cells, networks, "task", "R2222_trained_s0", "R1111_trained_s0", "viridis")
    with pytest.raises(ModelstitchError, match="lacks R1111_trained_s0"):
        pair.draw_pair(cells, networks[1:], "task", "R1111_trained_s0", "R1111_random_s0", "viridis")


def test_layers_are_labelled_with_what_their_names_do_not_share():
    cells, networks = make_tables(["R1111", "R1112"])
    cells = cells[cells.receiver_layer.isin([0, 3])].assign(
        sender_layer_name=cells.sender_layer.map({0: "stem", 1: "blocks.0", 2: "blocks.1", 3: "blocks.2", 4: "norm"})
    )
    figure = pair.draw_pair(cells, networks, "task", "R1111_trained_s0", "R1112_trained_s0", "viridis")
    shown = texts(figure)
    assert shown[12:17] == ["stem  0", "blocks.0  1", "blocks.1  2", "blocks.2  3", "norm  4"]
    assert shown[17:19] == ["0", "3"]


@pytest.fixture
def record():
    """A pair of networks of one's own: 2 sender layers of 4, into the input and two layers; two cells failed."""
    columns = [
        made.column(-1, [0.25, np.nan], sender_layers=(1, 3), diverged=np.zeros(2, bool)),
        made.column(0, [0.5, 0.75], sender_layers=(1, 3)),
        made.column(2, [np.nan, 1.0], sender_layers=(1, 3)),
    ]
    receiver = dataclasses.replace(made.layers(3), names=tuple(NAMES))
    about = {"objective": "similarity", "sender_accuracy": 0.875, "receiver_accuracy": np.nan}
    return made.record(columns, "my net", "ViT/16 (mine)", (made.layers(4), receiver), **about)


def test_a_record_is_drawn_whatever_its_networks_are_called(record):
    figure = pair.draw_record(record, "viridis")
    shown = texts(figure)
    assert shown[:2] == ["my net → ViT/16 (mine)", "similarity stitches · the networks alone: 0.88 → n/a"]
    assert shown[2:8] == ["0.25", "0.50", "div", "n/a", "0.75", "1.00"]
    assert shown[8:10] == ["1", "3"] and shown[10:13] == ["-1  image", "0  conv_proj", "2  encoder_layer_1"]
    assert not [text for text in shown if "chance" in text]
    drawn = colours(figure)
    left, bottom = min(x for x, _ in drawn), max(y for _, y in drawn)
    expected = {(0, 0): 0.25, (1, 0): 0.5, (1, 1): 0.75, (2, 1): 1.0}
    assert drawn == {
        (round(left + column * pair.CELL, 6), round(bottom + (row - 1) * pair.CELL, 6)): colormaps["viridis"](value)
        for (column, row), value in expected.items()
    }


def test_a_record_shows_what_the_table_of_its_cells_shows(tmp_path):
    columns = [made.column(layer, [0.1, np.nan, 0.3, 0.5, 0.9]) for layer in range(6)]
    about = {"objective": "task", "sender_accuracy": 0.9, "receiver_accuracy": 0.9}
    record = made.record(columns, "R1111_trained_s0", "R1112_trained_s0", **about)
    path = made.write(tmp_path, record)
    _, networks = make_tables(["R1111", "R1112"])
    pairs = ("task", "R1111_trained_s0", "R1112_trained_s0")
    of_table = pair.draw_pair(cells_table([path], made.EVIDENCE), networks, *pairs, "viridis")
    of_record = pair.draw_record(records.read(path), "viridis")
    assert texts(of_record)[1:] == [text for text in texts(of_table)[1:] if "chance" not in text]
    assert list(colours(of_record).values()) == list(colours(of_table).values())


@pytest.mark.parametrize("longest", [NAMES, ["x" * 60, "y.z", "w"], ["layers.0", "layers.1", "layers.2"]])
def test_nothing_is_cut_off_or_written_over(record, longest):
    """All words lie within the page, and no label on another, or on a cell."""
    record = dataclasses.replace(record, sender=dataclasses.replace(record.sender, names=(*longest, "last")))
    record = dataclasses.replace(record, receiver=dataclasses.replace(record.receiver, names=tuple(longest)))
    figure = pair.draw_record(record, "viridis")
    assert texts(figure)[13:15] == ["receiver layer", "sender layer"]
    labels, axes = boxes(figure)[8:15], figure.axes[0]
    squares = [path.get_extents(axes.transData) for shape in axes.collections for path in shape.get_paths()]
    assert len(squares) == 4
    for one, other in itertools.chain(itertools.combinations(labels, 2), itertools.product(labels, squares)):
        assert not one.overlaps(other)


def test_a_figure_shows_in_a_notebook_and_is_written_as_a_file(record, tmp_path):
    figure = pair.draw_record(record, "viridis")
    assert figure._repr_png_().startswith(b"\x89PNG")
    for kind in ("png", "pdf", "svg"):
        save(figure, [tmp_path / f"pair.{kind}"])
        assert (tmp_path / f"pair.{kind}").stat().st_size > 1000
