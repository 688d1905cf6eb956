"""A dot that tells the class, which no network knows: what the control is trained and tested on."""

from dataclasses import replace

import numpy as np
import pytest

from modelstitch.data import datasets
from modelstitch.data.changing import with_dots
from modelstitch.data.datasets import Split
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.pair import train_pair
from modelstitch.seeds import seed_of
from tests.settings import FAST, small_resnet, stitch_settings


@pytest.fixture(scope="module")
def coloured(few_digits, tmp_path_factory):
    """The few digits in grey, with three channels."""
    path = tmp_path_factory.mktemp("coloured") / "dataset.h5"
    train, test = (Split(split.images.repeat(3, axis=1), split.labels) for split in (few_digits.train, few_digits.test))
    datasets.write(path, "coloured digits", train, test, few_digits.classes)
    return datasets.read(path)


def accuracies(record):
    return np.stack([column.test_accuracy for column in record.columns], axis=1)


def test_it_is_the_task_on_a_data_set_whose_images_have_dots(coloured):
    network, settings = small_resnet(channels=3), stitch_settings(epochs=2)
    record = train_pair(network, network, coloured, settings, objective="marked", study_seed=3).record
    splits = {
        name: with_dots(getattr(coloured, name), 1, 10, seed_of(3, "marked", "dots", name))
        for name in ("train", "test")
    }
    expected = train_pair(network, network, replace(coloured, **splits), settings, study_seed=3).record
    np.testing.assert_array_equal(accuracies(record), accuracies(expected))


def test_a_grey_image_has_no_hue(few_digits, trained):
    with pytest.raises(
        ModelstitchError, match=r"stitches\.marked: images are 1 x 32 x 32 of uint8: expected 3 channels"
    ):
        train_pair(trained, trained, few_digits, FAST, objective="marked", study_seed=0)
