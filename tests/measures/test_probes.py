"""Probes: trained as scikit-learn would, and what the last column of a matrix is."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from modelstitch.config.section import Augmentation
from modelstitch.data.datasets import Split
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import probes
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.stitches.families.linear import LinearMap, Stitch
from modelstitch.stitches.geometry import Geometry
from tests.devices import exhausted, limited
from tests.settings import FAST


@pytest.fixture(scope="module")
def measured(digits, trained):
    return probes.measure(trained, digits, 5000, seed=0)


@pytest.mark.parametrize("layer", range(5))
def test_a_probe_is_a_stitch_to_the_last_layer(digits, trained, layer):
    """The head's pseudo-inverse turns the probe's logits into maps that the head turns into these logits."""
    frozen = FrozenNetwork(trained)
    values, test_values = (
        probes.features(frozen, DeviceImages(digits, split))[layer] for split in (digits.train, digits.test)
    )
    scaler, regression = (step for _, step in probes.fit(values, digits.train.labels).steps)
    slopes = torch.from_numpy(regression.coef_ / scaler.scale_).double()
    intercepts = torch.from_numpy(regression.intercept_).double() - slopes @ torch.from_numpy(scaler.mean_)
    weight, bias = trained.module.head.weight.detach().double(), trained.module.head.bias.detach().double()
    assert torch.linalg.matrix_rank(weight) == len(digits.classes)
    inverse = torch.linalg.pinv(weight)
    geometry = Geometry.between(frozen.shapes[layer], frozen.shapes[4])
    stitch = Stitch(geometry, (LinearMap(inverse @ slopes, inverse @ (intercepts - bias)),))
    maps = frozen.representations(DeviceImages(digits, digits.test).scaled(slice(None)))[layer]
    logits = stitch(maps.double()).mean(dim=(2, 3)) @ weight.T + bias
    expected = regression.decision_function(scaler.transform(test_values.astype(np.float64)))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_array_equal(logits.argmax(dim=1), expected.argmax(axis=1))


def test_a_last_column_that_is_trained_well_is_as_accurate_as_the_probes(digits, trained, measured):
    """Within .03, 11 of the 360 test digits."""
    changes = {
        "epochs": 4,
        "batch": 32,
        "learning_rate": 0.3,
        "statistics_images": 1437,
        "augmentation": Augmentation(flip=False, shift=0, cutout=0),
    }
    settings = FAST.model_copy(update=changes)
    record, _ = train_pair(trained, trained, digits, settings, study_seed=0, receiver_layers=[4])
    (column,) = record.columns
    np.testing.assert_allclose(column.test_accuracy, measured.accuracy, rtol=0, atol=0.03)


def test_features_are_means_over_the_places_of_the_last_map(few_digits, trained):
    frozen = FrozenNetwork(trained)
    images = DeviceImages(few_digits, few_digits.test)
    found = probes.features(frozen, images)
    maps = frozen.representations(images.scaled(slice(None)))
    assert [values.shape for values in found.values()] == [(101, size) for size in (256, 256, 128, 64, 32)]
    pixels = (
        maps[2].unflatten(3, (4, 4)).unflatten(2, (4, 4))
    )  # images, channels, rows, in a patch, columns, in a patch
    expected = pixels.mean(dim=(2, 4)).permute(0, 2, 3, 1).flatten(1)
    np.testing.assert_allclose(found[2], expected, rtol=1e-5, atol=1e-6)


def test_exhausted_memory_halves_the_batches_and_changes_no_feature(few_digits, trained, monkeypatch, caplog):
    caplog.set_level("INFO")
    frozen, images = FrozenNetwork(trained), DeviceImages(few_digits, few_digits.test)
    expected = probes.features(frozen, images)
    monkeypatch.setattr(FrozenNetwork, "representations", limited(FrozenNetwork.representations, 30))
    for layer, values in probes.features(frozen, images).items():
        np.testing.assert_allclose(values, expected[layer], rtol=1e-5, atol=1e-6)
    assert "a batch has 25 images" in caplog.text
    monkeypatch.setattr(FrozenNetwork, "representations", exhausted)
    with pytest.raises(ModelstitchError, match=r"^the device's memory is exhausted: lower the networks' size$"):
        probes.measure(trained, few_digits, 200, seed=0)


def test_accuracies_are_of_all_test_images_and_rise_with_depth(measured):
    assert tuple(measured) == probes.COLUMNS
    assert measured.layer_name.tolist() == [f"layers.{layer}" for layer in range(5)]
    assert (measured.train_images == 1437).all() and (measured.test_images == 360).all()
    assert measured.accuracy[4] > measured.accuracy[0] + 0.05
    np.testing.assert_allclose(measured.accuracy * 360, (measured.accuracy * 360).round())


def test_images_are_drawn_by_the_seed_from_all_of_the_data_set(digits, trained):
    order = np.argsort(digits.train.labels, kind="stable")
    by_class = replace(digits, train=Split(digits.train.images[order], digits.train.labels[order]))
    one, again, other = (probes.measure(trained, by_class, 200, seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, again)
    assert (one.train_images == 200).all() and (one.accuracy != other.accuracy).any()
    assert one.accuracy[4] > 0.8  # of a data set in the order of its classes, the first 200 images hold two of ten


def test_images_of_one_class_are_refused(digits, trained):
    with pytest.raises(ModelstitchError, match=r"measures\.probes\.images: 1 are of one class"):
        probes.measure(trained, digits, 1, seed=0)


def test_each_sender_layer_is_compared_with_the_last_column_of_each_receiver():
    sender, same, deeper = "R1111_trained_s0", "R1111_random_s0", "R1112_trained_s0"
    measured = pd.DataFrame({"network": sender, "layer": [0, 1], "layer_name": ["stem", "2"], "accuracy": [0.5, 0.7]})
    rows = [
        ("task", same, 0, 3, 5, 0.1),
        ("task", same, 0, 4, 5, 0.4),
        ("task", same, 1, 4, 5, 0.8),
        ("similarity", same, 0, 4, 5, 0.2),
        ("task", deeper, 0, 4, 6, 0.1),
        ("task", deeper, 0, 5, 6, 0.5),
    ]
    columns = ["objective", "receiver", "sender_layer", "receiver_layer", "receiver_layer_count", "accuracy"]
    table = probes.compare(measured, pd.DataFrame(rows, columns=columns).assign(sender=sender))
    assert tuple(table) == probes.COMPARED
    assert table.receiver.tolist() == [same, same, deeper, deeper] and table.sender_layer.tolist() == [0, 1, 0, 1]
    assert table.sender_layer_name.tolist() == ["stem", "2", "stem", "2"]
    assert table.probe_accuracy.tolist() == [0.5, 0.7, 0.5, 0.7]
    np.testing.assert_allclose(table.last_column_accuracy, [0.4, 0.8, 0.5, np.nan])
    np.testing.assert_allclose(table.difference, [-0.1, 0.1, 0, np.nan], atol=1e-12)


def test_features_are_in_the_precision_of_the_stitches(few_digits, trained):
    exact, rounded = (
        probes.features(FrozenNetwork(trained, dtype), DeviceImages(few_digits, few_digits.test))[2]
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert exact.dtype == rounded.dtype == np.float32 and 0 < np.abs(exact - rounded).max() < 0.05 * exact.max()
    assert len(probes.measure(trained, few_digits, 200, 0, precision="bfloat16")) == 5
