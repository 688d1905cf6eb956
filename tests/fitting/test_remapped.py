"""Remapped labels: the same training as for the task, of labels whose classes are exchanged."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from modelstitch.errors import ModelstitchError
from modelstitch.fitting.pair import train_pair
from modelstitch.seeds import derangement, seed_of
from tests.settings import FAST, stitch_settings


def relabelled(dataset, classes):
    """The data set whose images of class c have the label `classes[c]`."""
    splits = {
        name: replace(getattr(dataset, name), labels=classes[getattr(dataset, name).labels])
        for name in ("train", "test")
    }
    return replace(dataset, **splits)


def test_it_is_the_task_on_relabelled_images(few_digits, trained, random_networks):
    settings = stitch_settings(epochs=2, learning_rate=0.02)
    networks = random_networks[0], trained
    record, stitches = train_pair(*networks, few_digits, settings, objective="remapped", study_seed=3)
    classes = derangement(10, seed_of(3, "remapped", "classes"))
    slow, expected = train_pair(*networks, relabelled(few_digits, classes), settings, study_seed=3)
    for cell, stitch in stitches.items():
        for name, value in stitch.tensors.items():
            np.testing.assert_allclose(value, expected[cell].tensors[name], rtol=1e-3, atol=1e-4)
    for one, other in zip(record.columns, slow.columns, strict=True):
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=1e-3)
        np.testing.assert_allclose(one.test_accuracy, other.test_accuracy, atol=0.02)
        assert (classes[one.predictions] == other.predictions).mean() > 0.98
        right = (one.predictions == few_digits.test.labels).mean(axis=1)
        np.testing.assert_allclose(right, one.test_accuracy, rtol=1e-12)


def test_a_stem_cannot_serve_other_labels_and_a_last_layer_can(digits, trained):
    def accuracies(objective):
        settings = FAST.model_copy(update={"epochs": 1, "batch": 32})
        record = train_pair(trained, trained, digits, settings, objective=objective, study_seed=0).record
        return np.stack([column.test_accuracy for column in record.columns], axis=1)

    task, other = accuracies("task"), accuracies("remapped")
    assert task[0, 0] > 0.85 and other[0, 0] < 0.3
    assert other[-1, -1] > 0.7


def test_a_repetition_of_the_task_starts_elsewhere(few_digits, trained):
    """And sees the images in another order, so that its stitches are others; the objective is the task's."""
    weights, losses = {}, {}
    for objective in ("task", "task-2"):
        settings = stitch_settings(epochs=2)
        made = train_pair(trained, trained, few_digits, settings, objective=objective, study_seed=0)
        weights[objective] = next(iter(made.stitches.values())).tensors["weight"]
        losses[objective] = made.record.columns[-1].train_loss[:, -1]
        assert made.record.attributes["objective"] == objective
    assert not np.allclose(weights["task"], weights["task-2"], atol=0.01)
    np.testing.assert_allclose(losses["task"], losses["task-2"], rtol=0.3)


def test_every_permutation_is_of_the_studys_seed_and_its_number(few_digits, trained):
    def classes(objective, seed):
        settings = stitch_settings(epochs=0.1)
        record = train_pair(
            trained, trained, few_digits, settings, objective=objective, study_seed=seed, receiver_layers=[0]
        ).record
        return record.columns[0].predictions.tolist()

    assert classes("remapped", 0) == classes("remapped", 0)
    assert classes("remapped", 0) != classes("remapped-2", 0)
    assert classes("remapped", 0) != classes("remapped", 1)


def test_no_class_keeps_its_place_and_every_derangement_is_as_likely():
    counts = Counter(tuple(derangement(4, seed)) for seed in range(9000))
    assert all(found[place] != place for found in counts for place in range(4))
    assert len(counts) == 9 and max(counts.values()) - min(counts.values()) < 250  # 1,000 each, 30 a standard deviation


def test_one_class_cannot_be_remapped():
    with pytest.raises(ModelstitchError, match="1 can't be exchanged: expected two classes, and two images"):
        derangement(1, 0)
