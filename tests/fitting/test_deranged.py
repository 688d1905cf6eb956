"""Controls of the task that need no similarity: labels of other images, and the image as the sender's layer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from modelstitch.data.datasets import Split
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.pair import train_pair
from modelstitch.seeds import seed_of
from tests.settings import FAST, stitch_settings


def accuracies(record):
    return np.stack([column.test_accuracy for column in record.columns], axis=1)


def test_it_is_the_task_on_a_data_set_whose_images_change_places(few_digits, trained):
    settings = stitch_settings(epochs=2)
    record = train_pair(trained, trained, few_digits, settings, objective="deranged", study_seed=3).record
    seed = seed_of(3, "deranged", "images")
    splits = {}
    for name in ("train", "test"):
        split = getattr(few_digits, name)
        exchanged = DeviceImages(few_digits, split).deranged(seed)
        assert all((one != other).any() for one, other in zip(exchanged.images.numpy(), split.images, strict=True))
        assert sorted(map(bytes, exchanged.images.numpy())) == sorted(map(bytes, split.images))
        splits[name] = Split(exchanged.images.numpy(), split.labels)
    expected = train_pair(trained, trained, replace(few_digits, **splits), settings, study_seed=3).record
    np.testing.assert_array_equal(accuracies(record), accuracies(expected))
    for column in record.columns:  # what is predicted stands beside the label that counts
        right = (column.predictions == few_digits.test.labels).mean(axis=1)
        np.testing.assert_allclose(right, column.test_accuracy, rtol=1e-12)


def test_labels_of_other_images_cannot_be_learned(digits, trained):
    settings = FAST.model_copy(update={"epochs": 1, "batch": 32})
    record = train_pair(trained, trained, digits, settings, objective="deranged", study_seed=0).record
    # Four standard errors of a guess among 10 classes on 360 images, and as much for the smallest class.
    assert accuracies(record).max() < 0.1 + 4 * (0.1 * 0.9 / 360) ** 0.5


def test_an_image_as_sender_needs_no_sender(few_digits, trained, random_networks):
    settings = FAST.model_copy(update={"epochs": 1})
    found = [
        train_pair(sender, trained, few_digits, settings, objective="image", study_seed=0)
        for sender in (trained, random_networks[1])
    ]
    for record, stitches in found:
        assert [column.sender_layers for column in record.columns] == [(-1,)] * 5
        assert record.sender.name(-1) == "image" and set(stitches) == {(-1, j) for j in range(5)}
    one, other = (accuracies(record) for record, _ in found)
    np.testing.assert_allclose(one, other, atol=0.25)  # of 101 images, by stitches of other seeds
    assert one[0, 0] > 0.5  # the stem is a convolution of the image


def test_a_single_image_cannot_be_exchanged(few_digits):
    with pytest.raises(ModelstitchError, match="1 can't be exchanged"):
        DeviceImages(few_digits, Split(few_digits.test.images[:1], few_digits.test.labels[:1])).deranged(0)


def test_every_label_keeps_its_place(few_digits):
    images = DeviceImages(few_digits, few_digits.test)
    assert torch.equal(images.deranged(0).labels, images.labels)
    assert torch.equal(images.images, torch.from_numpy(few_digits.test.images))
