"""Tables: one row a cell, the same bytes from the same results, types kept."""

import functools
import json

import numpy as np
import pandas as pd
import pytest

from modelstitch import records
from modelstitch.analysis import tables
from modelstitch.errors import ModelstitchError


def write_record(
    folder, sender, receiver, diverged=(), receiver_accuracy=0.8, seconds=1.0, accuracies=(0.1, 0.2, 0.4), layers=(0, 1)
):
    columns = []
    for receiver_layer in layers:
        failed = np.array([(layer, receiver_layer) in diverged for layer in range(3)])
        accuracy = np.where(failed, np.nan, accuracies)
        columns.append(
            records.Column(
                receiver_layer=receiver_layer,
                sender_layers=(0, 1, 2),
                test_accuracy=accuracy,
                test_loss=accuracy * 2,
                train_accuracy=np.stack([accuracy / 2, accuracy], axis=1),
                train_loss=np.stack([accuracy / 4, accuracy / 8], axis=1),
                test_images=10,
                predictions=np.zeros((3, 10), np.uint8),
                diverged=failed,
                reason=tuple("loss not finite" if bad else "" for bad in failed),
            )
        )
    attributes = dict.fromkeys(records.IDENTITY, "x") | {
        "objective": "task",
        "sender": sender,
        "receiver": receiver,
        "sender_accuracy": 0.9,
        "receiver_accuracy": receiver_accuracy,
        "seconds": seconds,
    }
    path = folder / sender / f"{receiver}.h5"
    records.write_pair(path, columns, attributes)
    return path


def write_network(folder, network, **changes):
    architecture, recipe, seed = network.split("_")
    about = {
        "network": network,
        "architecture": architecture,
        "recipe": recipe,
        "seed": int(seed[1:]),
        "width": 8,
        "parameters": 44_000,
        "accuracy": 0.95,
        "loss": 0.2,
        "train_accuracy": 0.99,
        "test_images": 360,
        "classes": 10,
        "dataset": "digits",
        "seconds": 12.3,
        "curves": {"epoch": [1, 2]},
    } | changes
    path = folder / f"{network}.json"
    path.write_text(json.dumps(about))
    return path


def test_a_row_a_cell_with_ids_taken_apart(tmp_path):
    table = tables.cells([write_record(tmp_path, "R1111_random_s1", "R1122_trained_s12")])
    assert list(table) == list(tables.CELL_COLUMNS)
    assert len(table) == 6
    first = table.iloc[0]
    assert (first.sender_architecture, first.sender_recipe, first.sender_seed) == ("R1111", "random", 1)
    assert (first.receiver_architecture, first.receiver_recipe, first.receiver_seed) == ("R1122", "trained", 12)
    assert list(zip(table.sender_layer, table.receiver_layer, strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1),
    ]  # fmt: skip
    assert table.accuracy.tolist() == [0.1, 0.1, 0.2, 0.2, 0.4, 0.4]
    assert table.train_loss.tolist() == [0.0125, 0.0125, 0.025, 0.025, 0.05, 0.05]
    assert (table.test_images == 10).all()


def test_relative_accuracy_is_over_the_receivers_own(tmp_path):
    table = tables.cells([write_record(tmp_path, "R1111_trained_s0", "R1112_trained_s0", receiver_accuracy=0.5)])
    np.testing.assert_allclose(table.relative_accuracy, table.accuracy / 0.5, rtol=0)


def test_a_cell_of_trained_networks_is_compared_with_its_controls_and_the_probe(tmp_path):
    trained, random = "R1111_trained_s0", "R1111_random_s0"
    write = functools.partial(write_record, tmp_path, layers=(0, 4))
    cells = tables.cells(
        [
            write(trained, trained, accuracies=(0.5, 0.6, 0.9), diverged=[(2, 0)]),
            write(random, trained, accuracies=(0.4, 0.3, 0.2)),
            write(trained, random, accuracies=(0.1, 0.7, 0.2), diverged=[(0, 4)]),
            write(random, random, accuracies=(0.2, 0.2, 0.1)),
            write("R1111_random_s1", trained, accuracies=(0.0, 0.0, 0.0)),
            write("R1111_calibrated_s0", trained, accuracies=(0.0, 0.0, 0.0)),
            write(trained, "R1112_trained_s0", accuracies=(0.3, 0.3, 0.3)),
        ]
    )
    chosen = cells[(cells.sender == trained) & (cells.receiver == trained)]
    np.testing.assert_allclose(chosen.excess_over_random_sender, [0.1, 0.1, 0.3, 0.3, np.nan, 0.7], atol=1e-12)
    np.testing.assert_allclose(chosen.excess_over_random_receiver, [0.4, np.nan, -0.1, -0.1, np.nan, 0.7], atol=1e-12)
    np.testing.assert_allclose(chosen.excess_over_random_both, [0.3, 0.3, 0.4, 0.4, np.nan, 0.8], atol=1e-12)
    np.testing.assert_allclose(chosen.excess_over_probe, [0, 0, 0, 0, np.nan, 0], atol=1e-12)
    others = cells.drop(chosen.index)
    assert others[[*tables.EXCESSES_OVER_RANDOM, "excess_over_probe"]].isna().all(axis=None)


def test_a_cell_of_one_architecture_is_compared_with_the_receiver_stitched_to_itself(tmp_path):
    one, other, random, deeper = "R1111_trained_s0", "R1111_trained_s1", "R1111_random_s0", "R1112_trained_s0"
    cells = tables.cells(
        [
            write_record(tmp_path, one, one, accuracies=(0.5, 0.6, 0.9), diverged=[(2, 0)]),
            write_record(tmp_path, other, one, accuracies=(0.4, 0.7, 0.8)),
            write_record(tmp_path, random, one, accuracies=(0.1, 0.2, 0.3)),
            write_record(tmp_path, deeper, one, accuracies=(0.5, 0.5, 0.5)),
            write_record(tmp_path, one, other, accuracies=(0.5, 0.5, 0.5)),  # without other → other
            write_record(tmp_path, random, random, accuracies=(0.1, 0.1, 0.2)),
            write_record(tmp_path, one, random, accuracies=(0.2, 0.1, 0.1)),
        ]
    )
    found = cells.set_index(["sender", "receiver"]).excess_over_self
    for pair, expected in (
        ((one, one), [0, 0, 0, 0, np.nan, 0]),
        ((other, one), [-0.1, -0.1, 0.1, 0.1, np.nan, -0.1]),
        ((random, one), [-0.4, -0.4, -0.4, -0.4, np.nan, -0.6]),
        ((deeper, one), [np.nan] * 6),
        ((one, other), [np.nan] * 6),
        ((random, random), [0] * 6),
        ((one, random), [0.1, 0.1, 0, 0, -0.1, -0.1]),
    ):
        np.testing.assert_allclose(found.loc[pair], expected, atol=1e-12)


def test_a_similarity_stitch_is_compared_with_the_similarity_stitch_of_the_receiver_itself(tmp_path):
    one, other = "R1111_trained_s0", "R1111_trained_s1"
    paths = []
    for objective, own, across in (("task", 0.9, 0.8), ("similarity", 0.5, 0.2)):
        for sender, accuracy in ((one, own), (other, across)):
            path = write_record(tmp_path / objective, sender, one, accuracies=(accuracy,) * 3)
            record = records.read_pair(path)
            records.write_pair(path, record.columns, record.attributes | {"objective": objective})
            paths.append(path)
    cells = tables.cells(paths)
    chosen = cells[cells.sender == other].set_index("objective").excess_over_self
    np.testing.assert_allclose(chosen["task"], [-0.1] * 6, atol=1e-12)
    np.testing.assert_allclose(chosen["similarity"], [-0.3] * 6, atol=1e-12)


def test_the_probe_is_the_receivers_last_column(tmp_path):
    path = write_record(tmp_path, "R1111_trained_s0", "R1111_trained_s0", layers=(0, 4))
    record = records.read_pair(path)
    first, last = record.columns
    first.test_accuracy[:] = [0.9, 0.1, 0.4]
    records.write_pair(path, [first, last], record.attributes)
    cells = tables.cells([path])
    np.testing.assert_allclose(cells.excess_over_probe, [0.8, 0, -0.1, 0, 0, 0], atol=1e-12)


def test_a_diverged_cell_is_nan_and_says_why(tmp_path):
    path = write_record(tmp_path, "R1111_trained_s0", "R1112_trained_s0", diverged=[(1, 0)])
    table = tables.cells([path])
    failed = table[table.diverged]
    assert failed[["sender_layer", "receiver_layer"]].to_numpy().tolist() == [[1, 0]]
    assert failed[["accuracy", "relative_accuracy"]].isna().all(axis=None)
    assert failed.reason.tolist() == ["loss not finite"]
    assert table.accuracy.isna().sum() == 1


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_types_survive_the_file(tmp_path, suffix):
    path = write_record(tmp_path, "R1111_trained_s0", "R1112_trained_s0", diverged=[(1, 0)])
    table = tables.cells([path])
    getattr(tables, f"write_{suffix}")(table, tmp_path / f"cells.{suffix}")
    read = tables.read(tmp_path / f"cells.{suffix}")
    pd.testing.assert_frame_equal(read, table)
    assert (read.diverged.dtype.kind, read.sender_layer.dtype.kind) == ("b", "i")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_bytes_depend_on_results_only(tmp_path, suffix):
    pairs = [
        ("R1111_trained_s10", "R1111_trained_s2"),
        ("R1111_random_s0", "R1111_trained_s2"),
        ("R1111_trained_s2", "R1111_trained_s2"),
    ]
    write = getattr(tables, f"write_{suffix}")
    write(tables.cells([write_record(tmp_path, *pair) for pair in pairs]), tmp_path / "one")
    write(tables.cells([write_record(tmp_path, *pair, seconds=9.0) for pair in reversed(pairs)]), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_pairs_are_sorted_by_recipe_name_and_number_of_the_seed(tmp_path):
    senders = ["R1111_random_s0", "R1112_trained_s2", "R1111_trained_s10", "R1111_trained_s2"]
    table = tables.cells([write_record(tmp_path, sender, "R1111_trained_s2") for sender in senders])
    assert table.sender.unique().tolist() == [
        "R1111_trained_s2",
        "R1111_trained_s10",
        "R1112_trained_s2",
        "R1111_random_s0",
    ]


def test_a_row_a_network_without_times(tmp_path):
    table = tables.networks(
        [
            write_network(tmp_path, "R1111_random_s0", train_accuracy=None, accuracy=0.1),
            write_network(tmp_path, "R1112_trained_s0"),
            write_network(tmp_path, "R1111_trained_s0"),
        ]
    )
    assert list(table) == list(tables.NETWORK_COLUMNS)
    assert table.network.tolist() == ["R1111_trained_s0", "R1112_trained_s0", "R1111_random_s0"]
    tables.write_csv(table, tmp_path / "networks.csv")
    pd.testing.assert_frame_equal(tables.read(tmp_path / "networks.csv"), table)


def test_a_damaged_file_is_named(tmp_path):
    path = write_network(tmp_path, "R1111_trained_s0")
    about = json.loads(path.read_text())
    del about["accuracy"]
    path.write_text(json.dumps(about))
    with pytest.raises(ModelstitchError, match=r"R1111_trained_s0\.json: key 'accuracy' is missing"):
        tables.networks([path])
    path.write_text("{")
    with pytest.raises(ModelstitchError, match=r"R1111_trained_s0\.json: can't be read"):
        tables.networks([path])
    (tmp_path / "cells.parquet").write_bytes(b"PAR1")
    with pytest.raises(ModelstitchError, match=r"cells\.parquet: not a whole table"):
        tables.read(tmp_path / "cells.parquet")
    with pytest.raises(ModelstitchError, match=r"none\.csv: not a whole table"):
        tables.read(tmp_path / "none.csv")
