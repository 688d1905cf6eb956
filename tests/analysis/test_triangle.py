"""The triangle's numbers on matrices of which they are known."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from modelstitch.analysis import triangle
from modelstitch.errors import ModelstitchError
from tests.records import made


def matrix(rows, columns, below, low=0.0, high=1.0):
    """`high` where `below(i, j)`, else `low`."""
    return pd.DataFrame([[high if below(i, j) else low for j in range(columns)] for i in range(rows)])


def by_index(i, j):
    return i >= j


@pytest.fixture
def write_pair(few_digits, tmp_path):
    """Write a record of which cell (i, j) is right on as many of the 101 images as `right(i, j)` says."""

    def write(sender, receiver, right, digest=few_digits.digest, objective="task"):
        rows, columns = (len(made.layers_of(name)) for name in (sender, receiver))
        labels = few_digits.test.labels
        result = []
        for j in range(columns):
            counts = [right(i, j) for i in range(rows)]
            failed = np.array([count is None for count in counts])
            predictions = np.stack([np.where(np.arange(101) < (count or 0), labels, 9 - labels) for count in counts])
            accuracies = np.where(failed, np.nan, (predictions == labels).mean(axis=1))
            result.append(made.column(j, accuracies, predictions=predictions.astype(np.uint8)))
        return made.write(tmp_path, made.record(result, sender, receiver, objective=objective, dataset_digest=digest))

    return write


@pytest.mark.parametrize("layers", [5, 9, 17])
def test_a_perfect_triangle_has_difference_1_and_slope_1(layers):
    found = triangle.numbers(matrix(layers, layers, by_index), layers, layers)
    assert (found["below"], found["above"], found["difference"]) == (1, 0, 1)
    for kind in ("index", "depth"):
        assert found[f"{kind}_slope"] == 1
        assert found[f"{kind}_explained"] == pytest.approx(1)
        assert found[f"{kind}_diagonal_explained"] == pytest.approx(1)
    assert found["depth_advantage"] == 0


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_matrix_has_no_triangle(value):
    found = triangle.numbers(matrix(5, 7, by_index, value, value), 5, 7)
    assert found["difference"] == pytest.approx(0, abs=1e-15)
    assert all(found[name] == 0 for name in found if "explained" in name)
    assert math.isnan(found["index_slope"]) and math.isnan(found["depth_slope"])


def test_a_triangle_upside_down_is_none():
    found = triangle.numbers(matrix(6, 6, lambda i, j: i < j), 6, 6)
    assert found["difference"] == -1
    assert found["depth_diagonal_explained"] == 0


@pytest.mark.parametrize(("rows", "columns"), [(5, 9), (9, 5), (9, 17)])
def test_a_triangle_by_index_is_told_from_one_by_relative_depth(rows, columns):
    depth = triangle.numbers(matrix(rows, columns, lambda i, j: i * (columns - 1) >= j * (rows - 1)), rows, columns)
    index = triangle.numbers(matrix(rows, columns, by_index), rows, columns)
    assert (depth["depth_slope"], depth["difference"]) == (1, 1)
    assert depth["index_slope"] == pytest.approx((rows - 1) / (columns - 1))
    assert (index["index_slope"], index["depth_slope"]) == (1, pytest.approx((columns - 1) / (rows - 1)))
    assert (depth["depth_explained"], index["index_explained"]) == pytest.approx((1, 1))
    assert depth["depth_advantage"] > 0.2 and index["depth_advantage"] < -0.2


def test_the_share_explained_is_that_of_a_regression_on_the_side():
    generator = np.random.default_rng(0)
    values = pd.DataFrame(generator.random((5, 8)) + np.tri(5, 8) * 0.3)
    found = triangle.numbers(values, 5, 8)
    shares = {}
    for slope in {i / j for i in range(1, 5) for j in range(1, 8)}:
        below = np.array([[i >= slope * j - 1e-12 for j in range(8)] for i in range(5)])
        levels = np.where(below, values.to_numpy()[below].mean(), values.to_numpy()[~below].mean())
        shares[slope] = 1 - ((values - levels) ** 2).to_numpy().mean() / values.to_numpy().var()
    best = max(shares, key=shares.get)
    assert found["index_slope"] == pytest.approx(best)
    assert found["index_explained"] == pytest.approx(shares[best])
    assert found["index_diagonal_explained"] == pytest.approx(shares[1])


@pytest.mark.parametrize(("rows", "columns"), [(8, 7), (9, 17), (12, 14)])
def test_cells_on_one_boundary_have_one_slope(rows, columns):
    i, j = (axis.ravel() for axis in np.indices((rows, columns)))
    slopes = triangle.cell_slopes(i, j, rows, columns)
    exact = {Fraction(a * (columns - 1), b * (rows - 1)) for a in range(rows) for b in range(1, columns)}
    assert len(set(slopes["depth"])) == len(set(slopes["index"])) == len(exact) + 1


def test_layers_that_were_not_stitched_and_cells_without_a_result_are_left_out():
    whole = matrix(9, 9, by_index)
    whole.iloc[8, 0] = np.nan
    found = triangle.numbers(whole.loc[[0, 3, 8], [0, 4, 8]], 9, 9)
    assert (found["difference"], found["depth_explained"]) == (1, pytest.approx(1))
    with pytest.raises(ValueError, match="2 of 2 cells"):
        triangle.numbers(whole.loc[[7, 8], [1]], 9, 9)


def test_an_interval_over_images_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    counts = triangle.drawn(200, 0)
    widths, covered = [], 0
    for _ in range(400):
        low, high = triangle.interval(counts @ (generator.random(200) < 0.7) / 200)
        covered += low <= 0.7 <= high
        widths.append(high - low)
    assert 0.92 < covered / 400 < 0.97
    assert np.mean(widths) == pytest.approx(2 * 1.96 * (0.7 * 0.3 / 200) ** 0.5, rel=0.05)


def test_a_study_has_a_row_for_each_two_recipes_and_one_a_pair(write_pair, few_digits_evidence):
    names = [f"{one}_s{seed}" for one in ("R1111_trained", "R1122_trained") for seed in (0, 1)]
    paths = [
        write_pair(*pair, lambda i, j, seed=int(pair[0][-1]): 90 if i >= j else 30 + 20 * seed)
        for pair in itertools.product(names, repeat=2)
    ]
    paths.append(write_pair("R1111_random_s0", "R1111_trained_s0", lambda i, j: 10))
    table = triangle.measure(paths[::-1], few_digits_evidence, 0)
    assert list(table.sender[:2]) == ["all", "all"]
    assert list(zip(table.sender_recipe[:2], table.receiver_recipe[:2], strict=True)) == [
        ("trained", "trained"),
        ("random", "trained"),
    ]
    assert len(table) == 2 + 17 and table.sender[2] == table.receiver[2] == "R1111_trained_s0"
    trained, own = table.iloc[0], table[2:][table.sender_recipe[2:] == "trained"]
    assert (trained.pairs, trained.cells) == (16, own.cells.sum())
    for name in ("below", "above", "difference"):
        assert trained[name] == pytest.approx(own[name].mean())
    assert trained.index_slope == 1 and trained.index_explained == pytest.approx(1)
    assert trained.depth_explained < 1 and trained.depth_advantage < 0
    for over in ("images", "pairs", "seeds"):
        assert trained[f"difference_{over}_low"] < trained.difference < trained[f"difference_{over}_high"]
        assert trained[f"index_slope_{over}_low"] == 1
    assert own[[name for name in table if "_pairs_" in name or "_seeds_" in name]].isna().all(axis=None)
    assert own.difference_images_low.notna().all()
    pd.testing.assert_frame_equal(table, triangle.measure(paths, few_digits_evidence, 0))


def test_an_interval_over_seeds_draws_networks_by_their_seeds(write_pair, few_digits_evidence):
    """Only from seed 0 to seed 0 there is a triangle: all pairs, one in four, or none, of two seeds drawn."""
    names = ["R1111_trained_s0", "R1111_trained_s1"]
    paths = [
        write_pair(*pair, lambda i, j, good=names[0] == pair[0] == pair[1]: 101 if good and i >= j else 0)
        for pair in itertools.product(names, repeat=2)
    ]
    row = triangle.measure(paths, few_digits_evidence, 0).iloc[0]
    assert (row.difference_seeds_low, row.difference, row.difference_seeds_high) == (0, 0.25, 1)


def test_the_same_images_are_drawn_for_all_cells(write_pair, few_digits_evidence):
    """A cell above the diagonal is right on the same images as one below, so that resampling changes no difference."""
    path = write_pair("R1111_trained_s0", "R1111_trained_s0", lambda i, j: 60)
    row = triangle.measure([path], few_digits_evidence, 0).iloc[0]
    assert row.difference_images_low == pytest.approx(0) and row.difference_images_high == pytest.approx(0)


def test_a_pair_without_results_counts_nowhere(write_pair, few_digits_evidence):
    paths = [
        write_pair("R1111_trained_s0", "R1111_trained_s0", lambda i, j: 90 if i >= j else 30),
        write_pair("R1111_trained_s0", "R1112_trained_s0", lambda i, j: None),
    ]
    table = triangle.measure(paths, few_digits_evidence, 0)
    assert table.pairs.tolist() == [1, 1, 0]
    assert table.difference[0] == table.difference[1] == pytest.approx(60 / 101)
    assert math.isnan(table.difference[2])


def test_a_record_says_how_many_layers_its_networks_have(few_digits, few_digits_evidence, tmp_path):
    """Of a Transformer of 9 layers and a network of 3, some layers were stitched."""
    labels, rows, right = few_digits.test.labels, (0, 3, 8), pd.DataFrame([[80, 50, 20], [90, 70, 30], [95, 90, 85]])
    columns = []
    for j in range(3):
        predictions = np.stack([np.where(np.arange(101) < count, labels, 9 - labels) for count in right[j]])
        changes = {"predictions": predictions.astype(np.uint8), "sender_layers": rows}
        columns.append(made.column(j, (predictions == labels).mean(axis=1), **changes))
    layers = (made.layers(9), made.layers(3))
    about = {"objective": "task", "dataset_digest": few_digits.digest}
    names = ("vit_b.16_pretrained_s0", "mine_trained_s0")
    path = made.write(tmp_path, made.record(columns, *names, layers, **about))
    row = triangle.measure([path], few_digits_evidence, 0).iloc[1]
    assert (row.sender, row.receiver, row.sender_recipe) == (*names, "pretrained")
    accuracies = np.stack([column.test_accuracy for column in columns], axis=1)
    expected = triangle.numbers(pd.DataFrame(accuracies, index=rows), 9, 3)
    for name, value in expected.items():
        assert row[name] == pytest.approx(value)
    assert expected["depth_slope"] == pytest.approx(3 / 8 / (1 / 2))  # below it are layer 3 to layer 1, and layer 8


def test_a_record_of_other_images_is_refused(write_pair, few_digits_evidence):
    path = write_pair("R1111_trained_s0", "R1111_trained_s0", lambda i, j: 90, digest="other")
    with pytest.raises(ModelstitchError, match=r"R1111_trained_s0\.h5: dataset_digest: 'other': expected"):
        triangle.measure([path], few_digits_evidence, 0)


def test_the_triangle_over_remapped_labels_is_that_of_the_differences(write_pair, few_digits_evidence):
    one, other = "R1111_trained_s0", "R1112_trained_s0"
    counts = {
        "task": lambda i, j: None if (i, j) == (4, 0) else 60 + 5 * (i - j),
        "remapped": lambda i, j: None if (i, j) == (0, 4) else 30 + 7 * (i - j),
        "remapped-2": lambda i, j: 10 + i * j,
    }
    paths = [write_pair(one, one, right, objective=objective) for objective, right in counts.items()]
    paths.append(write_pair(one, other, counts["task"]))
    found = triangle.measure(paths, few_digits_evidence, seed=0).set_index(["objective", "sender", "receiver"])
    assert [key for key in found.index if key[0] == "excess_over_remapped"] == [
        ("excess_over_remapped", name, name) for name in ("all", one)
    ]
    over = pd.DataFrame(
        [[60 + 5 * (i - j) - (30 + 7 * (i - j) + 10 + i * j) / 2 for j in range(5)] for i in range(5)], dtype=float
    )
    over.loc[4, 0] = over.loc[0, 4] = np.nan
    expected = triangle.numbers(over / 101, 5, 5)
    row = found.loc["excess_over_remapped", one, one]
    assert row.cells == 23
    for name in triangle.NUMBERS:
        assert row[name] == pytest.approx(expected[name], abs=1e-9), name
    assert row.difference_images_low <= row["difference"] <= row.difference_images_high
