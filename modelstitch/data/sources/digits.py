"""The handwritten digits that ship with scikit-learn (the test set of UCI's optical digits): no download."""

from pathlib import Path

import numpy as np
from PIL import Image

from modelstitch.data import datasets

SIDE = 32


def prepare(path: Path | str) -> None:
    """Write the digits as a data set: 1,437 training and 360 test images, (1, 32, 32)."""
    datasets.write(path, "digits", *read(), classes=tuple("0123456789"))


def read() -> tuple[datasets.Split, datasets.Split]:
    """Training and test digits: images of 8x8 pixels with values 0..16, enlarged to 32x32 and 0..255.

    Every fifth image, in the order of classes, is a test image: the split is stratified without random numbers.
    """
    from sklearn.datasets import load_digits  # takes a second, and only the conversion needs it

    digits = load_digits()
    images = np.stack([_enlarge(image) for image in np.rint(digits.images * (255 / 16)).astype(np.uint8)])[:, None]
    labels = digits.target.astype(np.int64)
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[np.argsort(labels, kind="stable")[::5]] = True
    return datasets.Split(images[~is_test], labels[~is_test]), datasets.Split(images[is_test], labels[is_test])


def _enlarge(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
