"""Makes a data set from objects in a notebook: arrays, tensors, or a Dataset or DataLoader of torch."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np
import torch

from modelstitch.data.datasets import Dataset, Split, channel_statistics
from modelstitch.errors import ModelstitchError
from modelstitch.progress import track

COLOURS = (1, 3)


def dataset_of(train: Any, test: Any) -> Dataset:
    """A data set from training and test images.

    The classes' names are those in `train.classes`, if torch's Dataset has them, else numbers from 0 to the highest
    label.

    Args:
        train, test: (images, labels) as arrays or tensors, or a Dataset or DataLoader of torch that gives such pairs.
            Images (N, C, H, W) or (N, H, W, C), or grayscale (N, H, W), are bytes, or floating-point numbers in the
            range that the networks expect.

    Raises:
        ModelstitchError: if images or labels have another type or shape, or training and test images differ in them.
    """
    splits = {name: split_of(data, name) for name, data in (("train", train), ("test", test))}
    kinds = {name: f"{split.images.dtype} {split.images.shape[1:]}" for name, split in splits.items()}
    if kinds["train"] != kinds["test"]:
        raise ModelstitchError(
            f"train images are {kinds['train']}, test images {kinds['test']}: expected one kind and shape"
        )
    images = splits["train"].images
    if images.dtype == np.uint8:
        mean, std = channel_statistics(images)
    else:
        mean, std = images.mean(axis=(0, 2, 3), dtype=np.float64), images.std(axis=(0, 2, 3), dtype=np.float64)
    digest = hashlib.sha256()
    for split in splits.values():
        digest.update(np.ascontiguousarray(split.images))
        digest.update(np.ascontiguousarray(split.labels))
    count = 1 + max(int(split.labels.max()) for split in splits.values())
    names = getattr(getattr(train, "dataset", train), "classes", None)
    names = tuple(map(str, names if names is not None and len(names) >= count else range(count)))
    statistics = (mean.astype(np.float32), std.astype(np.float32))
    return Dataset("data at hand", *splits.values(), names, *statistics, digest.hexdigest())


def split_of(data: Any, name: str) -> Split:
    """The images and labels of one split, from any of the arguments that `dataset_of` accepts.

    Args:
        data: the images and labels.
        name: the split's name, for errors and progress lines.

    Raises:
        ModelstitchError: if it accepts no such data.
    """
    if isinstance(data, (tuple, list)) and len(data) == 2:
        images, labels = map(_array, data)
    elif isinstance(data, torch.utils.data.DataLoader):
        parts = [_pair(batch, name) for batch in _tracked(data, name)]
        images, labels = _joined(parts, np.concatenate, name)
    elif hasattr(data, "__getitem__") and isinstance(data, Sized):
        items = (data[index] for index in range(len(data)))
        parts = [_pair(item, name) for item in track(items, f"{name} images", len(data))]
        images, labels = _joined(parts, np.stack, name)
    else:
        raise ModelstitchError(
            f"{name}: a {type(data).__name__}: expected (images, labels), or a Dataset or DataLoader of torch"
        )
    return Split(_images(images, name), _labels(labels, len(images), name))


def _pair(item: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of a batch, or an image and its label; further entries are ignored."""
    if not isinstance(item, (tuple, list)) or len(item) < 2:
        raise ModelstitchError(f"{name}: gives a {type(item).__name__}: expected (image, label), in this order")
    return _array(item[0]), _array(item[1])


def _joined(parts: Sequence[tuple[np.ndarray, ...]], join: Any, name: str) -> Iterator[np.ndarray]:
    """All images and all labels, joined by `join`: numpy's `concatenate` or `stack`."""
    if not parts:
        raise ModelstitchError(f"{name}: no image is there: expected (N, C, H, W), not empty")
    if len({images.shape[-3:] for images, _ in parts}) > 1:
        shapes = " and ".join(sorted({str(images.shape[-3:]) for images, _ in parts})[:2])
        raise ModelstitchError(f"{name}: images have shapes {shapes}: expected one: resize or crop them")
    return (join(values) for values in zip(*parts, strict=True))


def _tracked(loader: Iterable, name: str) -> Iterable:
    try:
        return track(loader, f"{name} images (batches)", len(loader))
    except TypeError:  # an IterableDataset may have no length
        return loader


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _images(images: np.ndarray, name: str) -> np.ndarray:
    """Convert images to (N, C, H, W), uint8 or float32."""
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or not images.size:
        raise ModelstitchError(f"{name}: images have shape {images.shape}: expected (N, C, H, W), not empty")
    if images.shape[1] not in COLOURS and images.shape[3] in COLOURS:
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8:
        if not np.issubdtype(images.dtype, np.floating):
            raise ModelstitchError(
                f"{name}: images are {images.dtype}: expected bytes (uint8) or floating-point numbers"
            )
        if not np.isfinite(images).all():
            raise ModelstitchError(f"{name}: images have numbers that are not finite")
        images = images.astype(np.float32)
    return np.ascontiguousarray(images)


def _labels(labels: np.ndarray, count: int, name: str) -> np.ndarray:
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise ModelstitchError(
            f"{name}: labels are {labels.dtype} {labels.shape}: expected {count} whole numbers, one for each image"
        )
    if labels.min() < 0:
        raise ModelstitchError(f"{name}: a label is {labels.min()}: expected 0 and more")
    return labels.astype(np.int64)
