"""What a record must agree with before a number of it gets into a table."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from modelstitch import records
from modelstitch.analysis.evidence import Evidence
from modelstitch.analysis.gathering import gather
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


SETTINGS = {
    "protocol": "fast",
    "epochs": 4.0,
    "family": {"name": "low-rank", "rank": 4},
    "augmentation": {"flip": True, "crop": 4},
    "sender_layers": "all",
    "receiver_layers": [1, 0],
}


def whole(**settings):
    """A record of all sender layers and of two receiver layers."""
    columns = [made.column(j, [0.1, 0.2, 0.3, 0.4, 0.5]) for j in range(2)]
    return record(columns=columns, settings=SETTINGS | settings)


@pytest.mark.parametrize("reader", READERS)
def test_the_settings_of_a_record_are_those_of_its_objective(tmp_path, reader):
    evidence = dataclasses.replace(EVIDENCE, settings={"task": SETTINGS, "similarity": SETTINGS | {"epochs": 1.0}})
    path = made.write(tmp_path, whole())
    READERS[reader]([path], evidence)
    for changes, told in [
        ({"epochs": 4.5}, r"settings\.epochs: 4\.5: expected 4\.0"),
        ({"family": {"name": "low-rank", "rank": 8}}, r"settings\.family\.rank: 8: expected 4"),
        ({"family": {"name": "linear"}}, r"settings\.family\.name: 'linear': expected 'low-rank'"),
        ({"augmentation": {"flip": True}}, r"settings\.augmentation\.crop: 'nothing': expected 4"),
        ({"momentum": 0.9}, r"settings\.momentum: 0\.9: expected 'nothing'"),
        ({"receiver_layers": "all"}, r"settings\.receiver_layers: 'all': expected \[1, 0\]"),
    ]:
        records.write(path, whole(**changes))
        with pytest.raises(ModelstitchError, match=rf"R1112_trained_s0\.h5: {told}") as caught:
            READERS[reader]([path], evidence)
        assert "\n" not in str(caught.value)


def test_the_cells_of_a_record_are_those_that_its_settings_name(tmp_path):
    evidence = dataclasses.replace(EVIDENCE, settings={"task": SETTINGS, "image": SETTINGS})
    kept = whole()
    path = made.write(tmp_path, dataclasses.replace(kept, columns=kept.columns[:1]))
    with pytest.raises(ModelstitchError, match=r"receiver_layers: \[0\]: expected \[0, 1\], by its settings"):
        cells([path], evidence)
    made.write(tmp_path, record(settings=SETTINGS))
    with pytest.raises(ModelstitchError, match=r"sender_layers: \[0, 1, 2\]: expected \[0, 1, 2, 3, 4\]"):
        cells([path], evidence)
    image = [made.column(j, [0.5], sender_layers=(-1,)) for j in range(2)]
    cells([made.write(tmp_path, record(columns=image, settings=SETTINGS, objective="image"))], evidence)


def test_the_layers_of_a_record_are_those_of_its_networks(tmp_path):
    names = {name: [f"layers.{layer}" for layer in range(count)] for name, count in (("R1111", 5), ("R1112", 6))}
    operations = {ONE: [100] * 6, OTHER: [100] * 7}
    known = {name: {"layers": names[name[:5]], "operations": operations[name]} for name in (ONE, OTHER)}
    about = {"weights": "x", "accuracy": None, "versions": record().attributes["versions"]}
    for name, accuracy in ((ONE, 0.9), (OTHER, 0.8)):
        known[name] |= about | {"accuracy": accuracy}
    evidence = dataclasses.replace(EVIDENCE, layers=names, networks=known)
    cells([made.write(tmp_path, record())], evidence)
    own, others = made.layers(5), made.layers(6)
    renamed = dataclasses.replace(others, names=(*others.names[:5], "head"))
    counted = dataclasses.replace(others, operations=others.operations + 1)
    for layers, told in [
        ((own, renamed), r"receiver/names: \[.*'head'\]: expected"),
        ((made.layers(6), others), r"sender/names: "),
        ((own, counted), r"operations of receiver: \[101, 100, .*99\]: expected \[100, "),
    ]:
        path = made.write(tmp_path, record(layers=layers))
        with pytest.raises(ModelstitchError, match=rf"R1112_trained_s0\.h5: {told}"):
            cells([path], evidence)
    known[OTHER]["versions"] = {"torch": "another, which counts otherwise"}
    cells([path], evidence)


@pytest.mark.parametrize("processes", [1, 2])
def test_records_agree_on_the_shapes_of_a_networks_layers(tmp_path, processes):
    wide = dataclasses.replace(made.layers(5), shapes=np.tile([8, 8, 8, 0], (5, 1)))
    paths = [made.write(tmp_path, record(ONE, ONE)), made.write(tmp_path, record(OTHER, ONE, layers=None))]
    gather(paths, EVIDENCE, tmp_path / "good", processes)
    made.write(tmp_path, record(OTHER, ONE, layers=(made.layers(6), wide)))
    told = rf"{OTHER}/{ONE}\.h5: receiver/shapes: not those of {ONE} in .*{ONE}/{ONE}\.h5: sender: run the study again"
    with pytest.raises(ModelstitchError, match=told):
        gather(paths, EVIDENCE, tmp_path / "bad", processes)


def test_records_of_a_measure_agree_with_the_folders_between(tmp_path):
    budget = record(settings={"epochs": 0.25, "start": "random"})
    training_budget.cells([made.write(tmp_path / "budget", budget, "0.25", "random")], EVIDENCE)
    for between, told in ((("4.0", "random"), "settings.epochs: 0.25"), (("0.25", "zero"), "settings.start: 'random'")):
        path = made.write(tmp_path / "budget", budget, *between)
        with pytest.raises(ModelstitchError, match=rf"R1112_trained_s0\.h5: {told}"):
            training_budget.cells([path], EVIDENCE)
    known = dataclasses.replace(EVIDENCE, settings={"task": SETTINGS | {"start": "zero"}})
    budget = whole(epochs=0.25, start="random")
    training_budget.cells([made.write(tmp_path / "budget", budget, "0.25", "random")], known)
    path = made.write(tmp_path / "budget", whole(epochs=0.25, start="random", batch=3), "0.25", "random")
    with pytest.raises(ModelstitchError, match=r"R1112_trained_s0\.h5: settings\.batch: 3: expected 'nothing'"):
        training_budget.cells([path], known)
    family = record(settings={"family": {"name": "bias"}})
    capacity.cells([made.write(tmp_path / "capacity", family, "bias")], EVIDENCE)
    with pytest.raises(ModelstitchError, match=r"settings.family: 'bias': expected 'linear'"):
        capacity.cells([made.write(tmp_path / "capacity", family, "linear")], EVIDENCE)
    path = made.write(tmp_path / "capacity", whole(epochs=2.0), "low-rank-4")
    capacity.cells([path], EVIDENCE, {"low-rank-4": SETTINGS | {"epochs": 2.0}})
    with pytest.raises(ModelstitchError, match=r"settings\.epochs: 2\.0: expected 4\.0"):
        capacity.cells([path], EVIDENCE, {"low-rank-4": SETTINGS})


def test_networks_of_a_study_that_are_no_json_are_named(tmp_path, few_digits_path):
    (tmp_path / "a.json").write_text(json.dumps({"accuracy": float("nan")}))
    with pytest.raises(ModelstitchError, match=r"a\.json: can't be read as JSON \(NaN: expected a finite number\)"):
        Evidence.of(few_digits_path, "made", 0, [tmp_path / "a.json"])
