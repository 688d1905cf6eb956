"""How far stitched representations are from the expected one, and from each other (arXiv 2303.11277).

EV is the mean squared error between the expected representation and the vanilla one (a stitch trained for the task),
ES between expected and similarity-trained, SV between similarity-trained and vanilla. The paper reads a small ES beside
a large EV as a sign that the stitch does not preserve the representation.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from modelstitch.analysis.depth import corresponding
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.hardware import choose_precision, enough_memory, in_batches, prepare
from modelstitch.identifiers import NetworkId
from modelstitch.networks.small_resnet import SmallResNet
from modelstitch.stitches.linear import from_tensors

BATCH = 100
DISTANCES = ("EV", "ES", "SV")
COLUMNS = (
    "sender",
    "receiver",
    "sender_layer",
    "receiver_layer",
    "corresponding",
    "variance",
    *DISTANCES,
    *(f"{name}_over_variance" for name in DISTANCES),
    *(f"{name}_cosine" for name in DISTANCES),
)


@enough_memory("networks.width")
@torch.no_grad()
def measure_pair(
    sender: SmallResNet,
    receiver: SmallResNet,
    dataset: Dataset,
    vanilla: Mapping[str, Tensor],
    similar: Mapping[str, Tensor],
    device: str = "cpu",
    precision: str = "float32",
) -> pd.DataFrame:
    """Distances of every cell over the whole test set, one row a cell, with `COLUMNS`.

    A distance is a mean over images, channels and pixels. `variance` is that of the expected representation about the
    mean of each channel: a stitch that gives nothing but its bias can have that much error. A cosine is the mean over
    images of that between two whole representations.

    Args:
        sender, receiver: the networks.
        dataset: whose test images are counted.
        vanilla, similar: the pair's stitches for `task` and for `similarity`, as `stitches.to_tensors` names them.
        precision: that of the stitches for `task`, as a study names it.

    Raises:
        ModelstitchError: if the device has too little memory.
    """
    prepare(device)
    dtype = choose_precision(precision, device)
    images = DeviceImages(dataset, dataset.test, device, dtype)
    frozen = FrozenNetwork(sender, dtype, device), FrozenNetwork(receiver, dtype, device)
    shapes = [network.shapes(tuple(dataset.test.images.shape[1:])) for network in frozen]
    cells = sorted({tuple(int(part) for part in name.split(".")[:2]) for name in vanilla})
    stitches = {
        kind: from_tensors(tensors, cells, *shapes, device)
        for kind, tensors in (("vanilla", vanilla), ("similar", similar))
    }
    sums = {j: torch.zeros(2, shapes[1][j].channels, dtype=torch.float64, device=device) for _, j in cells}
    totals = torch.zeros(len(cells), 2, len(DISTANCES), dtype=torch.float64, device=device)

    def measure(batch: slice) -> tuple[dict[int, Tensor], Tensor]:
        inputs = images.normalised(batch).to(dtype)
        sender_maps, receiver_maps = (network.representations(inputs) for network in frozen)
        between = [
            sums_between(receiver_maps[j], *(stitches[kind][i, j](sender_maps[i]) for kind in ("vanilla", "similar")))
            for i, j in cells
        ]
        return {j: moments(receiver_maps[j]) for j in sums}, torch.stack(between)

    for channels, between in in_batches(measure, len(images), BATCH):
        for j in sums:
            sums[j] += channels[j]
        totals += between
    rows = []
    for (i, j), (squares, cosines) in zip(cells, totals.tolist(), strict=True):
        pixels = len(images) * shapes[1][j].height * shapes[1][j].width
        total, square = sums[j] / pixels
        variance = (square - total.square()).mean().item()
        errors = [error / (pixels * shapes[1][j].channels) for error in squares]
        rows.append(
            (
                sender.about["network"],
                receiver.about["network"],
                i,
                j,
                corresponding(i, len(sender.layers), len(receiver.layers)) == j,
                variance,
                *errors,
                *(error / variance if variance else np.nan for error in errors),
                *(cosine / len(images) for cosine in cosines),
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def moments(maps: Tensor) -> Tensor:
    """Sum and sum of squares of each channel's values: float64 (2, C), of maps (N, C, H, W)."""
    values = maps.double()
    return torch.stack((values.sum(dim=(0, 2, 3)), values.square().sum(dim=(0, 2, 3))))


def sums_between(expected: Tensor, vanilla: Tensor, similar: Tensor) -> Tensor:
    """Squared errors and cosines of maps (N, C, H, W), summed over images: float64 (2, `DISTANCES`)."""
    pairs = ((expected, vanilla), (expected, similar), (similar, vanilla))
    squares = [(one - other).double().square().sum() for one, other in pairs]
    cosines = [torch.cosine_similarity(*(maps.flatten(1).double() for maps in pair)).sum() for pair in pairs]
    return torch.stack([torch.stack(squares), torch.stack(cosines)])


def summarise(distances: pd.DataFrame) -> pd.DataFrame:
    """The paper's two tables: min, mean, max and standard deviation over cells, of each distance.

    One row for each of the cells that count (`corresponding` layers, or all), sender's and receiver's recipe, and
    distance, plain, over the expected representation's variance, and as a cosine. `published.beside_summary` has the
    paper's numbers.
    """
    recipes = {
        f"{role}_recipe": [NetworkId.parse(name).recipe for name in distances[role]] for role in ("sender", "receiver")
    }
    table = distances.assign(**recipes)
    rows = []
    for stitches, chosen in (("corresponding", table[table["corresponding"]]), ("all", table)):
        for (sender, receiver), group in chosen.groupby(["sender_recipe", "receiver_recipe"], sort=False):
            for name in DISTANCES:
                for column in (name, f"{name}_over_variance", f"{name}_cosine"):
                    values = group[column]
                    numbers = (values.min(), values.mean(), values.max(), values.std(ddof=0), len(values))
                    rows.append((stitches, sender, receiver, column, *numbers))
    columns = ("stitches", "sender_recipe", "receiver_recipe", "distance", "min", "mean", "max", "std", "cells")
    return pd.DataFrame(rows, columns=columns)
