"""A sender of noise, one cluster per class, stitched into a receiver: a control without a sender network.

Smith et al. (ICML 2025) stitched such noise into every cut of six receivers, and reached accuracies of 0.96 to 1.00.
The noise has nothing to do with what the receiver expects, but its clusters are easy to tell apart. A measure of
similarity that rates it as high as a network's representation is refuted. Theirs: a stitch of batch norm, 1 x 1
convolution and batch norm; 6,000 training and 1,000 test images per class; SGD (learning rate 0.0001, momentum 0.9,
weight decay 0.01, batch 128), 4 epochs. Here: a linear stitch without batch norm, the rest as the study's section says.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from modelstitch.config.measures import ClusteredNoise
from modelstitch.config.section import Augmentation
from modelstitch.config.stitches import REMAPPED, PaperStitches
from modelstitch.data.datasets import Dataset, Split
from modelstitch.data.images import DeviceImages
from modelstitch.engine.evaluation import predict
from modelstitch.engine.pair import StitchedPair
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.objectives import objective_of
from modelstitch.hardware import enough_memory, prepare
from modelstitch.networks.frozen import freeze
from modelstitch.networks.network import Network
from modelstitch.networks.representations import Representation
from modelstitch.seeds import seed_of
from modelstitch.stitches.geometry import Geometry

MOMENTUM, WEIGHT_DECAY = 0.9, 0.01
MEAN, DEVIATION = 0.5, 12**-0.5  # of the uniform distribution, by which noise is normalised: their first batch norm
COLUMNS = (
    "receiver",
    "receiver_layer",
    "receiver_layer_name",
    "receiver_layer_count",
    "sigma",
    "test_images",
    "accuracy",
    "remapped_accuracy",
    "excess_over_remapped",
)


class NoiseSender:
    """Replaces a frozen sender: it sees only the class of an image, and returns that class's tensor with noise.

    Every layer has one tensor per class, drawn from the uniform distribution over 0 .. 1. Each time, sigma times
    standard normal noise is added to it, and the sum is clipped to 0 .. 1.

    Args:
        shapes: shapes of its layers, which are numbered from 0.
        sigmas: sigma of each layer's noise.
        classes: number of classes.
        dtype, device: type and device of the representations.
        seed: seed of the tensors and of the noise.
    """

    def __init__(
        self,
        shapes: Mapping[int, Representation],
        sigmas: Mapping[int, float],
        classes: int,
        dtype: torch.dtype,
        device: str,
        seed: int,
    ) -> None:
        self.shapes, self.sigmas, self.dtype, self.device = shapes, sigmas, dtype, device
        self.generator = torch.Generator().manual_seed(seed)
        self.centres = {
            layer: torch.rand(classes, *representation.shape, generator=self.generator)
            for layer, representation in shapes.items()
        }

    def representations(self, images: Tensor, last: int | None = None) -> dict[int, Tensor]:
        """Representations (N, *shape) by layer, up to `last` (by default all), for images (N, 1, 1, 1) of their class.

        They are drawn on the CPU, so that each device sees the same noise.
        """
        classes = images.flatten().long().cpu()
        given = {}
        for layer, centres in self.centres.items():
            if last is None or layer <= last:
                noise = torch.randn(len(classes), *centres.shape[1:], generator=self.generator)
                values = torch.add(centres[classes], noise, alpha=self.sigmas[layer]).clamp_(0, 1)
                values = (values - MEAN) / DEVIATION
                given[layer] = values.to(device=self.device, dtype=self.dtype)
        return given


@enough_memory("measures.clustered_noise.batch or the networks' size")
def measure(
    network: Network,
    dataset: Dataset,
    settings: ClusteredNoise,
    study_seed: int,
    precision: str = "float32",
    device: str = "cpu",
) -> pd.DataFrame:
    """Stitch noise into each layer of a receiver, for its classes and for remapped ones: one row per layer and sigma.

    The stitches start at random and are trained by SGD, as in the protocol `paper`. The tensor of a class is no nearer
    to the receiver's representation of that class than any other tensor, so `excess_over_remapped` is expected to be 0.

    Args:
        network: the receiver.
        dataset: the data set, whose classes the receiver knows.
        settings: settings of the noise and of the training.
        study_seed: seed of the study.
        precision: precision of the receiver, as a study names it.
        device: where it runs.

    Returns:
        `COLUMNS`. `accuracy` and `remapped_accuracy` are NaN where a training diverged.

    Raises:
        ModelstitchError: if the data has one class, there are fewer training images than one batch, or the device has
            too little memory.
    """
    prepare(device)
    frozen = freeze(network.with_images(tuple(dataset.test.images.shape[1:])), precision, device)
    layers = range(len(frozen.layers))
    # One sender layer per sigma and receiver layer, so that one training has them all.
    sent = {k * len(layers) + j: (j, sigma) for k, sigma in enumerate(settings.sigmas) for j in layers}
    shapes = {i: frozen.shapes[j] for i, (j, _) in sent.items()}
    cells = sorted(((i, j) for i, (j, _) in sent.items()), key=lambda cell: (cell[1], cell[0]))
    geometries = {(i, j): Geometry.between(shapes[i], frozen.shapes[j]) for i, j in cells}
    seed = seed_of(study_seed, network.name, "clustered noise")
    train, test = (
        DeviceImages(dataset, of_every_class(len(dataset.classes), count), device)
        for count in (settings.train_images, settings.test_images)
    )
    found = {}
    for objective in ("task", REMAPPED):
        sigmas = {i: sigma for i, (_, sigma) in sent.items()}
        sender = NoiseSender(shapes, sigmas, len(dataset.classes), frozen.dtype, device, seed)
        names = (study_seed, "noise", network.name, objective)
        label = f"noise → {network.name} ({objective})"
        fit = objective_of(objective).fit(
            FitInputs(sender, frozen, geometries, train, training(settings), names, label)
        )
        predictions = predict(StitchedPair(sender, frozen, fit.stitches, fit.classes), test)
        right = predictions.accuracy(test.labels.cpu().numpy(), fit.loss)
        found[objective] = dict(zip(fit.stitches, right, strict=True))
    rows = [
        {
            "receiver": network.name,
            "receiver_layer": j,
            "receiver_layer_name": frozen.layers[j].name,
            "receiver_layer_count": len(layers),
            "sigma": sent[i][1],
            "test_images": len(test),
            "accuracy": found["task"][i, j],
            "remapped_accuracy": found[REMAPPED][i, j],
            "excess_over_remapped": found["task"][i, j] - found[REMAPPED][i, j],
        }
        for i, j in cells
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def of_every_class(classes: int, images: int) -> Split:
    """A number of images per class that hold nothing but the class's number: float32 (N, 1, 1, 1)."""
    labels = np.repeat(np.arange(classes), images)
    return Split(labels.astype(np.float32).reshape(-1, 1, 1, 1), labels)


def training(settings: ClusteredNoise) -> PaperStitches:
    """Settings of the stitches' training: a random start, SGD, and no augmentation."""
    return PaperStitches(
        protocol="paper",
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
        warmup_epochs=0,
        augmentation=Augmentation(flip=False, shift=0, cutout=0),
        precision="auto",
        sender_layers="all",
        receiver_layers="all",
        keep_stitches=False,
    )
