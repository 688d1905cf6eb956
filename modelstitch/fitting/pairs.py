"""One ordered pair from two networks to its record: stitches made for an objective, evaluated on the whole test set."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modelstitch.config import Start, StitchSettings
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages
from modelstitch.engine import stitching
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.engine.stitching import StitchedPair
from modelstitch.fitting import similarity
from modelstitch.hardware import choose_precision, device_name, enough_memory, prepare
from modelstitch.networks.small_resnet import SmallResNet
from modelstitch.records import Column, predictions_dtype
from modelstitch.stitches.linear import geometries, to_tensors
from modelstitch.versions import installed_versions

FITS = {"task": stitching.fit, "similarity": similarity.fit}


@enough_memory("the batch of stitches.task or of stitches.similarity, or networks.width")
def train_pair(
    sender: SmallResNet,
    receiver: SmallResNet,
    dataset: Dataset,
    settings: StitchSettings,
    *,
    objective: str = "task",
    study_seed: int,
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
    start: Start | None = None,
    device: str = "cpu",
) -> tuple[list[Column], dict[str, Tensor], dict[str, Any]]:
    """Train and evaluate the stitches of an ordered pair's cells: `sender_layers` x `receiver_layers`.

    A cell depends on its own seed and on the pair's order of images only, not on which other cells are trained with it,
    nor on the order in which layers are named. Receiver layer -1 is its input, where the expected representation is the
    normalised image. Stitches for the task may have another `start` than their protocol's own.

    Returns:
        A column for each receiver layer, in ascending order, as are its sender layers; the stitches, as
        `stitches.to_tensors` names them; and what a record says of how they were made.

    Raises:
        ValueError: if a network's `about` lacks its id or its accuracy, or another objective than `task` has a `start`.
        ModelstitchError: if the device's memory can't hold a batch, or there are fewer training images than one.
    """
    if start is not None and objective != "task":
        raise ValueError(f"start {start!r}: only the objective task has one, not {objective}")
    for role, network in (("sender", sender), ("receiver", receiver)):
        if missing := [key for key in ("network", "accuracy") if key not in network.about]:
            raise ValueError(f"{role}.about lacks {', '.join(missing)}: expected what training or networks.load gives")
    begun, worked = time.monotonic(), time.process_time()
    dtype = choose_precision(settings.precision, device)
    prepare(device)
    names = (sender.about["network"], receiver.about["network"])
    train_images = DeviceImages(dataset, dataset.train, device, dtype)
    test_images = DeviceImages(dataset, dataset.test, device, dtype)
    frozen = FrozenNetwork(sender, dtype, device), FrozenNetwork(receiver, dtype, device)
    image = tuple(dataset.train.images.shape[1:])
    sender_shapes, receiver_shapes = (network.shapes(image) for network in frozen)
    shapes = geometries(sender_shapes, receiver_shapes, sender_layers, receiver_layers)
    train = FITS[objective] if start is None else partial(stitching.fit, start=start)
    fit = train(*frozen, shapes, train_images, settings, (study_seed, *names, objective), " → ".join(names))
    trained_seconds = time.monotonic() - begun
    test_loss, predictions = stitching.predict(StitchedPair(*frozen, fit.stitches), test_images)
    seconds = time.monotonic() - begun
    cells = list(fit.stitches)
    columns = []
    for j in sorted(set(receiver_layers)):
        rows = [place for place, (_, column_layer) in enumerate(cells) if column_layer == j]
        senders = tuple(cells[row][0] for row in rows)
        training = (fit.loss[:, rows].T, fit.accuracy[:, rows].T)
        columns.append(column(j, senders, *training, test_loss[rows], predictions[rows], dataset))
    attributes = {
        "objective": objective,
        "sender": names[0],
        "receiver": names[1],
        "sender_accuracy": sender.about["accuracy"],
        "receiver_accuracy": receiver.about["accuracy"],
        "dataset": dataset.name,
        "dataset_digest": dataset.digest,
        "settings": settings.model_dump(mode="json"),
        "seed": study_seed,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "precision": str(dtype).removeprefix("torch."),
        "train_images": fit.images,
        "seconds": round(seconds, 3),
        "processor_seconds": round(time.process_time() - worked, 3),
        "images_per_second": round(fit.images / trained_seconds, 3),
        "versions": installed_versions(),
    }
    return columns, to_tensors(fit.stitches), attributes


def column(
    receiver_layer: int,
    sender_layers: tuple[int, ...],
    train_loss: np.ndarray,
    train_accuracy: np.ndarray,
    test_loss: np.ndarray,
    predictions: np.ndarray,
    dataset: Dataset,
) -> Column:
    """The record of a receiver's layer; a cell whose loss stopped being finite counts as diverged, its accuracy NaN.

    Args:
        receiver_layer, sender_layers: of the column's cells.
        train_loss, train_accuracy: (cells, epochs).
        test_loss: (cells,).
        predictions: classes (cells, test images).
        dataset: whose test images were predicted.
    """
    correct = predictions == dataset.test.labels
    in_training = ~np.isfinite(train_loss).all(axis=1)
    in_evaluation = ~np.isfinite(test_loss)
    diverged = in_training | in_evaluation
    reasons = np.where(
        in_training, "the training loss is not finite", np.where(in_evaluation, "the test loss is not finite", "")
    )
    return Column(
        receiver_layer=receiver_layer,
        sender_layers=sender_layers,
        test_accuracy=np.where(diverged, np.nan, correct.mean(axis=1)),
        test_loss=np.where(diverged, np.nan, test_loss),
        train_accuracy=np.where(diverged[:, None], np.nan, train_accuracy),
        train_loss=train_loss,
        test_images=predictions.shape[1],
        predictions=predictions.astype(predictions_dtype(len(dataset.classes))),
        diverged=diverged,
        reason=tuple(reasons.tolist()),
    )
