"""Stitch two networks of your own in one call."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from modelstitch import hardware
from modelstitch.config.defaults import default_settings
from modelstitch.config.messages import nearest
from modelstitch.data.arrays import dataset_of
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.pair import train_pair
from modelstitch.networks.evaluation import evaluate
from modelstitch.networks.frozen import freeze
from modelstitch.networks.network import Network
from modelstitch.networks.pretrained import check_classes
from modelstitch.public.result import Result

Layers = Sequence[int | str] | None


def stitch(
    sender: Network | nn.Module,
    receiver: Network | nn.Module,
    *,
    train: Any,
    test: Any,
    objective: str = "task",
    protocol: str | None = None,
    layers: tuple[Layers, Layers] | None = None,
    device: str = "auto",
    seed: int = 0,
    **settings: Any,
) -> Result:
    """Stitch every layer of a sender to every layer of a receiver, and measure how accurate the whole is.

    The stitched network is the receiver's suffix after layer j, on the stitch, on the sender's prefix up to layer i.
    Only the stitches are trained; both networks stay as they are (arXiv 2303.11277).

    Args:
        sender, receiver: networks, or modules from images (N, C, H, W) to logits (N, classes).
        train, test: (images, labels) as arrays or tensors, or a Dataset or DataLoader of torch. Images (N, C, H, W) or
            (N, H, W, C) are bytes, which are scaled to 0 to 1, or floating-point numbers, which are taken as they are.
            Then each network's own mean and deviation are applied, if it has them.
        objective: `task`, cross-entropy through the receiver; `similarity`, squared error to the output of the
            receiver's layer; or `soft`, `functional`, `penultimate` (docs/configuration.md). Controls of the task are
            `remapped`, on labels whose classes are exchanged, `deranged`, on labels of other images, `image`, from the
            image itself, and `marked`, on images with a dot whose hue is the class.
        protocol: `least-squares`, `paper` or `adam` for similarity, `fast`, `paper` or `adam` for all others.
        layers: the sender's and the receiver's layers, each a list of indices or names, or None for all.
        device: `auto`, `cpu` or `cuda`.
        seed: of the random start of the stitches and of the order of the images.
        settings: keys of a study's objective that replace those of the default study: `epochs=0.5`, `batch=64`. The
            default is one epoch of images that are shifted by up to 2 pixels and lose a square of 4 x 4 pixels.
            `augmentation={"flip": False, "shift": 0, "cutout": 0}` leaves the images as they are.

    Returns:
        A `Result`: accuracies by layer name, predictions, intervals, the triangle, a figure.

    Raises:
        ModelstitchError: if a network cannot be cut or does not take these images, if data or settings are invalid, or
            if memory does not suffice.
    """
    chosen = default_settings(objective, protocol, settings)
    device = hardware.choose_device(device)
    dataset = dataset_of(train, test)
    image = tuple(dataset.train.images.shape[1:])
    networks = [(one if isinstance(one, Network) else Network(one)).with_images(image) for one in (sender, receiver)]
    dataset = _with_classes(dataset, networks)
    test_images = DeviceImages(dataset, dataset.test, device)
    measured = [_measured(network, chosen.precision, test_images) for network in networks]
    if not (layers is None or (isinstance(layers, (tuple, list)) and len(layers) == 2)):
        raise ModelstitchError(f"layers: {layers!r}: expected the sender's and the receiver's: ([0, 2], None)")
    rows, columns = (_indices(*each) for each in zip(measured, layers or (None, None), strict=True))
    result = train_pair(
        *measured,
        dataset,
        chosen,
        objective=objective,
        study_seed=seed,
        sender_layers=rows,
        receiver_layers=columns,
        device=device,
    )
    return Result(result.record, result.stitches)


def _with_classes(dataset: Dataset, networks: Sequence[Network]) -> Dataset:
    """The data set with a name for each of the receiver's classes.

    Raises:
        ModelstitchError: if the labels or the sender's classes do not fit these classes.
    """
    receiver = networks[-1]
    if len(dataset.classes) > receiver.outputs:
        raise ModelstitchError(
            f"{receiver.name} tells apart {receiver.outputs} classes, but the data has {len(dataset.classes)} of them"
        )
    for network in networks:
        if network.classes is not None and len(network.classes) != network.outputs:
            raise ModelstitchError(
                f"{network.name} has {network.outputs} logits, but {len(network.classes)} classes are named"
            )
    named = [network for network in networks if network.classes is not None]
    numbered = dataset.classes == tuple(map(str, range(len(dataset.classes))))
    if named or not numbered:
        stated = tuple(dataset.classes if not numbered else named[0].classes)
        for network in named:
            check_classes(network.classes, stated, network.name)
        return replace(dataset, classes=stated)
    return replace(dataset, classes=tuple(map(str, range(receiver.outputs))))


def _measured(network: Network, precision: str, images: DeviceImages) -> Network:
    """The network with its own accuracy on these images; a sender with fewer classes has none."""
    if network.outputs <= int(images.labels.max()):
        return network
    frozen = freeze(network, precision, images.device)
    measured = f"accuracy_{str(frozen.dtype).removeprefix('torch.')}"
    return replace(network, about=dict(network.about) | {measured: evaluate(frozen, images).accuracy})


def _indices(network: Network, layers: Layers) -> list[int] | None:
    """Indices of layers that are given by index or by name.

    Raises:
        ModelstitchError: if the network has no layer of that name, or the list is empty.
    """
    if layers is None:
        return None
    if isinstance(layers, (str, int)) or not len(layers):
        raise ModelstitchError(f"layers: {layers!r} of {network.name}: expected a list of names or indices, or None")
    indices = {layer.name: layer.index for layer in network.layers}
    for layer in layers:
        if isinstance(layer, str) and layer not in indices:
            raise ModelstitchError(
                f"{network.name} has no layer {layer!r}{nearest(layer, indices)}: it has {', '.join(indices)}"
            )
    return [indices[layer] if isinstance(layer, str) else layer for layer in layers]
