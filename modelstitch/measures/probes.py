"""Linear probes: how much of the classes can be read from each layer of a sender, without a receiver.

Alain and Bengio, "Understanding intermediate layers using linear classifier probes" (arXiv 1610.01644). A receiver's
last layer is followed by pooling and a linear head. With a stitch to it the logits are therefore linear in the mean
patches of the sender: the last column of a matrix is a linear probe, of the rank of the head's weight. The probes here
are trained without a receiver, so that the two can be compared.
"""

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from modelstitch.accuracy import accuracy
from modelstitch.data.datasets import Dataset, Split
from modelstitch.data.images import EVALUATION_BATCH, DeviceImages, drawn
from modelstitch.errors import ModelstitchError
from modelstitch.hardware import enough_memory, in_batches, prepare
from modelstitch.networks.frozen import FrozenNetwork, freeze
from modelstitch.networks.network import Network
from modelstitch.seeds import seed_of
from modelstitch.stitches.assembly import patches, resized
from modelstitch.stitches.geometry import Geometry

# scikit-learn's C: log losses, summed over images, against half the squared weights. Of 0.001, 0.01, 0.1 and 1, test
# accuracy was best with 0.01 or 0.1 on CIFAR-10 (10,000 images, R1112 of width 8) and with 1 on all the digits
# (R1111 of width 4). In each layer 0.1 came within 0.01 of the best on CIFAR-10, and within 0.03 on the digits.
INVERSE_PENALTY = 0.1
STEPS = 1000  # of L-BFGS at most; 50 to 330 were needed there
COLUMNS = ("network", "layer", "layer_name", "features", "train_images", "train_accuracy", "test_images", "accuracy")
KEYS = ("sender", "receiver", "sender_layer")
COMPARED = (*KEYS, "sender_layer_name", "probe_accuracy", "last_column_accuracy", "difference")


@enough_memory("the networks' size")
def measure(
    network: Network,
    dataset: Dataset,
    images: int,
    seed: int,
    precision: str = "float32",
    device: str = "cpu",
) -> pd.DataFrame:
    """Train a probe on each layer: one row per layer with `COLUMNS`; `accuracy` is on the whole test set.

    Args:
        network: the sender.
        dataset: the images.
        images: training images of a probe, at most all. Their choice depends on the seed alone, so that all networks of
            a study have the same ones.
        seed: seed of the study.
        precision: precision of the stitches that probes are compared with, as a study names it.
        device: device that computes the layers.

    Raises:
        ModelstitchError: if the images are of one class only, or the device has too little memory.
    """
    prepare(device)
    chosen = drawn(len(dataset.train.labels), images, seed_of(seed, "probes")).numpy()
    train, test = Split(dataset.train.images[chosen], dataset.train.labels[chosen]), dataset.test
    if len(np.unique(train.labels)) < 2:
        raise ModelstitchError(f"measures.probes.images: {images} are of one class only: expected more")
    frozen = freeze(network.with_images(tuple(test.images.shape[1:])), precision, device)
    train_features, test_features = (features(frozen, DeviceImages(dataset, split, device)) for split in (train, test))
    rows = []
    for layer, values in train_features.items():
        probe = fit(values, train.labels)
        rows.append(
            {
                "network": network.name,
                "layer": layer,
                "layer_name": frozen.layers[layer].name,
                "features": values.shape[1],
                "train_images": len(values),
                "train_accuracy": accuracy(probe.predict(values), train.labels),
                "test_images": len(test.labels),
                "accuracy": accuracy(probe.predict(test_features[layer]), test.labels),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def features(network: FrozenNetwork, images: DeviceImages) -> dict[int, np.ndarray]:
    """Features of each layer as a stitch to the last layer sees them, pooled: mean patches (N, k * k * C), float32.

    The layer's grid is k times larger than that of the last layer. Extra tokens are appended.
    """
    last = len(network.layers) - 1
    between = {layer: Geometry.between(network.shapes[layer], network.shapes[last]) for layer in range(last + 1)}

    def means(batch: slice) -> dict[int, np.ndarray]:
        values = network.representations(images.scaled(batch))
        return {layer: pooled(values[layer], geometry).cpu().numpy() for layer, geometry in between.items()}

    parts = list(in_batches(means, len(images), EVALUATION_BATCH))
    return {layer: np.concatenate([part[layer] for part in parts]) for layer in between}


def pooled(values: Tensor, geometry: Geometry) -> Tensor:
    """The mean patch of each image's representation (N, *source.shape), and its extra tokens: (N, D), float32."""
    grid, extra = geometry.source.split(values)
    if geometry.resize is not None:
        grid = resized(grid, geometry.resize)
    mean = patches(grid, geometry.kernel).float().mean(dim=(1, 2))
    return mean if extra is None else torch.cat((mean, extra.flatten(1).float()), dim=1)


def fit(values: np.ndarray, labels: np.ndarray) -> Pipeline:
    """Multinomial logistic regression on standardised features (N, D), by L-BFGS."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=STEPS)).fit(values, labels)


def compare(probes: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Compare the probe of each sender layer with the stitch for the task to the receiver's last layer.

    `difference` is the stitch's accuracy less the probe's, both on the whole test set.

    Returns:
        `COMPARED`, one row for each ordered pair and sender layer; NaN if the study lacks the stitch.
    """
    names = {
        "network": "sender",
        "layer": "sender_layer",
        "layer_name": "sender_layer_name",
        "accuracy": "probe_accuracy",
    }
    column = cells[(cells.objective == "task") & (cells.receiver_layer == cells.receiver_layer_count - 1)]
    table = (
        cells[["sender", "receiver"]]
        .drop_duplicates()
        .merge(probes.rename(columns=names))
        .merge(
            column.rename(columns={"accuracy": "last_column_accuracy"})[[*KEYS, "last_column_accuracy"]],
            how="left",
        )
    )
    return table.assign(difference=table.last_column_accuracy - table.probe_accuracy)[list(COMPARED)]
