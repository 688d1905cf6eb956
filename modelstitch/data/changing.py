"""A data set as some network is trained on it: fewer images, shuffled labels, a dot that tells the class.

Networks that are known to know something, or not to: controls of what stitches find. The changes of ReSi (Klabunde et
al., ICLR 2025, arXiv 2408.00531) in labels and by a shortcut; the study's own images stay as they are.
"""

import copy
from colorsys import hsv_to_rgb

import numpy as np
import torch

from modelstitch.config.networks import Changes
from modelstitch.data.datasets import Dataset, Split
from modelstitch.data.images import DeviceImages, drawn
from modelstitch.errors import ModelstitchError
from modelstitch.seeds import seed_of

DIAMETER = 5  # of a dot, in pixels
REACH = DIAMETER // 2


def training_images(dataset: Dataset, changes: Changes, *names: object) -> Split:
    """The images and labels that a network is trained on.

    Args:
        dataset: of the study.
        changes: of its training images.
        names: that the random numbers depend on: the study's seed and the network's id.

    Raises:
        ModelstitchError: if a class is not one of the data set's, or its images can't have a dot of a hue.
    """
    split = of_classes(dataset.train, changes, dataset)
    count = len(split.labels)
    if changes.share is not None:
        chosen = drawn(count, max(1, round(changes.share * count)), seed_of(*names, "share")).sort().values.numpy()
        split = Split(split.images[chosen], split.labels[chosen])
    if changes.labels == "shuffled":
        split = Split(
            split.images, split.labels[drawn(len(split.labels), len(split.labels), seed_of(*names, "labels"))]
        )
    if changes.shortcut is not None:
        split = with_dots(split, changes.shortcut, len(dataset.classes), seed_of(*names, "dots", "train"))
    return split


def test_images(dataset: Dataset, changes: Changes, *names: object) -> Split | None:
    """The test images of its classes, with dots drawn as those of its training images; None if neither is changed.

    Args:
        dataset, changes, names: as of `training_images`.

    Raises:
        ModelstitchError: as `training_images`.
    """
    if changes.classes is None and changes.shortcut is None:
        return None
    split = of_classes(dataset.test, changes, dataset)
    if changes.shortcut is not None:
        split = with_dots(split, changes.shortcut, len(dataset.classes), seed_of(*names, "dots", "test"))
    return split


def of_classes(split: Split, changes: Changes, dataset: Dataset) -> Split:
    """The images of the classes that are asked for; all where none is."""
    if changes.classes is None:
        return split
    if (largest := max(changes.classes)) >= len(dataset.classes):
        raise ModelstitchError(
            f"networks.training.changes.classes: no class {largest} in {dataset.name}: "
            f"expected 0 to {len(dataset.classes) - 1}"
        )
    chosen = np.isin(split.labels, changes.classes)
    return Split(split.images[chosen], split.labels[chosen])


def marked(images: DeviceImages, seed: int) -> DeviceImages:
    """The same images, each with a dot of its own label's hue.

    Raises:
        ModelstitchError: as `with_dots`.
    """
    split = Split(images.images.cpu().numpy(), images.labels.cpu().numpy())
    changed = copy.copy(images)
    dotted = with_dots(split, 1, images.classes, seed, "stitches.marked").images
    changed.images = torch.from_numpy(dotted).to(images.device)
    return changed


def with_dots(
    split: Split, probability: float, classes: int, seed: int, key: str = "networks.training.changes.shortcut"
) -> Split:
    """Images with a dot each, at a random place, whose hue is 360 i / n degrees for label i of n.

    As ReSi describes it: with some probability i is the image's own label, otherwise any of the n, by chance. (Its code
    draws that chance twice, and dots of seven pixels.)

    Args:
        split: uint8 images (N, 3, H, W).
        probability: of the own label's hue.
        classes: n.
        seed: of hues and places.
        key: of the study file, for the errors.

    Raises:
        ModelstitchError: if images are no bytes, have no colours, or are too small.
    """
    count, channels, height, width = split.images.shape
    if channels != 3 or min(height, width) < DIAMETER or split.images.dtype != np.uint8:
        raise ModelstitchError(
            f"{key}: images are {channels} x {height} x {width} of {split.images.dtype}: expected 3 channels of bytes, "
            f"since a dot has a hue, and sides of {DIAMETER} pixels or more"
        )
    draws = torch.rand(count, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).numpy()
    labels = np.where(draws[:, 0] < probability, split.labels, (draws[:, 1] * classes).astype(np.int64))
    colours = np.array([hsv_to_rgb(label / classes, 1, 1) for label in range(classes)])
    colours = np.rint(255 * colours).astype(np.uint8)[labels]
    rows, columns = ((draws[:, 2 + axis] * (split.images.shape[2 + axis] - 2 * REACH)).astype(int) for axis in (0, 1))
    images, every = split.images.copy(), np.arange(count)
    for row in range(DIAMETER):
        for column in range(DIAMETER):
            if (row - REACH) ** 2 + (column - REACH) ** 2 <= (DIAMETER / 2) ** 2:
                images[every, :, rows + row, columns + column] = colours
    return Split(images, split.labels)
