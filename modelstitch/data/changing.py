"""Changed copies of the data set for training some networks: fewer images, shuffled labels, a dot for the class.

Of such networks it is known what they have or have not learned, so they are controls of what stitches find. Shuffled
labels and the shortcut are those of ReSi (Klabunde et al., ICLR 2025, arXiv 2408.00531). The study's own images are
not changed.
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

DIAMETER = 5  # diameter of a dot, in pixels
REACH = DIAMETER // 2


def training_images(dataset: Dataset, changes: Changes, *names: object) -> Split:
    """The images and labels that a network is trained on.

    Args:
        dataset: the study's data set.
        changes: the changes to make.
        names: what random numbers are seeded with: the study's seed and the network's id.

    Raises:
        ModelstitchError: if the data set does not have one of the classes, or as `with_dots`.
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
    """The test images for a network that is trained on `training_images`; None if they are the data set's own.

    They are the images of its classes, with dots of the same kind as in training.

    Args:
        dataset, changes, names: as for `training_images`.

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
    """The images of the classes that `changes` names; all if it names none."""
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
    """A copy of the images, each with a dot in the hue of its label.

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
    """A copy of the images, each with a dot at a random place, whose hue is 360 i / n degrees for label i of n.

    As ReSi's paper describes it, i is the image's own label with some probability, and otherwise a random one of all n.
    (ReSi's code draws with that probability twice, and its dots have seven pixels.)

    Args:
        split: uint8 images (N, 3, H, W).
        probability: the probability that the hue is that of the image's own label.
        classes: the number of classes, n.
        seed: the seed of hues and places.
        key: the key in the study file, for errors.

    Raises:
        ModelstitchError: if images are not uint8, do not have 3 channels, or are smaller than a dot.
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
