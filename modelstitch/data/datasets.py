"""A labelled image data set in one HDF5 file: every source is converted to it; networks and stitches read it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from modelstitch import hdf5
from modelstitch.errors import ModelstitchError
from modelstitch.hdf5 import Fields

FORMAT_VERSION = 3
WHAT, AGAIN = "data set of modelstitch", "delete it, and it is made anew"
MOST_CLASSES = 2**16 - 1  # predictions in records have two bytes, and one value marks failed cells


@dataclass(frozen=True)
class Split:
    """The training or the test images of a data set.

    Attributes:
        images: uint8 (N, C, H, W), or float32 in a data set from arrays.
        labels: int64 (N,), indices into the data set's classes.
    """

    images: np.ndarray
    labels: np.ndarray


class Sizes(NamedTuple):
    """Sizes of a data set: the shape of an image, (C, H, W), and the numbers of images and classes."""

    image: tuple[int, int, int]
    train_images: int
    test_images: int
    classes: int


@dataclass(frozen=True)
class Dataset:
    """A data set as `read` returns it.

    Attributes:
        mean, std: mean and population standard deviation of each channel, over all pixels of the training images scaled
            to 0..1, float32 (C,).
        digest: SHA-256 over images, labels and class names; it does not depend on the source's file format.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    digest: str


class TestLabels(NamedTuple):
    """The labels of a data set's test images, int64 (N,); the names of its classes; its digest."""

    labels: np.ndarray
    classes: tuple[str, ...]
    digest: str


def write(path: Path | str, name: str, train: Split, test: Split, classes: tuple[str, ...]) -> None:
    """Write a data set, with its channel statistics and digest.

    The HDF5 file is contiguous and uncompressed, so that a job reads CIFAR-10 in a third of a second. It holds
    `train/images`, `train/labels`, `test/images`, `test/labels`, `classes`, `mean` and `std`; its attributes are
    `format_version`, `name` and `digest`.

    Raises:
        ValueError: if a split is not uint8 (N, C, H, W) with N labels in `0 .. len(classes) - 1`, or images of the
            splits have different shapes.
        ModelstitchError: if a channel is constant over the training images, or the file can't be written.
    """
    splits = {"train": train, "test": test}
    for split_name, split in splits.items():
        _check(split_name, split, len(classes))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(f"training images are {train.images.shape[1:]}, test images {test.images.shape[1:]}")
    mean, std = channel_statistics(train.images)
    if not std.all():
        raise ModelstitchError(
            f"data set {name!r}: channel {int(std.argmin())} has one value in all training images: "
            "it can't be normalised, expected images that differ"
        )
    digest = _digest(train, test, classes)

    def fill(file: h5py.File) -> None:
        for split_name, split in splits.items():
            file[f"{split_name}/images"] = split.images
            file[f"{split_name}/labels"] = split.labels.astype(np.int64)
        file["classes"] = hdf5.texts(classes)
        file["mean"], file["std"] = mean, std
        file.attrs.update(format_version=FORMAT_VERSION, name=name, digest=digest)

    hdf5.write_large(path, fill)


def read(path: Path | str) -> Dataset:
    """Read a data set written by `write`, all of it into memory.

    Raises:
        ModelstitchError: if the file is missing, damaged or of another format, or a field has an impossible value.
    """
    with hdf5.opened(path, WHAT, AGAIN) as file:
        image, *_, classes = _sizes(file)
        splits = []
        for name in ("train", "test"):
            split = file.group(name)
            images = split.array("images", np.uint8, (None, *image))
            splits.append(Split(images, split.integers("labels", (len(images),), 0, classes - 1)))
        return Dataset(
            file.attribute("name", str),
            *splits,
            classes=tuple(file.texts("classes", (classes,))),
            mean=_statistics(file, "mean", image[0]),
            std=_statistics(file, "std", image[0]),
            digest=file.attribute("digest", str),
        )


def read_test_labels(path: Path | str) -> TestLabels:
    """Read the test labels, against which records are checked, without the images.

    Raises:
        ModelstitchError: as `read`.
    """
    with hdf5.opened(path, WHAT, AGAIN) as file:
        *_, test_images, classes = _sizes(file)
        labels = file.group("test").integers("labels", (test_images,), 0, classes - 1)
        return TestLabels(labels, tuple(file.texts("classes", (classes,))), file.attribute("digest", str))


def read_sizes(path: Path | str) -> Sizes | None:
    """Read the sizes in a data set's file, without reading images or checking the digest; None if there is no file.

    Raises:
        ModelstitchError: as `read`.
    """
    if not Path(path).exists():
        return None
    with hdf5.opened(path, WHAT, AGAIN, verified=False) as file:
        return _sizes(file)


def _sizes(file: Fields) -> Sizes:
    version = file.attribute("format_version", int)
    if version != FORMAT_VERSION:
        raise file.error("format_version", f"{version}: expected {FORMAT_VERSION}")
    train_images, *image = file.group("train").shape("images", np.uint8, (None,) * 4)
    test_images, *_ = file.group("test").shape("images", np.uint8, (None, *image))
    classes = len(file.texts("classes", (None,)))
    if not min(train_images, test_images, *image):
        shape = " x ".join(map(str, image))
        raise file.error("train/images", f"{train_images} and {test_images} images of {shape}: expected some")
    if not 0 < classes <= MOST_CLASSES:
        raise file.error("classes", f"{classes}: expected 1 to {MOST_CLASSES:,}")
    return Sizes(tuple(image), train_images, test_images, classes)


def _statistics(file: Fields, name: str, channels: int) -> np.ndarray:
    values = file.array(name, np.float64, (channels,))
    if not (np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all()):
        raise file.error(name, f"{values.tolist()}: expected 0 to 1")
    return values.astype(np.float32)


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation of each channel, of pixels scaled to 0..1.

    The sums are exact, over integers in a histogram of the 256 values, so the order of the images does not matter.

    Args:
        images: uint8 (N, C, H, W).

    Returns:
        Two float64 arrays (C,).
    """
    channels = images.shape[1]
    histogram = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(images), 1000):  # bincount copies its input as int64, eight times the size
        for channel in range(channels):
            histogram[channel] += np.bincount(images[start : start + 1000, channel].ravel(), minlength=256)
    mean, std = np.empty(channels), np.empty(channels)
    for channel, counts in enumerate(histogram.tolist()):
        pixels = sum(counts)
        total = sum(value * count for value, count in enumerate(counts))
        squares = sum(value**2 * count for value, count in enumerate(counts))
        mean[channel] = total / pixels / 255
        std[channel] = ((pixels * squares - total**2) / pixels**2) ** 0.5 / 255
    return mean, std


def _check(name: str, split: Split, classes: int) -> None:
    images, labels = split.images, split.labels
    if images.dtype != np.uint8 or images.ndim != 4 or images.size == 0:
        raise ValueError(f"{name} images are {images.dtype} {images.shape}, expected uint8 (N, C, H, W), not empty")
    if labels.shape != (len(images),) or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"{name} labels are {labels.shape}, expected {len(images)} labels in 0 .. {classes - 1}")


def _digest(train: Split, test: Split, classes: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr(list(classes)).encode())
    for split in (train, test):
        digest.update(repr(split.images.shape).encode())
        digest.update(np.ascontiguousarray(split.images))
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8"))
    return digest.hexdigest()
