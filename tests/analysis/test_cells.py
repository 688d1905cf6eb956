"""The cells table: one row per cell, with what is known of its networks and layers."""

import dataclasses

import numpy as np
import pandas as pd

from modelstitch.analysis import tables
from modelstitch.analysis.cells import COLUMNS
from modelstitch.records import Layers
from tests.analysis.written import cells, write_record
from tests.records import made
from tests.records.made import EVIDENCE

ABOUT = {"objective": "task", "sender_accuracy": 0.5, "receiver_accuracy": 0.5, "seconds": 1.0}


def test_a_row_a_cell_with_ids_taken_apart(tmp_path):
    table = cells([write_record(tmp_path, "R1111_random_s1", "R1122_trained_s12")], EVIDENCE)
    assert list(table) == list(COLUMNS)
    assert len(table) == 6
    first = table.iloc[0]
    assert (first.sender_architecture, first.sender_recipe, first.sender_seed) == ("R1111", "random", 1)
    assert (first.receiver_architecture, first.receiver_recipe, first.receiver_seed) == ("R1122", "trained", 12)
    assert list(zip(table.sender_layer, table.receiver_layer, strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1),
    ]  # fmt: skip
    assert table.accuracy.tolist() == [0.1, 0.1, 0.2, 0.2, 0.4, 0.4]
    assert table.train_loss.tolist() == [0.0125, 0.0125, 0.025, 0.025, 0.05, 0.05]
    assert (table.test_images == len(made.LABELS)).all()


def test_a_layer_has_its_name_and_its_place_in_its_network(tmp_path):
    """Among 5 layers and 7, and after so many of 6 and 8 pieces of the same operations."""
    table = cells([write_record(tmp_path, "R1111_trained_s0", "R1122_trained_s0", layers=(0, 1, 6))], EVIDENCE)
    rows, columns = np.repeat([0, 1, 2], 3), np.tile([0, 1, 6], 3)
    for role, layers, count in (("sender", rows, 5), ("receiver", columns, 7)):
        assert table[f"{role}_layer"].tolist() == layers.tolist()
        assert table[f"{role}_layer_name"].tolist() == [f"layers.{layer}" for layer in layers]
        assert (table[f"{role}_layer_count"] == count).all()
        np.testing.assert_allclose(table[f"{role}_depth"], layers / (count - 1), rtol=0, atol=1e-15)
        np.testing.assert_allclose(table[f"{role}_operations_depth"], (layers + 1) / (count + 1), rtol=0, atol=1e-15)


def test_layers_are_called_as_the_network_calls_them_and_count_what_leads_to_them(tmp_path):
    transformer = Layers(
        names=("conv_proj", "encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1"),
        layouts=("map", "tokens", "tokens"),
        shapes=np.array([[16, 4, 4, 0], [16, 4, 4, 1], [16, 4, 4, 1]]),
        operations=np.array([0, 30, 90]),
        total_operations=120,
    )
    only = dataclasses.replace(made.layers(1), names=("0",), operations=np.array([7]), total_operations=8)
    columns = [made.column(layer, [0.5]) for layer in (0, 1, 2)]
    pair = made.record(columns, "mine_trained_s0", "vit_b.16_pretrained_s3", (only, transformer), receiver_accuracy=0.5)
    table = cells([made.write(tmp_path, pair)], EVIDENCE)
    about = table[["receiver_architecture", "receiver_recipe", "receiver_seed"]].drop_duplicates()
    assert about.to_numpy().tolist() == [["vit_b.16", "pretrained", 3]]
    assert table.receiver_layer_name.tolist() == list(transformer.names) and (table.sender_layer_name == "0").all()
    assert table.receiver_depth.tolist() == [0, 0.5, 1] and table.receiver_operations_depth.tolist() == [0, 0.25, 0.75]
    assert (table.sender_layer_count == 1).all() and (table.receiver_layer_count == 3).all()
    assert (table.sender_depth == 1).all() and (table.sender_operations_depth == 7 / 8).all()


def test_relative_accuracy_is_over_the_receivers_own(tmp_path):
    table = cells([write_record(tmp_path, "R1111_trained_s0", "R1112_trained_s0", receiver_accuracy=0.5)], EVIDENCE)
    np.testing.assert_allclose(table.relative_accuracy, table.accuracy / 0.5, rtol=0)


def test_a_diverged_cell_is_nan_and_says_why(tmp_path):
    path = write_record(tmp_path, "R1111_trained_s0", "R1112_trained_s0", diverged=[(1, 0)])
    table = cells([path], EVIDENCE)
    failed = table[table.diverged]
    assert failed[["sender_layer", "receiver_layer"]].to_numpy().tolist() == [[1, 0]]
    assert failed[["accuracy", "relative_accuracy"]].isna().all(axis=None)
    assert failed.reason.tolist() == ["loss not finite"]
    assert table.accuracy.isna().sum() == 1


def test_pairs_are_sorted_by_recipe_name_and_number_of_the_seed(tmp_path):
    senders = ["R1111_random_s0", "R1112_trained_s2", "R1111_trained_s10", "R1111_trained_s2"]
    table = cells([write_record(tmp_path, sender, "R1111_trained_s2") for sender in senders], EVIDENCE)
    assert table.sender.unique().tolist() == [
        "R1111_trained_s2",
        "R1111_trained_s10",
        "R1112_trained_s2",
        "R1111_random_s0",
    ]


def test_a_column_into_the_input_is_not_called_the_last_layer(tmp_path):
    columns = [made.column(-1, [0.1, 0.2])]
    path = made.write(tmp_path, made.record(columns, "R1111_trained_s0", "R1112_trained_s0", **ABOUT))
    table = cells([path], EVIDENCE)
    assert (table.receiver_layer == -1).all() and (table.receiver_layer_name == "image").all()
    assert table.receiver_depth.isna().all() and (table.receiver_operations_depth == 0).all()


def test_names_of_layers_that_are_numbers_survive_a_csv(tmp_path):
    """As those of nn.Sequential(Linear, ReLU, Linear, ReLU, Linear) are."""
    layers = dataclasses.replace(made.layers(2), names=("2", "4"))
    columns = [made.column(0, [0.1, 0.2])]
    path = made.write(tmp_path, made.record(columns, "mlp_trained_s0", "mlp_trained_s1", (layers, layers), **ABOUT))
    table = cells([path], EVIDENCE)
    tables.write_csv(table, tmp_path / "cells.csv")
    pd.testing.assert_frame_equal(tables.read(tmp_path / "cells.csv"), table)
