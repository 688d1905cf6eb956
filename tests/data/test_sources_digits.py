import numpy as np
from sklearn.datasets import load_digits

from modelstitch.data import datasets, sources


def test_the_digits_are_split_by_class_and_scaled(tmp_path):
    sources.prepare({"source": "digits"}, tmp_path / "dataset.h5")
    dataset = datasets.read(tmp_path / "dataset.h5")
    assert dataset.name == "digits"
    assert dataset.classes == tuple("0123456789")
    assert dataset.train.images.shape == (1437, 1, 32, 32)
    assert dataset.test.images.shape == (360, 1, 32, 32)
    whole = np.bincount(load_digits().target)
    np.testing.assert_array_equal(np.bincount(dataset.train.labels) + np.bincount(dataset.test.labels), whole)
    assert np.abs(np.bincount(dataset.test.labels) - whole / 5).max() < 1
    assert (dataset.train.images.min(), dataset.train.images.max()) == (0, 255)


def test_the_pictures_are_scikit_learns_interpolated():
    train, test = sources.digits.read()
    digits, labels = load_digits(return_X_y=True)
    centres = (np.arange(32) + 0.5) / 4 - 0.5
    for label in range(10):
        reference = digits[labels == label].mean(axis=0).reshape(8, 8) * (255 / 16)
        for _ in range(2):
            reference = np.stack([np.interp(centres, np.arange(8), row) for row in reference]).T
        found = np.concatenate([split.images[split.labels == label, 0] for split in (train, test)]).mean(axis=0)
        np.testing.assert_allclose(found, reference, atol=1)


def test_no_test_digit_is_a_training_digit():
    train, test = sources.digits.read()
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


def test_digits_need_no_file():
    assert sources.input_files({"source": "digits"}) == []
    assert sources.files_of_folder({"source": "digits"}) == []
