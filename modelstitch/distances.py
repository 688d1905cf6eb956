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

from modelstitch.datasets import Dataset
from modelstitch.depth import corresponding
from modelstitch.frozen import FrozenNetwork
from modelstitch.images import DeviceImages
from modelstitch.networks import SmallResNet
from modelstitch.stitches import from_tensors

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


@torch.no_grad()
def measure_pair(
    sender: SmallResNet,
    receiver: SmallResNet,
    dataset: Dataset,
    vanilla: Mapping[str, Tensor],
    similar: Mapping[str, Tensor],
    device: str = "cpu",
) -> pd.DataFrame:
    """Distances of every cell over the whole test set, one row a cell, with `COLUMNS`.

    A distance is a mean over images, channels and pixels. `variance` is that of the expected representation about the
    mean of each channel: a stitch that gives nothing but its bias can have that much error. A cosine is the mean over
    images of that between two whole representations.

    Args:
        sender, receiver: the networks.
        dataset: whose test images are counted.
        vanilla, similar: the pair's stitches for `task` and for `similarity`, as `stitches.to_tensors` names them.
    """
    images = DeviceImages(dataset, dataset.test, device)
    frozen = FrozenNetwork(sender, device=device), FrozenNetwork(receiver, device=device)
    shapes = [network.shapes(tuple(dataset.test.images.shape[1:])) for network in frozen]
    cells = sorted({tuple(int(part) for part in name.split(".")[:2]) for name in vanilla})
    stitches = {
        kind: from_tensors(tensors, cells, *shapes, device)
        for kind, tensors in (("vanilla", vanilla), ("similar", similar))
    }
    squares, cosines = (dict.fromkeys(((name, *cell) for name in DISTANCES for cell in cells), 0.0) for _ in range(2))
    sums = {j: torch.zeros(2, shapes[1][j].channels, dtype=torch.float64, device=device) for _, j in cells}
    for batch, _ in images.in_order(BATCH):
        sender_maps, receiver_maps = (network.representations(batch) for network in frozen)
        for j, channels in sums.items():
            maps = receiver_maps[j].double()
            channels += torch.stack((maps.sum(dim=(0, 2, 3)), maps.square().sum(dim=(0, 2, 3))))
        for i, j in cells:
            expected = receiver_maps[j]
            found, similar_maps = (stitches[kind][i, j](sender_maps[i]) for kind in ("vanilla", "similar"))
            for name, one, other in (
                ("EV", expected, found),
                ("ES", expected, similar_maps),
                ("SV", similar_maps, found),
            ):
                squares[name, i, j] += (one - other).double().square().sum().item()
                similarity = torch.cosine_similarity(one.flatten(1).double(), other.flatten(1).double(), dim=1)
                cosines[name, i, j] += similarity.sum().item()
    rows = []
    for i, j in cells:
        pixels = len(images) * shapes[1][j].height * shapes[1][j].width
        total, square = sums[j] / pixels
        variance = (square - total.square()).mean().item()
        errors = [squares[name, i, j] / (pixels * shapes[1][j].channels) for name in DISTANCES]
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
                *(cosines[name, i, j] / len(images) for name in DISTANCES),
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def summarise(distances: pd.DataFrame) -> pd.DataFrame:
    """The paper's two tables: min, mean, max and standard deviation over cells, of each distance.

    One row for each of the cells that count (`corresponding` layers, or all), sender's and receiver's recipe, and
    distance, plain, over the expected representation's variance, and as a cosine. `published.beside_summary` has the
    paper's numbers.
    """
    recipes = {f"{role}_recipe": distances[role].str.split("_").str[1] for role in ("sender", "receiver")}
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
