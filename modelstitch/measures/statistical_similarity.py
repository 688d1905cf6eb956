"""How similar two layers are by their representations of the same images alone, without a stitch.

It is measured for every sender layer and every receiver layer of a pair, so that it can be compared with the accuracy
of each cell (`analysis.agreement`). An index means little by itself, so each comes with the value it reaches when the
images are shuffled.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from modelstitch.analysis.agreement import CELL, INDICES
from modelstitch.config.measures import StatisticalSimilarity
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages, drawn
from modelstitch.errors import ModelstitchError
from modelstitch.hardware import enough_memory, in_batches, prepare
from modelstitch.measures.similarity_indices import calibrated, null_point, similarities
from modelstitch.networks.frozen import FrozenNetwork, freeze
from modelstitch.networks.network import Network
from modelstitch.networks.representations import Representation
from modelstitch.seeds import seed_of

BATCH = 100
FEWEST = 4  # images of an unbiased estimate
COLUMNS = (*CELL, "images", *(f"{name}{part}" for name in INDICES for part in ("", "_null", "_calibrated")))


@enough_memory("the networks' size")
@torch.no_grad()
def measure_pair(
    sender: Network,
    receiver: Network,
    dataset: Dataset,
    settings: StatisticalSimilarity,
    study_seed: int,
    precision: str = "float32",
    device: str = "cpu",
) -> pd.DataFrame:
    """Every index of every cell, one row per cell, with `COLUMNS`: plain, the 95 % point of the null, and calibrated.

    Images and their random orders are drawn once per study, so that an order holds for all layers of all pairs.

    Args:
        sender, receiver: the networks.
        dataset: the data set, whose test images are compared.
        settings: numbers of images, random orders and neighbours.
        study_seed: seed of the study.
        precision: precision of the networks, as a study names it.
        device: device that computes the representations.

    Raises:
        ModelstitchError: if there are too few images, or the device has too little memory.
    """
    prepare(device)
    images = DeviceImages(dataset, dataset.test, device)
    seed = (study_seed, "statistical_similarity")
    chosen = drawn(len(images), settings.images, seed_of(*seed))
    count = len(chosen)
    if count <= max(settings.neighbours, FEWEST - 1):
        raise ModelstitchError(
            f"measures.statistical_similarity: {count} test images are too few: expected more than "
            f"{settings.neighbours} neighbours, and at least {FEWEST}"
        )
    frozen = [freeze(network.with_images(images.images.shape[1:]), precision, device) for network in (sender, receiver)]
    shuffled = [drawn(count, count, seed_of(*seed, place)).numpy() for place in range(settings.permutations)]
    found = similarities(
        *(features(network, images, chosen) for network in frozen),
        np.stack([np.arange(count), *shuffled]),
        settings.neighbours,
    )
    rows = []
    for i, sent in enumerate(frozen[0].layers):
        for j, received in enumerate(frozen[1].layers):
            names = (sender.name, receiver.name, i, sent.name, j, received.name)
            row = dict(zip(CELL, names, strict=True)) | {"images": count}
            for name, values in found.items():
                own, null = values[0, i, j], null_point(values[1:, i, j])
                row |= {name: own, f"{name}_null": null, f"{name}_calibrated": calibrated(own, null)}
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def features(network: FrozenNetwork, images: DeviceImages, chosen: Tensor) -> list[np.ndarray]:
    """Features (N, D) of the chosen images, of each layer, float64."""

    def measure(batch: slice) -> list[np.ndarray]:
        values = network.representations(images.scaled(chosen[batch]))
        return [pooled(values[layer.index], layer.representation).cpu().numpy() for layer in network.layers]

    return [np.concatenate(parts) for parts in zip(*in_batches(measure, len(chosen), BATCH), strict=True)]


def pooled(values: Tensor, shape: Representation) -> Tensor:
    """Features (N, D), float64, of representations (N, *shape): the mean over the grid, and extra tokens.

    The authors of SVCCA compare grids of different sizes in this way (github.com/google/svcca, tutorial 2).
    """
    grid, extra = shape.split(values.double())
    means = grid.mean(dim=(2, 3))
    return means if extra is None else torch.cat((means, extra.flatten(1)), dim=1)
