"""Cells are compared with the controls that they should be compared with, and with no other."""

import functools

import numpy as np
import pandas as pd
import pytest

from modelstitch.analysis.controls import EXCESSES_OVER_RANDOM, with_excess
from tests.analysis.written import cells, write_record
from tests.records import made
from tests.records.made import EVIDENCE


def test_a_cell_of_trained_networks_is_compared_with_its_controls_and_the_probe(tmp_path):
    trained, random = "R1111_trained_s0", "R1111_random_s0"
    write = functools.partial(write_record, tmp_path, layers=(0, 4))
    table = cells(
        [
            write(trained, trained, accuracies=(0.5, 0.6, 0.9), diverged=[(2, 0)]),
            write(random, trained, accuracies=(0.4, 0.3, 0.2)),
            write(trained, random, accuracies=(0.1, 0.7, 0.2), diverged=[(0, 4)]),
            write(random, random, accuracies=(0.2, 0.2, 0.1)),
            write("R1111_random_s1", trained, accuracies=(0.0, 0.0, 0.0)),
            write("R1111_calibrated_s0", trained, accuracies=(0.0, 0.0, 0.0)),
            write(trained, "R1112_trained_s0", accuracies=(0.3, 0.3, 0.3)),
        ],
        EVIDENCE,
    )
    chosen = table[(table.sender == trained) & (table.receiver == trained)]
    np.testing.assert_allclose(chosen.excess_over_random_sender, [0.1, 0.1, 0.3, 0.3, np.nan, 0.7], atol=1e-12)
    np.testing.assert_allclose(chosen.excess_over_random_receiver, [0.4, np.nan, -0.1, -0.1, np.nan, 0.7], atol=1e-12)
    np.testing.assert_allclose(chosen.excess_over_random_both, [0.3, 0.3, 0.4, 0.4, np.nan, 0.8], atol=1e-12)
    np.testing.assert_allclose(chosen.excess_over_probe, [0, 0, 0, 0, np.nan, 0], atol=1e-12)
    others = table.drop(chosen.index)
    assert others[[*EXCESSES_OVER_RANDOM, "excess_over_probe"]].isna().all(axis=None)


def test_a_cell_of_one_architecture_is_compared_with_the_receiver_stitched_to_itself(tmp_path):
    one, other, random, deeper = "R1111_trained_s0", "R1111_trained_s1", "R1111_random_s0", "R1112_trained_s0"
    table = cells(
        [
            write_record(tmp_path, one, one, accuracies=(0.5, 0.6, 0.9), diverged=[(2, 0)]),
            write_record(tmp_path, other, one, accuracies=(0.4, 0.7, 0.8)),
            write_record(tmp_path, random, one, accuracies=(0.1, 0.2, 0.3)),
            write_record(tmp_path, deeper, one, accuracies=(0.5, 0.5, 0.5)),
            write_record(tmp_path, one, other, accuracies=(0.5, 0.5, 0.5)),  # without other → other
            write_record(tmp_path, random, random, accuracies=(0.1, 0.1, 0.2)),
            write_record(tmp_path, one, random, accuracies=(0.2, 0.1, 0.1)),
        ],
        EVIDENCE,
    )
    found = table.set_index(["sender", "receiver"]).excess_over_self
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
            folder = tmp_path / objective
            paths.append(write_record(folder, sender, one, accuracies=(accuracy,) * 3, objective=objective))
    table = cells(paths, EVIDENCE)
    chosen = table[table.sender == other].set_index("objective").excess_over_self
    np.testing.assert_allclose(chosen["task"], [-0.1] * 6, atol=1e-12)
    np.testing.assert_allclose(chosen["similarity"], [-0.3] * 6, atol=1e-12)


def test_the_probe_is_the_receivers_last_column(tmp_path):
    columns = [made.column(0, [0.9, 0.1, 0.4]), made.column(4, [0.1, 0.2, 0.4])]
    path = made.write(tmp_path, made.record(columns, "R1111_trained_s0", "R1111_trained_s0"))
    table = cells([path], EVIDENCE)
    np.testing.assert_allclose(table.excess_over_probe, [0.8, 0, -0.1, 0, 0, 0], atol=1e-12)


@pytest.mark.parametrize(("count", "excesses"), [(3, [np.nan] * 6), (2, [0.8, 0, np.nan, np.nan, -0.1, 0])])
def test_the_last_column_is_that_of_the_receivers_last_layer_whatever_its_name(tmp_path, count, excesses):
    columns = [made.column(0, [0.9, 0.1, 0.3]), made.column(1, [0.1, np.nan, 0.4])]
    layers = (made.layers(4), made.layers(count))
    about = {"objective": "task", "receiver_accuracy": 0.5}
    path = made.write(tmp_path, made.record(columns, "vit_trained_s0", "mine_trained_s0", layers, **about))
    np.testing.assert_allclose(cells([path], EVIDENCE).excess_over_probe, excesses, atol=1e-12)


def test_pretrained_networks_have_no_random_controls_but_themselves(tmp_path):
    one, other, random = "R1111_pretrained_s0", "R1111_pretrained_s1", "R1111_random_s0"
    table = cells(
        [
            write_record(tmp_path, one, one, accuracies=(0.5, 0.6, 0.7)),
            write_record(tmp_path, other, one, accuracies=(0.5, 0.5, 0.5)),
            write_record(tmp_path, random, one, accuracies=(0.1, 0.1, 0.1)),
        ],
        EVIDENCE,
    )
    assert table[[*EXCESSES_OVER_RANDOM, "excess_over_probe"]].isna().all(axis=None)
    np.testing.assert_allclose(
        table.excess_over_self[table.sender == other], [0, 0, -0.1, -0.1, -0.2, -0.2], atol=1e-12
    )


def test_the_task_is_compared_with_remapped_labels(tmp_path):
    trained, other = "R1111_trained_s0", "R1112_trained_s0"

    def write(objective, sender, *accuracies, diverged=()):
        return write_record(
            tmp_path / objective, sender, trained, diverged, accuracies, layers=(0,), objective=objective
        )

    table = cells(
        [
            write("task", trained, 0.5, 0.6, 0.9),
            write("remapped", trained, 0.1, 0.3, 0.8, diverged=[(2, 0)]),
            write("remapped-2", trained, 0.3, 0.2, 0.6),
            write("similarity", trained, 0.5, 0.6, 0.9),
            write("task", other, 0.5, 0.6, 0.9),
            write("remapped", other, 0.5, 0.1, 1.0),
        ],
        EVIDENCE,
    )
    chosen = table[table.objective == "task"].set_index(["sender", "sender_layer"])
    np.testing.assert_allclose(chosen.excess_over_remapped[trained], [0.3, 0.35, 0.3], atol=1e-12)
    np.testing.assert_allclose(chosen.excess_over_remapped[other], [0, 0.5, -0.1], atol=1e-12)
    np.testing.assert_allclose(chosen.remapped_spread[trained], [0.02**0.5, 0.005**0.5, np.nan], atol=1e-12)
    assert chosen.remapped_spread[other].isna().all()
    others = table[table.objective != "task"]
    assert others[["excess_over_remapped", "remapped_spread"]].isna().all(axis=None)
    assert others.excess_over_probe[others.objective != "similarity"].isna().all()

    shown = with_excess(table)
    pd.testing.assert_frame_equal(shown[: len(table)], table)
    over = shown[len(table) :]
    assert set(over.objective) == {"excess_over_remapped"} and len(over) == 6
    np.testing.assert_array_equal(over.accuracy, over.excess_over_remapped)


def test_a_study_without_remapped_labels_shows_nothing_more(tmp_path):
    table = cells([write_record(tmp_path, "R1111_trained_s0", "R1111_trained_s0")], EVIDENCE)
    assert table.excess_over_remapped.isna().all() and with_excess(table) is table
