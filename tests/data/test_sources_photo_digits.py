"""Digits on photographs: what they are made of, and that nothing of the test is known from training."""

import numpy as np
from sklearn.datasets import load_sample_images

from modelstitch.data import datasets, sources
from modelstitch.data.sources import digits, photo_digits


def test_each_digit_lies_on_patches_of_its_own_half_of_a_photograph():
    halves = [(image[:, :320].astype(int), image[:, 320:].astype(int)) for image in load_sample_images().images]
    for side, (split, original) in enumerate(zip(photo_digits.read(), digits.read(), strict=True)):
        patches = (3, 2)[side]
        np.testing.assert_array_equal(split.labels, original.labels.repeat(patches))
        for image, digit in list(zip(split.images, original.images.repeat(patches, axis=0), strict=True))[:12]:
            # The frame of two pixels around the middle is not all covered: at least one corner is the photograph's own.
            corners = [(y, x) for y in (0, 31) for x in (0, 31)]
            places = [
                (half, y, x)
                for half in (pair[side] for pair in halves)
                for corner in corners
                for y, x in _where(half, image[:, corner[0], corner[1]], corner)
            ]
            assert any(_is_digit_on(image, half[y : y + 32, x : x + 32], digit[0]) for half, y, x in places)


def _where(half, pixel, corner):
    """Every place of a patch in a half, whose pixel at a corner is the given one."""
    y, x = np.nonzero((half == pixel).all(axis=2))
    y, x = y - corner[0], x - corner[1]
    inside = (y >= 0) & (x >= 0) & (y <= half.shape[0] - 32) & (x <= half.shape[1] - 32)
    return zip(y[inside], x[inside], strict=True)


def _is_digit_on(image, patch, digit):
    """Whether the image is the patch but for one window of 28 x 28, in which one grey digit was taken from it."""
    image = image.transpose(1, 2, 0).astype(int)
    changed = np.argwhere((image != patch).any(axis=2))
    if len(changed) and (np.ptp(changed, axis=0) >= 28).any():
        return False
    # Of one grey value there are at most two in each channel: patch less value is the image, or its negative.
    both = np.stack([patch - image, patch + image])
    grey = [set(both[:, y, x, 0]) & set(both[:, y, x, 1]) & set(both[:, y, x, 2]) for y, x in changed]
    return all(grey) and len(changed) >= (digit > 128).sum() / 2


def test_the_images_are_a_data_set_of_ten_classes_and_always_the_same(tmp_path):
    sources.prepare({"source": "photo-digits"}, tmp_path / "a.h5")
    sources.prepare({"source": "photo-digits"}, tmp_path / "b.h5")
    dataset = datasets.read(tmp_path / "a.h5")
    assert (dataset.name, dataset.classes) == ("photo-digits", tuple("0123456789"))
    assert dataset.train.images.shape == (4311, 3, 32, 32)
    assert dataset.test.images.shape == (720, 3, 32, 32)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert len({image.tobytes() for image in dataset.train.images}) > 4300
