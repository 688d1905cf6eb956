"""Handwritten digits on photographs, both of which ship with scikit-learn: no download.

Harder than the digits alone: a network has to tell a digit from what is behind it, so that its layers differ in what
they know of it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from modelstitch.data import datasets
from modelstitch.data.sources import digits
from modelstitch.seeds import seed_of

SIDE, DIGIT_SIDE = 32, 28
TRAIN_PATCHES, TEST_PATCHES = 3, 2  # of each digit, each before another patch


def prepare(path: Path | str) -> None:
    """Write the digits as a data set: 4,311 training and 720 test images, (3, 32, 32)."""
    datasets.write(path, "photo-digits", *read(), classes=tuple("0123456789"))


def read() -> tuple[datasets.Split, datasets.Split]:
    """Training and test images: of each digit several, the same ones at each call.

    A digit of 28x28 lies at a random place of a random patch of 32x32 of one of the two photographs; the image is the
    absolute difference of both. Training digits are those of `digits`; their patches are from the left halves of the
    photographs, those of test digits from the right, so that neither digit nor patch is known from training.
    """
    from sklearn.datasets import load_sample_images  # costs a second: only the conversion needs it

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
