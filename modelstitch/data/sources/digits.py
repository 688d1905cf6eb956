"""The handwritten digits that ship with scikit-learn (the UCI optical digits' test set): no download."""

from pathlib import Path

import numpy as np
from PIL import Image

from modelstitch.data import datasets

SIDE = 32


def prepare(path: Path | str) -> None:
    """Write the digits as a data set: 1,437 training and 360 test images, (1, 32, 32)."""
    datasets.write(path, "digits", *read(), classes=tuple("0123456789"))


def read() -> tuple[datasets.Split, datasets.Split]:
    """Training and test digits, 8x8 values 0..16 scaled to 32x32 and 0..255.

    Sorted by class, every fifth image is a test image: the split is stratified and needs no random numbers.
    """
    from sklearn.datasets import load_digits  # costs a second: only the conversion needs it

    digits = load_digits()
    images = np.stack([_enlarge(image) for image in np.rint(digits.images * (255 / 16)).astype(np.uint8)])[:, None]
    labels = digits.target.astype(np.int64)
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[np.argsort(labels, kind="stable")[::5]] = True
    return datasets.Split(images[~is_test], labels[~is_test]), datasets.Split(images[is_test], labels[is_test])


def _enlarge(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
