"""How far stitched representations are from the expected one, and from each other (arXiv 2303.11277).

EV is the mean squared error between the expected representation and the vanilla one (a stitch trained for the task),
ES between expected and similarity-trained, SV between similarity-trained and vanilla. The paper reads a small ES beside
a large EV as a sign that the stitch does not preserve the representation.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from modelstitch.analysis.depth import corresponding
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages
from modelstitch.hardware import enough_memory, in_batches, prepare
from modelstitch.identifiers import NetworkId
from modelstitch.networks.frozen import freeze
from modelstitch.networks.network import Network
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families import on_device
from modelstitch.stitches.geometry import Cell

BATCH = 100
DISTANCES = ("EV", "ES", "SV")
COLUMNS = (
    "sender",
    "receiver",
    "sender_layer",
    "sender_layer_name",
    "receiver_layer",
    "receiver_layer_name",
    "corresponding",
    "variance",
    *DISTANCES,
    *(f"{name}_over_variance" for name in DISTANCES),
    *(f"{name}_cosine" for name in DISTANCES),
)


@enough_memory("the networks' size")
@torch.no_grad()
def measure_pair(
    sender: Network,
    receiver: Network,
    dataset: Dataset,
    vanilla: Mapping[Cell, Any],
    similar: Mapping[Cell, Any],
    precision: str = "float32",
    device: str = "cpu",
) -> pd.DataFrame:
    """Distances of every cell over the whole test set, one row per cell, with `COLUMNS`.

    A distance is a mean over images, channels and places. `variance` is the variance of the expected representation
    about the mean of each channel, which is the error of the best constant stitch. A cosine is taken between two whole
    representations, and averaged over images.

    Args:
        sender, receiver: the networks.
        dataset: the data set, whose test images are used.
        vanilla, similar: the pair's stitches for `task` and for `similarity`, by cell.
        precision: precision of the stitches for `task`, as a study names it.
        device: device of the computation.

    Raises:
        ModelstitchError: if the device has too little memory.
    """
    prepare(device)
    image = tuple(dataset.test.images.shape[1:])
    images = DeviceImages(dataset, dataset.test, device)
    frozen = [freeze(network.with_images(image), precision, device) for network in (sender, receiver)]
    shapes = frozen[1].shapes
    vanilla, similar = (on_device(stitches, device) for stitches in (vanilla, similar))
    cells = sorted(vanilla)
    sums = {j: torch.zeros(2, shapes[j].channels, dtype=torch.float64, device=device) for _, j in cells}
    totals = torch.zeros(len(cells), 2, len(DISTANCES), dtype=torch.float64, device=device)

    def measure(batch: slice) -> tuple[dict[int, Tensor], Tensor]:
        inputs = images.scaled(batch)
        sent, received = (network.representations(inputs) for network in frozen)
        between = [
            sums_between(received[j], *(stitches[i, j](sent[i]) for stitches in (vanilla, similar))) for i, j in cells
        ]
        return {j: moments(received[j], shapes[j]) for j in sums}, torch.stack(between)

    for channels, between in in_batches(measure, len(images), BATCH):
        for j in sums:
            sums[j] += channels[j]
        totals += between
    rows = []
    for (i, j), (squares, cosines) in zip(cells, totals.tolist(), strict=True):
        places = len(images) * shapes[j].size // shapes[j].channels
        total, square = sums[j] / places
        variance = (square - total.square()).mean().item()
        row = {
            "sender": sender.name,
            "receiver": receiver.name,
            "sender_layer": i,
            "sender_layer_name": frozen[0].layers[i].name,
            "receiver_layer": j,
            "receiver_layer_name": frozen[1].layers[j].name,
            "corresponding": corresponding(i, len(frozen[0].layers), len(frozen[1].layers)) == j,
            "variance": variance,
        }
        for name, squared, cosine in zip(DISTANCES, squares, cosines, strict=True):
            error = squared / (places * shapes[j].channels)
            row[name] = error
            row[f"{name}_over_variance"] = error / variance if variance else np.nan
            row[f"{name}_cosine"] = cosine / len(images)
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def moments(values: Tensor, shape: Representation) -> Tensor:
    """Sum and sum of squares of each channel's values: float64 (2, C), of representations (N, *shape)."""
    values = values.double()
    return torch.stack((shape.channel_sums(values), shape.channel_sums(values.square())))


def sums_between(expected: Tensor, vanilla: Tensor, similar: Tensor) -> Tensor:
    """Squared errors and cosines of representations (N, *shape), summed over images: float64 (2, `DISTANCES`)."""
    pairs = ((expected, vanilla), (expected, similar), (similar, vanilla))
    squares = [(one - other).double().square().sum() for one, other in pairs]
    cosines = [torch.cosine_similarity(*(values.flatten(1).double() for values in pair)).sum() for pair in pairs]
    return torch.stack([torch.stack(squares), torch.stack(cosines)])


def summarise(distances: pd.DataFrame) -> pd.DataFrame:
    """The paper's two tables: min, mean, max and standard deviation over cells, of each distance.

    There is one row for each choice of cells (`corresponding` layers, or all), two recipes, and distance: plain,
    divided by the variance of the expected representation, and as a cosine. `published.beside_summary` adds the paper's
    numbers.
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
                    rows.append(
                        {
                            "stitches": stitches,
                            "sender_recipe": sender,
                            "receiver_recipe": receiver,
                            "distance": column,
                            "min": values.min(),
                            "mean": values.mean(),
                            "max": values.max(),
                            "std": values.std(ddof=0),
                            "cells": len(values),
                        }
                    )
    return pd.DataFrame(rows)
