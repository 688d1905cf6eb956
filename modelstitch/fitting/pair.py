"""From an ordered pair of networks to its record: makes its stitches for an objective, and tests them."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from modelstitch.accuracy import accuracy
from modelstitch.config.stitches import IMAGE, StitchSettings
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages
from modelstitch.engine.evaluation import predict
from modelstitch.engine.pair import StitchedPair
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.beginning import Fit
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.objectives import objective_of
from modelstitch.hardware import choose_precision, device_name, enough_memory, prepare
from modelstitch.networks.evaluation import predict as predict_alone
from modelstitch.networks.frozen import freeze
from modelstitch.networks.network import INPUT, Network
from modelstitch.records import Column, Layers, PairRecord, predictions_dtype
from modelstitch.stitches.families import geometry_of, on_device
from modelstitch.stitches.geometry import Cell, geometries
from modelstitch.versions import installed_versions


class StitchedPairResult(NamedTuple):
    """The record of a pair, and its trained stitches by cell."""

    record: PairRecord
    stitches: dict[Cell, Any]


@enough_memory("the batch of stitches.task or of stitches.similarity, or the networks' size")
def train_pair(
    sender: Network,
    receiver: Network,
    dataset: Dataset,
    settings: StitchSettings,
    *,
    objective: str = "task",
    study: str = "",
    study_seed: int,
    sender_layers: Sequence[int] | None = None,
    receiver_layers: Sequence[int] | None = None,
    device: str = "cpu",
) -> StitchedPairResult:
    """Train and test the stitches of the cells `sender_layers` x `receiver_layers` of an ordered pair, by default all.

    A cell's result depends on its own seed and on the pair's order of images, but not on the other cells that are
    trained with it, nor on the order in which layers are named. Layer -1 is a network's input, the prepared image; it
    is the only sender layer of the objective `image`.

    Raises:
        ModelstitchError: if a network does not accept such images or does not have the layers, the device has too
            little memory for a batch, or there are fewer training images than one batch.
    """
    begun, worked = time.monotonic(), time.process_time()
    prepare(device, choose_precision(settings.precision, device))
    image = tuple(dataset.train.images.shape[1:])
    sender, receiver = sender.with_images(image), receiver.with_images(image)
    train_images, test_images = (DeviceImages(dataset, split, device) for split in (dataset.train, dataset.test))
    frozen = [freeze(network, settings.precision, device) for network in (sender, receiver)]
    rows = _chosen(sender, [INPUT] if objective == IMAGE else sender_layers)
    columns = _chosen(receiver, receiver_layers)
    shapes = geometries(frozen[0].shapes, frozen[1].shapes, rows, columns, geometry_of(settings.family))
    names = (sender.name, receiver.name)
    precision = str(frozen[0].dtype).removeprefix("torch.")
    seed = (study_seed, *names, objective)
    fit = objective_of(objective).fit(FitInputs(*frozen, shapes, train_images, settings, seed, " → ".join(names)))
    trained_seconds = time.monotonic() - begun
    own = predict_alone(frozen[1], test_images).argmax(dim=1).cpu().numpy()
    seen = fit.test_images(test_images) if fit.test_images else test_images
    predictions = predict(StitchedPair(*frozen, fit.stitches, fit.classes), seen)
    seconds = time.monotonic() - begun
    attributes = {
        "study": study,
        "objective": objective,
        "sender": names[0],
        "receiver": names[1],
        "sender_accuracy": sender.accuracy_in(precision),
        "receiver_accuracy": receiver.accuracy_in(precision),
        "sender_digest": sender.digest,
        "receiver_digest": receiver.digest,
        "dataset": dataset.name,
        "dataset_digest": dataset.digest,
        "settings": settings.plain(),
        "seed": study_seed,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "train_images": fit.images,
        "seconds": round(seconds, 3),
        "processor_seconds": round(time.process_time() - worked, 3),
        "images_per_second": round(fit.images / trained_seconds, 3),
        "versions": installed_versions(),
    }
    made = tuple(column(j, fit, predictions.loss, predictions.classes, own, dataset) for j in columns)
    record = PairRecord(attributes, layers_of(sender), layers_of(receiver), made)
    return StitchedPairResult(record, on_device(fit.stitches, "cpu"))


def _chosen(network: Network, layers: Sequence[int] | None) -> list[int]:
    """The chosen layers in ascending order, each once; None: all layers.

    Raises:
        ModelstitchError: if the network does not have one of them.
    """
    known = range(INPUT, len(network.layers))
    if layers is None:
        return list(known)[1:]
    for layer in layers:
        if layer not in known:
            raise ModelstitchError(
                f"{network.name} has no layer {layer}: it has {len(network.layers)}, 0 to {known[-1]}"
            )
    return sorted(set(layers))


def layers_of(network: Network) -> Layers:
    """What a record keeps of a network's layers."""
    representations = [layer.representation for layer in network.layers]
    return Layers(
        names=tuple(layer.name for layer in network.layers),
        layouts=tuple(one.layout for one in representations),
        shapes=np.array([(one.channels, one.height, one.width, one.extra) for one in representations], np.int64),
        operations=np.cumsum(network.operations, dtype=np.int64)[:-1],
        total_operations=sum(network.operations),
    )


def column(
    receiver_layer: int, fit: Fit, test_loss: np.ndarray, classes: np.ndarray, own: np.ndarray, dataset: Dataset
) -> Column:
    """The column of a receiver layer. A cell with a loss that is not finite has diverged, and its accuracy is NaN.

    Args:
        receiver_layer: the receiver layer of the column.
        fit: the stitches of all cells, with their losses and accuracies in training.
        test_loss, classes: mean test loss (cells,) and predicted classes (cells, test images), in the order of the
            fit's stitches.
        own: the classes that the receiver itself predicts, (test images,).
        dataset: the data set of the test images.
    """
    rows = [row for row, (_, j) in enumerate(fit.stitches) if j == receiver_layer]
    cells = list(fit.stitches)
    train_loss, train_accuracy, test_loss = fit.loss[:, rows].T, fit.accuracy[:, rows].T, test_loss[rows]
    in_training, in_evaluation = ~np.isfinite(train_loss).all(axis=1), ~np.isfinite(test_loss)
    diverged = in_training | in_evaluation
    reasons = np.where(
        in_training, "the training loss is not finite", np.where(in_evaluation, "the test loss is not finite", "")
    )
    return Column(
        receiver_layer=receiver_layer,
        sender_layers=tuple(cells[row][0] for row in rows),
        test_images=classes.shape[1],
        test_accuracy=np.where(diverged, np.nan, accuracy(classes[rows], dataset.test.labels)),
        test_loss=np.where(diverged, np.nan, test_loss),
        agreement=np.where(diverged, np.nan, accuracy(classes[rows], own)),
        train_accuracy=np.where(diverged[:, None], np.nan, train_accuracy),
        train_loss=train_loss,
        predictions=classes[rows].astype(predictions_dtype(len(dataset.classes))),
        diverged=diverged,
        reason=tuple(reasons.tolist()),
    )
