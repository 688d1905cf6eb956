"""Handwritten digits on photographs, both of which ship with scikit-learn: no download.

They are harder than the digits alone: a network has to tell a digit from its background, so its layers differ in what
they know about the digit.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from modelstitch.data import datasets
from modelstitch.data.sources import digits
from modelstitch.seeds import seed_of

SIDE, DIGIT_SIDE = 32, 28
TRAIN_PATCHES, TEST_PATCHES = 3, 2  # images per digit, each with another patch as background


def prepare(path: Path | str) -> None:
    """Write the digits as a data set: 4,311 training and 720 test images, (3, 32, 32)."""
    datasets.write(path, "photo-digits", *read(), classes=tuple("0123456789"))


def read() -> tuple[datasets.Split, datasets.Split]:
    """Training and test images: several of each digit, and the same at each call.

    An image is the absolute difference of a random patch of 32x32 pixels, from one of the two photographs, and a digit
    of 28x28 pixels at a random place in it. Training and test digits are those of `digits`. Patches for training come
    from the left halves of the photographs, patches for test from the right halves, so that neither digits nor patches
    of the test are known from training.
    """
    from sklearn.datasets import load_sample_images  # takes a second, and only the conversion needs it

    photographs = load_sample_images().images
    middle = photographs[0].shape[1] // 2
    halves = (
        [photograph[:, :middle] for photograph in photographs],
        [photograph[:, middle:] for photograph in photographs],
    )
    counts = TRAIN_PATCHES, TEST_PATCHES
    train, test = (
        _on_photographs(split, count, half, np.random.default_rng(seed_of("photo-digits", name)))
        for split, count, half, name in zip(digits.read(), counts, halves, ("train", "test"), strict=True)
    )
    return train, test


def _on_photographs(
    split: datasets.Split, patches: int, photographs: list[np.ndarray], generator: np.random.Generator
) -> datasets.Split:
    images = [image for digit in split.images for image in _images(digit[0], patches, photographs, generator)]
    return datasets.Split(np.stack(images), np.repeat(split.labels, patches))


def _images(
    digit: np.ndarray, patches: int, photographs: list[np.ndarray], generator: np.random.Generator
) -> Iterator[np.ndarray]:
    small = np.asarray(Image.fromarray(digit).resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BILINEAR), dtype=int)
    for _ in range(patches):
        photograph = photographs[generator.integers(len(photographs))]
        y, x = (generator.integers(size - SIDE + 1) for size in photograph.shape[:2])
        top, left = generator.integers(SIDE - DIGIT_SIDE + 1, size=2)
        image = photograph[y : y + SIDE, x : x + SIDE].astype(int)
        image[top : top + DIGIT_SIDE, left : left + DIGIT_SIDE] -= small[..., None]
        yield np.abs(image).astype(np.uint8).transpose(2, 0, 1)
