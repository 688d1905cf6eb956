"""What a protocol gives before the first step, and what an objective gives after the last."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from modelstitch.data.images import DeviceImages, drawn
from modelstitch.fitting.distillation import Teacher
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.work import needs_moments
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.optimisers import Optimiser
from modelstitch.seeds import seed_of
from modelstitch.stitches.families import family_of
from modelstitch.stitches.geometry import Cell, Geometry
from modelstitch.stitches.normal_equations import RIDGE, Moments

STATISTICS_BATCH = 100

Stitches = dict[Cell, Any]  # of any family


class Beginning(NamedTuple):
    """Stitches before their first step.

    Attributes:
        stitches: of every cell, `in_order`.
        optimiser: moves them.
        teacher: whose predictions the stitches learn beside the labels; None for the labels alone.
    """

    stitches: Stitches
    optimiser: Optimiser
    teacher: Teacher | None = None


class Fit(NamedTuple):
    """Stitches that were made for an objective.

    Attributes:
        stitches: of every cell, `in_order`.
        loss, accuracy: of the training images, (epochs, cells), in the order of the stitches; the last row may stand
            for a part of an epoch. Accuracy is NaN where training ran no suffix.
        images: how many were trained on.
        classes: as in `StitchedPair`, of the labels that were trained on.
        test_images: makes of the test images those that the stitches are tested on; None where they stay as they are.
    """

    stitches: Stitches
    loss: np.ndarray
    accuracy: np.ndarray
    images: int
    classes: Tensor | None = None
    test_images: Callable[[DeviceImages], DeviceImages] | None = None


def new_stitches(geometries: Mapping[Cell, Geometry], family: Any, seed: Sequence[object], device: str) -> Stitches:
    """A fresh stitch for every cell, whose parameters are trained on a device.

    Args:
        geometries: of the cells' stitches.
        family: the section that names the family.
        seed: what random numbers are seeded with, beside the cell.
        device: where they are.
    """
    module = family_of(family.name)
    return {
        cell: trainable(module.initialise(geometry, seed_of(*seed, *cell), family), device)
        for cell, geometry in geometries.items()
    }


def trainable(stitch: Any, device: str) -> Any:
    """The stitch on a device, its parameters with gradients."""
    moved = stitch.of(stitch.geometry, {name: each.detach().to(device) for name, each in stitch.tensors.items()})
    for parameter in moved.parameters:
        parameter.requires_grad_()
    return moved


@torch.no_grad()
def start_nearest(stitches: Stitches, moments: Moments, family: Any, start: str = "least-squares") -> None:
    """Begin every stitch as the one of least squares, in place.

    From another start only those of its tensors are so that training doesn't move, such as a permutation. A network
    that overflows has no least squares: its stitches stay as they are.
    """
    module = family_of(family.name)
    for cell, stitch in stitches.items():
        nearest = module.solve(moments, cell, RIDGE, family).tensors
        if not all(tensor.isfinite().all() for tensor in nearest.values()):
            continue
        for name, tensor in stitch.tensors.items():
            if start == "least-squares" or not tensor.requires_grad:
                tensor.copy_(nearest[name])


def started(inputs: FitInputs, count: int) -> Stitches:
    """Fresh stitches, as their settings start them: where they need least squares, over `count` training images."""
    settings = inputs.settings
    stitches = new_stitches(inputs.geometries, settings.family, inputs.seed, inputs.images.device)
    if needs_moments(settings):
        moments, _ = some_moments(inputs, count)
        start_nearest(stitches, moments, settings.family, settings.start)
    return stitches


def some_moments(inputs: FitInputs, count: int) -> tuple[Moments, Tensor]:
    """Moments of some training images, drawn by the seed, in float32, and the images' indices (count,)."""
    sender, receiver, geometries, images, _, seed, _ = inputs
    chosen = drawn(len(images), count, seed_of(*seed, "statistics")).to(images.device)
    batches = (images.scaled(part) for part in chosen.split(STATISTICS_BATCH))
    return moments_of(sender, receiver, geometries, batches, torch.float32), chosen


def moments_of(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    batches: Any,
    dtype: torch.dtype,
) -> Moments:
    """The moments of the cells over batches of images (N, C, H, W)."""
    last_sender, last_receiver = (max(layers) for layers in zip(*geometries, strict=True))
    moments = Moments(geometries, dtype)
    for images in batches:
        moments.add(sender.representations(images, last_sender), receiver.representations(images, last_receiver))
    return moments
