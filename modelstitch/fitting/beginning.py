"""The stitches that a protocol starts from (`Beginning`), and the result of an objective (`Fit`)."""

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

Stitches = dict[Cell, Any]  # stitches of any family


class Beginning(NamedTuple):
    """Stitches before their first step, and what trains them.

    Attributes:
        stitches: the stitch of every cell, `in_order`.
        optimiser: the optimiser of their parameters.
        teacher: gives soft targets; None: the stitches are trained on the labels alone.
    """

    stitches: Stitches
    optimiser: Optimiser
    teacher: Teacher | None = None


class Fit(NamedTuple):
    """Stitches that were made for an objective.

    Attributes:
        stitches: the stitch of every cell, `in_order`.
        loss, accuracy: means over the training images, (epochs, cells), in the order of the stitches; the last row may
            be a part of an epoch. Accuracy is NaN if the objective runs no suffix.
        images: the number of training images, repetitions counted.
        classes: the order of the logits in training and test, as in `StitchedPair`.
        test_images: turns the test images into those that the stitches are tested on; None leaves them as they are.
    """

    stitches: Stitches
    loss: np.ndarray
    accuracy: np.ndarray
    images: int
    classes: Tensor | None = None
    test_images: Callable[[DeviceImages], DeviceImages] | None = None


def new_stitches(geometries: Mapping[Cell, Geometry], family: Any, seed: Sequence[object], device: str) -> Stitches:
    """New stitches for all cells, ready to be trained on a device.

    Args:
        geometries: the geometry of each cell's stitch.
        family: the config section of the family.
        seed: the seed of random numbers, together with the cell.
        device: the device of the stitches.
    """
    module = family_of(family.name)
    return {
        cell: trainable(module.initialise(geometry, seed_of(*seed, *cell), family), device)
        for cell, geometry in geometries.items()
    }


def trainable(stitch: Any, device: str) -> Any:
    """A copy of the stitch on a device, whose parameters require gradients."""
    moved = stitch.of(stitch.geometry, {name: each.detach().to(device) for name, each in stitch.tensors.items()})
    for parameter in moved.parameters:
        parameter.requires_grad_()
    return moved


@torch.no_grad()
def start_nearest(stitches: Stitches, moments: Moments, family: Any, start: str = "least-squares") -> None:
    """Set every stitch to the solution of least squares, in place.

    With another `start`, only tensors that are not trained, such as a permutation, are set. If a network overflows,
    least squares has no finite solution, and its stitches stay as they are.
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
    """New stitches with the start that the settings name; least squares, if needed, is over `count` training images."""
    settings = inputs.settings
    stitches = new_stitches(inputs.geometries, settings.family, inputs.seed, inputs.images.device)
    if needs_moments(settings):
        moments, _ = some_moments(inputs, count)
        start_nearest(stitches, moments, settings.family, settings.start)
    return stitches


def some_moments(inputs: FitInputs, count: int) -> tuple[Moments, Tensor]:
    """Moments over `count` random training images, with products in float32, and the indices (count,) of the images."""
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
    """Moments of all cells over batches of images (N, C, H, W), with products of type `dtype`."""
    last_sender, last_receiver = (max(layers) for layers in zip(*geometries, strict=True))
    moments = Moments(geometries, dtype)
    for images in batches:
        moments.add(sender.representations(images, last_sender), receiver.representations(images, last_receiver))
    return moments
