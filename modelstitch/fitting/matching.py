"""Trains stitches to give the representation that the receiver expects, without running a suffix.

A stitch that upsamples gives several places one value. Its error is therefore computed before the upsampling, against
the mean of the expected values at these places; their variance about it, which no stitch can change, is added.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modelstitch.config.stitches import TrainedStitches
from modelstitch.data.images import DeviceImages
from modelstitch.fitting.steps import steps
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.optimisers import Optimiser
from modelstitch.repeating import RepeatedStep
from modelstitch.stitches.assembly import expected
from modelstitch.stitches.geometry import Cell


def train(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    stitches: Mapping[Cell, Any],
    images: DeviceImages,
    settings: TrainedStitches,
    optimiser: Optimiser,
    order: Sequence[object],
    label: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Train the stitches to give the expected representation, in place.

    Returns:
        Mean squared errors (epochs, cells) on the augmented training images, and accuracies, which are all NaN.

    Raises:
        ModelstitchError: if there are fewer training images than one batch.
    """
    last_sender, last_receiver = (max(layers) for layers in zip(*stitches, strict=True))
    of_step = torch.zeros(len(stitches), device=images.device)

    def step(batch: Tensor, labels: Tensor) -> None:
        sent = sender.representations(batch, last_sender)
        received = receiver.representations(batch, last_receiver)
        optimiser.zero_grad()
        errors = torch.stack([error(stitches[i, j], sent[i], received[j]) for i, j in stitches])
        errors.sum().backward()
        optimiser.step()
        of_step.copy_(errors.detach())

    repeated = RepeatedStep(step, optimiser, images.device)
    epochs: list[list[Tensor]] = []
    for epoch, rate, batch, labels in steps(images, settings, order, label):
        if epoch == len(epochs):
            epochs.append([])
        repeated(batch, labels, rate)
        epochs[-1].append(of_step.clone())
    loss = np.stack([torch.stack(errors).mean(dim=0).double().cpu().numpy() for errors in epochs])
    return loss, np.full_like(loss, np.nan)


def error(stitch: Any, sent: Tensor, received: Tensor) -> Tensor:
    """Mean squared error of a stitch, from representations (N, *source.shape) to expected ones (N, *target.shape)."""
    geometry = stitch.geometry
    if geometry.scale == (1, 1) or not hasattr(stitch, "at_places"):
        return (stitch(sent).float() - received.float()).square().mean()
    received = received.float()
    shared = geometry.scale[0] * geometry.scale[1]
    total, explained = 0.0, 0.0
    for part, (given, target) in enumerate(zip(stitch.at_places(sent), expected(received, geometry), strict=True)):
        places = 1 if part else shared
        total = total + (given.float() - target).square().sum() * places
        explained = explained + target.square().sum() * places
    about_means = received.square().sum() - explained
    return (total + about_means) / received.numel()
