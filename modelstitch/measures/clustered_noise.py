"""A sender that is noise, one cluster per class, stitched into a receiver: a control that no network stands behind.

Smith et al. (ICML 2025) stitched such noise into every cut of six receivers for accuracies of 0.96 to 1.00: what the
sender gives has nothing to do with what the receiver expects, but its clusters are told apart with ease. A measure of
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
    """Stands in for a frozen sender: of an image it sees the class alone, and gives that class's tensor with noise.

    Every layer has one tensor per class, drawn from the uniform distribution over 0 .. 1. What it gives is this, plus
    sigma times standard normal noise, drawn anew each time, clipped to 0 .. 1.

    Args:
        shapes: of its layers, which are numbered from 0.
        sigmas: of each layer's noise.
        classes: how many.
        dtype, device: of what it gives.
        seed: of tensors and noise.
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
        """Of images (N, 1, 1, 1) that hold their class: (N, *shape) by layer, up to `last`, by default all.

        Drawn on the CPU, so that each device sees the same.
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

    The stitches start at random and are trained by SGD, as by the protocol `paper`. No class's tensor is nearer to what
    the receiver makes of that class than another's, so `excess_over_remapped` is expected to be 0.

    Args:
        network: the receiver.
        dataset: whose classes the receiver tells.
        settings: of the noise and of the training.
        study_seed: of the study.
        precision: of the receiver, as a study names it.
        device: where it runs.

    Returns:
        `COLUMNS`. `accuracy` and `remapped_accuracy` are NaN where a training left the finite numbers.

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
    """So many images of each class that hold nothing but its number: float32 (N, 1, 1, 1)."""
    labels = np.repeat(np.arange(classes), images)
    return Split(labels.astype(np.float32).reshape(-1, 1, 1, 1), labels)


def training(settings: ClusteredNoise) -> PaperStitches:
    """How the stitches are trained: from a random start, by SGD, on noise as it is."""
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
