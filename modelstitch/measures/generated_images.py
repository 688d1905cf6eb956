"""Images from stitches into the receiver's input: what a sender's layer still holds of an image.

A stitch to layer -1 turns every representation into an image. Trained for `similarity`, it reconstructs the original by
the best linear map (the linear case of arXiv 1506.02753). Trained for `task`, it makes images that the whole receiver
classifies correctly. The engine passes the stitch's output to the receiver as it is; here it becomes an image first,
with 256 values per channel, as in a file.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from modelstitch.accuracy import correct
from modelstitch.data.datasets import Dataset, Split
from modelstitch.data.images import DeviceImages
from modelstitch.hardware import enough_memory, in_batches, prepare
from modelstitch.identifiers import NetworkId
from modelstitch.networks.frozen import FrozenNetwork, freeze
from modelstitch.networks.network import INPUT, Network
from modelstitch.records import PairRecord
from modelstitch.records.images import Shown
from modelstitch.stitches.families import on_device
from modelstitch.stitches.geometry import Cell

BATCH = 100
METRICS = ("psnr", "ssim", "read_by_receiver", "agreement", "read_by_sender", "clipped", "read_unclipped")
COLUMNS = (
    "objective",
    "sender",
    "receiver",
    "sender_recipe",
    "receiver_recipe",
    "sender_layer",
    "sender_layer_name",
    "sender_layer_count",
    *METRICS,
    "receiver_accuracy",
    "sender_accuracy",
    "images",
    "test_images",
)
# The published index: a Gaussian window of 11 x 11 pixels (Wang et al. 2004, doi 10.1109/TIP.2003.819861).
SSIM_WINDOW = 11
SSIM = {"data_range": 255, "channel_axis": 0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


@enough_memory("the networks' size")
@torch.no_grad()
def measure_pair(
    sender: Network,
    receiver: Network,
    dataset: Dataset,
    stitches: Mapping[Cell, Any],
    record: PairRecord,
    images: int,
    shown: int,
    precision: str = "float32",
    device: str = "cpu",
) -> tuple[pd.DataFrame, Shown]:
    """How close generated images are to the originals, and how both networks classify them: one row per sender layer.

    Args:
        sender, receiver: the networks.
        dataset: the data set; the sender sees all its test images.
        stitches: the pair's stitches into the receiver's input, by cell.
        record: the record of these stitches.
        images: number of test images, the first ones, over which PSNR and SSIM are averaged.
        shown: number of generated images to return, chosen by `choose`.
        precision: precision of the stitches, as a study names it.
        device: device of the computation.

    Returns:
        A table with `COLUMNS`, NaN where a stitch diverged; and the images for the figures. An original is the
        receiver's input before its normalisation.

    Raises:
        ModelstitchError: if the device has too little memory.
    """
    prepare(device)
    (column,) = record.columns
    layers, image = column.sender_layers, tuple(dataset.test.images.shape[1:])
    test = DeviceImages(dataset, dataset.test, device)
    frozen, reader = (freeze(network.with_images(image), precision, device) for network in (sender, receiver))
    stitches = on_device(stitches, device)
    chosen = choose(dataset.test, shown)
    shape = reader.shapes[INPUT].shape
    originals = np.empty((len(chosen), *shape), np.uint8)
    generated = np.empty((len(layers), len(chosen), *shape), np.uint8)

    def measure(batch: slice) -> tuple[np.ndarray, np.ndarray]:
        likeness, counts = np.empty((len(layers), 2)), np.empty((len(layers), 4), np.int64)
        inputs, labels = test.scaled(batch), test.labels[batch]
        sent, prepared = frozen.representations(inputs, max(layers)), reader.prepared(inputs)
        original_classes = reader.suffix(INPUT, prepared).argmax(dim=1)
        given = as_bytes(reader.source.restored(prepared) * 255).cpu().numpy()
        places = np.flatnonzero((chosen >= batch.start) & (chosen < batch.stop))
        originals[places] = given[chosen[places] - batch.start]
        counted = given[: max(0, min(batch.stop, images) - batch.start)]
        for row, i in enumerate(layers):
            pixels = reader.source.restored(stitches[i, INPUT](sent[i])) * 255
            files = as_bytes(pixels)
            read, by_sender = (classes_of(network, files / 255) for network in (reader, frozen))
            changed = (pixels < -0.5) | (pixels > 255.5)
            hits = (correct(read, labels), read == original_classes, correct(by_sender, labels), changed)
            counts[row] = [hit.sum().item() for hit in hits]
            written = files.cpu().numpy()
            likeness[row] = compare(counted, written[: len(counted)])
            generated[row, places] = written[chosen[places] - batch.start]
        return likeness, counts

    likeness, counts = (sum(parts) for parts in zip(*in_batches(measure, len(test), BATCH), strict=True))
    shares = counts / (len(test), len(test), len(test), len(test) * reader.shapes[INPUT].size)
    numbers = np.column_stack((likeness / min(images, len(test)), shares, column.test_accuracy))
    numbers[np.isnan(column.test_accuracy)] = np.nan
    names = ("objective", "sender", "receiver", "receiver_accuracy", "sender_accuracy")
    known = {name: record.attributes[name] for name in names}
    totals = {"images": min(images, len(test)), "test_images": len(test)}
    table = pd.DataFrame(numbers, columns=METRICS).assign(sender_layer=layers, **known, **totals)
    recipes = {f"{role}_recipe": NetworkId.parse(known[role]).recipe for role in ("sender", "receiver")}
    named = {"sender_layer_name": list(map(record.sender.name, layers)), "sender_layer_count": len(record.sender)}
    table = table.assign(**recipes, **named)
    pair = known["objective"], known["sender"], known["receiver"]
    return table[list(COLUMNS)], Shown(pair, layers, originals, generated)


def classes_of(network: FrozenNetwork, images: Tensor) -> Tensor:
    """Classes (N,) that a network predicts for images (N, C, H, W) from 0 to 1, in grey if it takes one channel."""
    channels = network.shapes[INPUT].channels
    if channels == 1 < images.shape[1]:
        images = images.mean(dim=1, keepdim=True)
    return network(images).argmax(dim=1)


def as_bytes(pixels: Tensor) -> Tensor:
    """Pixels on a scale of 0 to 255, clipped and rounded to uint8 as in an image file."""
    return pixels.nan_to_num().clamp(0, 255).round().to(torch.uint8)


def compare(originals: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """PSNR (dB) and SSIM between images, uint8 (N, C, H, W), summed over the images.

    PSNR is infinite where an image is reproduced exactly; SSIM is NaN for images smaller than its window.
    """
    pairs = list(zip(originals, generated, strict=True))
    with np.errstate(divide="ignore"):
        psnr = sum(peak_signal_noise_ratio(*pair, data_range=255) for pair in pairs)
    if min(originals.shape[2:]) < SSIM_WINDOW:
        return np.array([psnr, np.nan])
    return np.array([psnr, sum(structural_similarity(*pair, **SSIM) for pair in pairs)])


def choose(test: Split, count: int) -> np.ndarray:
    """Indices of `count` images: the first of each class, then the second of each, and so on."""
    turn = pd.Series(test.labels).groupby(test.labels).cumcount()
    return np.lexsort((test.labels, turn))[:count]
