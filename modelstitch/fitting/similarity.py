"""Stitches for the objective `similarity`: to the receiver's expected representation, by mean squared error.

No suffix is run. Of a stitch that upsamples only the mean over the pixels that share a value matters, so its error is
taken before the upsampling; what is left is the variance about those means, which no stitch can change.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from modelstitch.config import LeastSquares, PaperStitches
from modelstitch.data.images import DeviceImages
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.fitting import protocols
from modelstitch.fitting.protocols import Fit
from modelstitch.fitting.schedule import count_steps
from modelstitch.progress import track
from modelstitch.seeds import seed_of
from modelstitch.stitches.linear import Cell, Geometry, Stitch, initialise
from modelstitch.stitches.normal_equations import accumulate, targets

BATCH = 100


def fit(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    images: DeviceImages,
    settings: PaperStitches | LeastSquares,
    seed: Sequence[object],
    label: str,
) -> Fit:
    """Stitches of least mean squared error, by steps of the paper's protocol or in closed form.

    Args:
        sender, receiver: the frozen networks.
        geometries: of the cells' stitches, `in_order`.
        images: the training images; the closed form takes them as they are, without augmentation.
        settings: the protocol and its numbers.
        seed: what random numbers are seeded with.
        label: names the work in its progress.

    Raises:
        ModelstitchError: if there are fewer training images than one batch.
    """
    if isinstance(settings, LeastSquares):
        return solve(sender, receiver, geometries, images, settings.ridge, label)
    stitches = {
        cell: initialise(geometry, seed_of(*seed, *cell), images.device) for cell, geometry in geometries.items()
    }
    optimiser = protocols.sgd(stitches, settings)
    last_sender, last_receiver = (max(layers) for layers in zip(*stitches, strict=True))
    epochs: list[list[Tensor]] = []
    steps = protocols.steps(images, settings, (*seed, "order"))
    for epoch, rate, batch, _ in track(steps, label, count_steps(settings, len(images))):
        if epoch == len(epochs):
            epochs.append([])
        sender_maps = sender.representations(batch, last_sender)
        receiver_maps = receiver.representations(batch, last_receiver)
        optimiser.rate = rate
        optimiser.zero_grad()
        errors = torch.stack([error(stitches[i, j], sender_maps[i], receiver_maps[j]) for i, j in stitches])
        errors.sum().backward()
        optimiser.step()
        epochs[-1].append(errors.detach())
    loss = np.stack([torch.stack(errors).mean(dim=0).double().cpu().numpy() for errors in epochs])
    return Fit(stitches, loss, np.full_like(loss, np.nan), count_steps(settings, len(images)) * settings.batch)


def error(stitch: Stitch, sender_maps: Tensor, receiver_maps: Tensor) -> Tensor:
    """Mean squared error between stitched maps and the receiver's (N, C, H, W), the stitch not upsampled."""
    geometry = stitch.geometry
    if geometry.scale == (1, 1):
        return (stitch(sender_maps).float() - receiver_maps.float()).square().mean()
    expected, pixels = targets(receiver_maps.float(), geometry)
    low = stitch._replace(geometry=geometry._replace(scale=(1, 1)))(sender_maps).float().permute(0, 2, 3, 1)
    distances = (low[:, : expected.shape[1], : expected.shape[2]] - expected).square() * pixels
    about_means = receiver_maps.float().square().sum() - (expected.square() * pixels).sum()
    return (distances.sum() + about_means) / receiver_maps.numel()


def solve(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    images: DeviceImages,
    ridge: float,
    label: str,
) -> Fit:
    """The stitches of least mean squared error over all images, in closed form; the loss is that error."""
    # Small batches: their patches are in float64.
    batches = track((batch for batch, _ in images.in_order(BATCH)), label, -(-len(images) // BATCH))
    moments = accumulate(sender, receiver, geometries, batches)
    stitches = {cell: moments.solve(cell, ridge) for cell in geometries}
    loss = np.array([[moments.mean_squared_error(cell, stitch) for cell, stitch in stitches.items()]])
    return Fit(stitches, loss, np.full_like(loss, np.nan), len(images))
