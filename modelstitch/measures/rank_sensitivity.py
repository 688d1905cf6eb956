"""Does accuracy fall with the rank of the sender's representations, as that of a linear probe does?

The channels of a layer at one place of one image are a vector; over all places of some training images these vectors
have principal components. Truncation to rank r keeps the first r components, and replaces the others by their mean. A
linear probe shows how much can still be read: a measure of similarity that does not fall with the probe does not
measure what the sender has kept. Balogh and Jelasity (arXiv 2412.11299) vary the rank in this way, by truncated SVD.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from modelstitch.accuracy import accuracy
from modelstitch.analysis.depth import corresponding
from modelstitch.config.stitches import TrainedStitches
from modelstitch.data.datasets import Dataset, Split
from modelstitch.data.images import EVALUATION_BATCH, DeviceImages, drawn
from modelstitch.engine.evaluation import predict
from modelstitch.engine.pair import StitchedPair
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.objectives import objective_of
from modelstitch.hardware import enough_memory, in_batches, prepare
from modelstitch.measures import probes
from modelstitch.networks.frozen import FrozenNetwork, freeze
from modelstitch.networks.network import Network
from modelstitch.networks.representations import Representation
from modelstitch.seeds import seed_of
from modelstitch.stitches.families import geometry_of
from modelstitch.stitches.geometry import Geometry, in_order

BATCH = 100
COLUMNS = (
    "sender",
    "receiver",
    "sender_layer",
    "sender_layer_name",
    "receiver_layer",
    "receiver_layer_name",
    "channels",
    "rank",
    "variance_kept",
    "probe_accuracy",
    "accuracy",
)


class Truncation(NamedTuple):
    """The truncation of a sender's layer to a rank.

    Attributes:
        layer: index of the layer.
        rank: number of principal components that are kept.
        mean: mean of the channels (C,).
        projection: projection onto the kept components (C, C).
        kept: share of the variance that is kept.
    """

    layer: int
    rank: int
    mean: Tensor
    projection: Tensor
    kept: float


class TruncatedSender:
    """Replaces a frozen sender: its layers, numbered from 0, are truncations of the sender's layers."""

    def __init__(self, sender: FrozenNetwork, truncations: list[Truncation]) -> None:
        self.sender, self.truncations, self.dtype = sender, truncations, sender.dtype
        self.shapes = {index: sender.shapes[one.layer] for index, one in enumerate(truncations)}
        self.source = SimpleNamespace(outputs=None)  # no logits: it teaches nothing

    def representations(self, images: Tensor, last: int | None = None) -> dict[int, Tensor]:
        """Truncated representations of images (N, C, H, W) from 0 to 1, up to truncation `last` (by default all)."""
        chosen = self.truncations[: None if last is None else last + 1]
        sent = self.sender.representations(images, max(one.layer for one in chosen))
        return {index: truncated(sent[one.layer], self.shapes[index], one) for index, one in enumerate(chosen)}


def truncated(values: Tensor, shape: Representation, truncation: Truncation) -> Tensor:
    """Truncate representations (N, *shape)."""
    axis = channel_axis(shape)
    vectors = values.movedim(axis, -1)
    projection, mean = truncation.projection.to(values.dtype), truncation.mean.to(values.dtype)
    return (mean + (vectors - mean) @ projection).movedim(-1, axis)


def channel_axis(shape: Representation) -> int:
    """The axis of channels in representations (N, *shape)."""
    return 1 if shape.layout == "map" else -1


def ranks(channels: int) -> list[int]:
    """The ranks to try: all channels, half of them, a quarter, ... down to one."""
    found = [channels]
    while found[-1] > 1:
        found.append(found[-1] // 2)
    return found


@torch.no_grad()
def truncations(sender: FrozenNetwork, images: DeviceImages, chosen: Tensor) -> list[Truncation]:
    """The truncations of every layer to each of its `ranks`, by the principal components of chosen images (N,)."""
    sums: dict[int, Tensor] = {}
    for part in chosen.split(BATCH):
        for layer, values in sender.representations(images.scaled(part)).items():
            if layer >= 0:
                vectors = values.movedim(channel_axis(sender.shapes[layer]), -1).flatten(0, -2).double()
                ones = torch.cat((vectors, torch.ones_like(vectors[:, :1])), dim=1)
                sums[layer] = sums.get(layer, 0) + ones.T @ ones
    found = []
    for layer, products in sums.items():
        mean = products[:-1, -1] / products[-1, -1]
        covariance = products[:-1, :-1] / products[-1, -1] - torch.outer(mean, mean)
        variances, components = torch.linalg.eigh(covariance)  # in ascending order
        for rank in ranks(len(mean)):
            first = components[:, -rank:]
            kept = (variances[-rank:].sum() / variances.sum().clamp_min(1e-30)).item()
            found.append(Truncation(layer, rank, mean, first @ first.T, kept))
    return found


@enough_memory("stitches.task.batch or the networks' size")
def measure(
    sender: Network,
    receiver: Network,
    dataset: Dataset,
    images: int,
    training: TrainedStitches,
    study_seed: int,
    device: str = "cpu",
) -> pd.DataFrame:
    """Stitch each sender layer at each rank to the receiver's corresponding layer, and probe it.

    Args:
        sender, receiver: the networks.
        dataset: the images.
        images: training images for the principal components and for the probe, at most all.
        training: settings of the stitches for the task.
        study_seed: seed of the study.
        device: device of the computation.

    Returns:
        `COLUMNS`: both accuracies are on the whole test set; that of a stitch is NaN if its training diverged.

    Raises:
        ModelstitchError: if the images are of one class, there are fewer than one batch, or the device has too little
            memory.
    """
    prepare(device)
    image = tuple(dataset.train.images.shape[1:])
    frozen = [freeze(network.with_images(image), training.precision, device) for network in (sender, receiver)]
    train, test = (DeviceImages(dataset, split, device) for split in (dataset.train, dataset.test))
    chosen = drawn(len(train), images, seed_of(study_seed, "rank sensitivity"))
    found = truncations(frozen[0], train, chosen.to(device))
    stand_in = TruncatedSender(frozen[0], found)
    counts = [len(network.layers) for network in frozen]
    cells = in_order((index, corresponding(one.layer, *counts)) for index, one in enumerate(found))
    between = geometry_of(training.family)
    geometries = {(i, j): between(stand_in.shapes[i], frozen[1].shapes[j]) for i, j in cells}
    seed = (study_seed, sender.name, receiver.name, "rank sensitivity")
    label = f"{sender.name} → {receiver.name}, ranks"
    fit = objective_of("task").fit(FitInputs(stand_in, frozen[1], geometries, train, training, seed, label))
    predictions = predict(StitchedPair(stand_in, frozen[1], fit.stitches), test)
    stitched = predictions.accuracy(dataset.test.labels, fit.loss)
    picked = chosen.numpy()
    few = Split(dataset.train.images[picked], dataset.train.labels[picked])
    probed = probe_accuracies(stand_in, DeviceImages(dataset, few, device), test)
    rows = []
    for (index, j), right in zip(fit.stitches, stitched, strict=True):
        one = found[index]
        rows.append(
            {
                "sender": sender.name,
                "receiver": receiver.name,
                "sender_layer": one.layer,
                "sender_layer_name": frozen[0].layers[one.layer].name,
                "receiver_layer": j,
                "receiver_layer_name": frozen[1].layers[j].name,
                "channels": len(one.mean),
                "rank": one.rank,
                "variance_kept": one.kept,
                "probe_accuracy": probed[index],
                "accuracy": right,
            }
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["sender_layer", "rank"], ascending=[True, False], ignore_index=True)


def probe_accuracies(sender: TruncatedSender, train: DeviceImages, test: DeviceImages) -> list[float]:
    """Test accuracy of a linear probe on each truncation, with the features of `probes`."""
    last = sender.sender.shapes[len(sender.sender.layers) - 1]
    between = {index: Geometry.between(shape, last) for index, shape in sender.shapes.items()}

    def features(images: DeviceImages) -> Mapping[int, np.ndarray]:
        @torch.no_grad()
        def pooled(batch: slice) -> dict[int, np.ndarray]:
            sent = sender.representations(images.scaled(batch))
            return {index: probes.pooled(sent[index], geometry).cpu().numpy() for index, geometry in between.items()}

        parts = list(in_batches(pooled, len(images), EVALUATION_BATCH))
        return {index: np.concatenate([part[index] for part in parts]) for index in between}

    seen, unseen = features(train), features(test)
    labels = [images.labels.cpu().numpy() for images in (train, test)]
    return [accuracy(probes.fit(seen[index], labels[0]).predict(unseen[index]), labels[1]) for index in between]
