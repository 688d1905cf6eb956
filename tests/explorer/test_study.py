"""What the page is told: every measure of every cell, in the places that it looks for them."""

import numpy as np
import pandas as pd
import pytest

from modelstitch.analysis import networks
from modelstitch.explorer import details, measures, orders
from modelstitch.explorer.numbers import rounded
from modelstitch.explorer.study import gather
from tests.analysis.written import cells, write_network, write_record
from tests.records import made

A, B = "R1111_trained_s0", "R1112_trained_s0"


@pytest.fixture
def tables(tmp_path):
    paths = [write_record(tmp_path, A, B, diverged=[(1, 0)]), write_record(tmp_path, B, B)]
    found = networks.networks([write_network(tmp_path, name) for name in (A, B)])
    return {"cells": cells(paths, made.EVIDENCE), "networks": found}


def told(tables):
    return gather("mini", tables, {"task": {}}, ["zero", "one"], "viridis")


def test_every_cell_is_found_by_pair_and_layers(tables):
    whole = told(tables)
    for pair in whole["pairs"]:
        chosen = tables["cells"][
            (tables["cells"].sender == pair["sender"]) & (tables["cells"].receiver == pair["receiver"])
        ]
        for row in chosen.itertuples():
            across = pair["columns"].index(row.receiver_layer)
            place = pair["start"] + pair["rows"].index(row.sender_layer) * len(pair["columns"]) + across
            value = whole["measures"]["accuracy"]["values"][place]
            assert value is None if np.isnan(row.accuracy) else value == pytest.approx(row.accuracy)


def test_a_cell_without_a_result_says_why(tables):
    reason = told(tables)["measures"]["reason"]
    assert reason["words"] == ["loss not finite"] and sum(value == 0 for value in reason["values"]) == 1


def test_columns_of_other_tables_are_measures_of_the_same_cells(tables):
    keys = tables["cells"][["sender", "receiver", "sender_layer", "receiver_layer"]]
    shuffled = keys.assign(twice=tables["cells"].receiver_layer * 2).sample(frac=1, random_state=0)
    joined = measures.join(tables["cells"], {"doubled": shuffled})
    assert (joined["doubled.twice"] == joined.receiver_layer * 2).all()


def test_measures_have_the_words_of_the_figures(tables):
    keys = tables["cells"][["sender", "receiver", "sender_layer", "receiver_layer"]]
    verdicts = pd.DataFrame({"measure": ["kappa_sender", "accuracy"], "control": "image"})
    words = told(tables | {"statistical_similarity": keys.assign(linear_cka=0.5), "verdicts": verdicts})["words"]
    assert words["statistical_similarity.linear_cka"] == "statistical similarity: debiased linear CKA"
    assert words["kappa_sender"] == "error consistency, sender (κ)" and "accuracy" not in words


def test_a_comparison_is_a_measure_for_each_other_cell(tables):
    keys = tables["cells"][measures.CELL]
    others = {"own_layer": 0.1, "remapped": 0.2}
    compared = pd.concat([keys.assign(comparison=name, p_holm=p) for name, p in others.items()])
    joined = measures.join(tables["cells"], {"comparisons": compared})
    assert (joined["comparisons.p_holm (own_layer)"] == 0.1).all()
    assert (joined["comparisons.p_holm (remapped)"] == 0.2).all()


def test_a_table_of_findings_is_shown_as_a_table(tables):
    finding = pd.DataFrame({"finding": ["diverged"], **{key: [1] for key in measures.CELL}, "words": ["<b>"]})
    whole = told(tables | {"failures": finding})
    assert whole["tables"]["failures"]["rows"][0][0] == "diverged"
    assert not [name for name in whole["measures"] if name.startswith("failures")]


def test_a_table_that_is_too_long_is_named_only(tables):
    whole = told(tables | {"long": pd.DataFrame({"number": range(5000)})})
    assert whole["tables"]["long"] == {"columns": ["number"], "rows": None, "length": 5000}


def test_confusions_count_every_image_by_class_and_prediction():
    labels, predictions = np.array([0, 0, 1, 1, 1]), np.array([[0, 1, 1, 1, 0], [255] * 5], np.uint8)
    column = made.column(0, [0.6, np.nan], predictions=predictions)
    found = details.of_record(made.record([column], A, B), labels, 2)
    assert found["confusion"] == ["$$$%", None]  # 1, 1, 1 and 2 after #


def test_of_many_classes_the_commonest_mistakes_are_kept():
    labels = np.zeros(40, int)
    predictions = np.array([[0] * 10 + [7] * 20 + [3] * 10], np.uint8)
    found = details.of_record(made.record([made.column(0, [0.25], predictions=predictions)], A, B), labels, 30)
    assert found["confusion"] == [[[0, 10], [3, 10], [7, 20]]]


def test_numbers_are_json():
    assert rounded([0.71630000001, np.nan, np.inf, 12345.678]) == [0.7163, None, None, 12346.0]


def test_networks_that_behave_the_same_stand_beside_each_other():
    means = pd.DataFrame({"x": [0.9, 0.1, 0.88, 0.12], "y": [0.8, 0.2, np.nan, 0.2]}, index=list("abcd"))
    order = orders.clustered(means)
    assert abs(order.index("a") - order.index("c")) == 1 and abs(order.index("b") - order.index("d")) == 1
