"""What a record must agree with before a number of it gets into a table."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from modelstitch import records
from modelstitch.analysis.evidence import Evidence
from modelstitch.errors import ModelstitchError
from modelstitch.measures import capacity, predictors, training_budget
from tests.analysis.written import cells, gathered, write_network
from tests.records import made
from tests.records.made import EVIDENCE

ONE, OTHER = "R1111_trained_s0", "R1112_trained_s0"
READERS = {
    "cells": cells,
    "every other table": gathered,
    "predictors": predictors.capacities,
}


def record(sender=ONE, receiver=OTHER, columns=None, **about):
    columns = columns or [made.column(j, [0.1, 0.2, 0.4]) for j in range(2)]
    return made.record(columns, sender, receiver, **about)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("study", "another"), ("seed", 1), ("dataset_digest", "ffff"), ("sender", OTHER), ("receiver", ONE)],
)
def test_a_record_of_something_else_is_refused_by_every_reader(tmp_path, reader, name, value):
    path = made.write(tmp_path, record())
    READERS[reader]([path], EVIDENCE)
    records.write(path, record(**{name: value} if name not in ("sender", "receiver") else {}, **role(name, value)))
    with pytest.raises(ModelstitchError, match=rf"R1112_trained_s0\.h5: {name}: {value!r}: expected") as caught:
        READERS[reader]([path], EVIDENCE)
    assert "\n" not in str(caught.value)


def role(name, value):
    return {name: value} if name in ("sender", "receiver") else {}


def test_another_pairs_record_copied_over_one_is_refused(tmp_path):
    paths = [made.write(tmp_path, record()), made.write(tmp_path, record(OTHER, ONE))]
    shutil.copy(paths[1], paths[0])
    with pytest.raises(ModelstitchError, match=r"R1111_trained_s0/R1112_trained_s0\.h5: sender: 'R1112_trained_s0'"):
        cells(paths, EVIDENCE)
    paths = [made.write(tmp_path, record(objective=objective)) for objective in ("similarity", "task")]
    shutil.copy(paths[0], paths[1])
    with pytest.raises(ModelstitchError, match="objective: 'similarity': expected 'task'"):
        cells(paths, EVIDENCE)


def test_an_accuracy_is_that_of_the_predictions(tmp_path):
    column = made.column(0, [0.1, 0.2, 0.4])
    column.test_accuracy[1] = 0.201
    path = made.write(tmp_path, record(columns=[column]))
    told = r"test_accuracy of cell \(1, 0\): 0\.201: expected 0\.2, by its predictions"
    with pytest.raises(ModelstitchError, match=told):
        cells([path], EVIDENCE)


def test_predictions_are_classes_of_the_data_set_and_as_many_as_its_test_images(tmp_path):
    column = made.column(0, [0.1, np.nan])
    assert column.predictions[0].max() == 1
    path = made.write(tmp_path, record(columns=[column]))  # a failed cell's are no classes
    cells([path], EVIDENCE)
    column.predictions[0, -1] = 10
    records.write(path, record(columns=[column]))
    with pytest.raises(ModelstitchError, match="predictions into layer 0: 10: expected a class, 0 to 9"):
        cells([path], EVIDENCE)
    with pytest.raises(ModelstitchError, match="test_images: 1000: expected 999"):
        cells([path], dataclasses.replace(EVIDENCE, labels=made.LABELS[:-1]))


def test_a_record_was_made_of_the_networks_that_are_there(tmp_path, few_digits, few_digits_path):
    networks = [write_network(tmp_path, name, weights=name[:5], accuracy_bfloat16=0.7) for name in (ONE, OTHER)]
    labels = few_digits.test.labels
    predictions = np.tile(labels, (3, 1)).astype(np.uint8)
    columns = [made.column(0, [1.0] * 3, predictions=predictions)]
    good = {"sender_digest": "R1111", "receiver_digest": "R1112", "sender_accuracy": 0.95, "receiver_accuracy": 0.95}
    good |= {"dataset_digest": few_digits.digest, "precision": "float32"}
    evidence = Evidence.of(few_digits_path, "made", 0, networks)
    in_bfloat16 = {"precision": "bfloat16", "sender_accuracy": 0.7, "receiver_accuracy": 0.7}
    for about in (good, good | in_bfloat16):
        cells([made.write(tmp_path, record(columns=columns, **about))], evidence)
    for name, value in {"receiver_digest": "R1111", "receiver_accuracy": 0.96, "sender_accuracy": 0.7}.items():
        path = made.write(tmp_path, record(columns=columns, **good | {name: value}))
        with pytest.raises(ModelstitchError, match=rf"R1112_trained_s0\.h5: {name}: {value!r}: expected"):
            cells([path], evidence)


def test_records_of_a_measure_agree_with_the_folders_between(tmp_path):
    budget = record(settings={"epochs": 0.25, "start": "random"})
    training_budget.cells([made.write(tmp_path / "budget", budget, "0.25", "random")], EVIDENCE)
    for between, told in ((("4.0", "random"), "settings.epochs: 0.25"), (("0.25", "zero"), "settings.start: 'random'")):
        path = made.write(tmp_path / "budget", budget, *between)
        with pytest.raises(ModelstitchError, match=rf"R1112_trained_s0\.h5: {told}"):
            training_budget.cells([path], EVIDENCE)
    family = record(settings={"family": {"name": "bias"}})
    capacity.cells([made.write(tmp_path / "capacity", family, "bias")], EVIDENCE)
    with pytest.raises(ModelstitchError, match=r"settings.family: 'bias': expected 'linear'"):
        capacity.cells([made.write(tmp_path / "capacity", family, "linear")], EVIDENCE)


def test_networks_of_a_study_that_are_no_json_are_named(tmp_path, few_digits_path):
    (tmp_path / "a.json").write_text(json.dumps({"accuracy": float("nan")}))
    with pytest.raises(ModelstitchError, match=r"a\.json: can't be read as JSON \(NaN: expected a finite number\)"):
        Evidence.of(few_digits_path, "made", 0, [tmp_path / "a.json"])
