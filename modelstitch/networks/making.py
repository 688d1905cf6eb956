"""Networks that a study does not train: with initial, calibrated or published weights."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from modelstitch.config.networks import LIBRARY, Architecture
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages
from modelstitch.hardware import device_name, enough_memory, fast_bfloat16, prepare
from modelstitch.identifiers import NetworkId
from modelstitch.networks import pretrained
from modelstitch.networks.building import Blueprint, build, input_channels, size_of
from modelstitch.networks.evaluation import evaluate
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Network
from modelstitch.networks.sources import module_of, source_of
from modelstitch.seeds import seed_of
from modelstitch.versions import installed_versions

CURVES = ("epoch", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy")


@enough_memory("the networks' size")
def initialise(
    network_id: NetworkId, architecture: Architecture, dataset: Dataset, study_seed: int, device: str = "cpu"
) -> Network:
    """A network that was never trained: `random`, or `calibrated` by one pass over the training images.

    In evaluation mode the activations of a random network grow from block to block, since its batch norms have not seen
    any images. A calibrated network has statistics of the training images, as a trained one does. A network without
    batch norm has nothing to calibrate.

    Raises:
        ModelstitchError: if the network can't be built or takes no such images, or the device has too little memory.
    """
    begun = time.monotonic(), time.process_time()
    prepare(device)
    network = initial(network_id, architecture, dataset, study_seed)
    network.module.to(device, memory_format=network.memory_format)
    if network_id.recipe == "calibrated":
        calibrate(network, DeviceImages(dataset, dataset.train, device))
    test_images = DeviceImages(dataset, dataset.test, device)
    return with_history(network_id, network, test_images, dataset, no_curves(), begun)


@torch.no_grad()
def calibrate(network: Network, images: DeviceImages) -> None:
    """Set every batch norm's statistics to the mean of those of all batches of `images`, in one pass."""
    module = network.module
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    for index, (batch, _) in enumerate(images.in_order(), start=1):
        for norm in norms:
            norm.momentum = 1 / index  # as None gives, for which torch waits for the device at every norm
        module(network.prepared(batch))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.eval()


@enough_memory("the networks' size")
def from_elsewhere(network_id: NetworkId, architecture: Architecture, dataset: Dataset, device: str = "cpu") -> Network:
    """A network with weights that others trained: from a file, or published with a library, as its architecture says.

    Raises:
        ModelstitchError: if they are not available or do not fit, or their classes differ from the data set's.
    """
    begun = time.monotonic(), time.process_time()
    prepare(device)
    channels, *size = dataset.train.images.shape[1:]
    classes, mean, std = architecture.classes, architecture.mean, architecture.std
    if architecture.weights == LIBRARY:
        _, name = source_of(architecture.model)
        found = module_of(architecture.model).published(name, architecture.arguments)
        classes, mean, std = classes or found.classes, mean or found.mean, std or found.std
        arguments = {**found.arguments, **architecture.arguments}
        architecture = architecture.model_copy(update={"arguments": arguments})
    pretrained.check_classes(classes, dataset.classes, str(network_id))
    blueprint = _blueprint(architecture, channels, len(classes))
    module = build(blueprint, seed=0)
    if architecture.weights == LIBRARY:
        own = module.state_dict()  # auxiliary heads are left out
        weights = {name: value for name, value in found.weights.items() if name in own}
        pretrained.load_state(module, weights, f"the library's weights of {architecture.model}")
    else:
        pretrained.load_weights(module, architecture.weights_of(network_id.seed))
    image = (input_channels(module, channels), *size_of(architecture, size))
    module.to(device).eval()
    network = _network(network_id, module, blueprint, dataset, image, mean, std)
    test_images = DeviceImages(dataset, dataset.test, device)
    return with_history(network_id, network, test_images, dataset, no_curves(), begun)


def initial(network_id: NetworkId, architecture: Architecture, dataset: Dataset, study_seed: int) -> Network:
    """A network with its initial weights; `calibrated` has those of `random`, but `trained` starts from others."""
    kind = "trained" if network_id.recipe == "trained" else "random"
    seed = seed_of(study_seed, network_id.architecture, kind, network_id.seed)
    channels, *size = dataset.train.images.shape[1:]
    blueprint = _blueprint(architecture, channels, len(dataset.classes))
    module = build(blueprint, seed)
    image = (input_channels(module, channels), *size_of(architecture, size))
    mean, std = architecture.mean or dataset.mean, architecture.std or dataset.std
    network = _network(network_id, module, blueprint, dataset, image, mean, std)
    network.check_images(tuple(dataset.train.images.shape[1:]))
    _ = network.graph  # traced now: a training that it could not be stitched after would be for nothing
    return network


def _blueprint(architecture: Architecture, channels: int, outputs: int) -> Blueprint:
    return Blueprint(architecture.model, outputs, channels, architecture.arguments, architecture.stem)


def _network(
    network_id: NetworkId,
    module: nn.Module,
    blueprint: Blueprint,
    dataset: Dataset,
    image: tuple[int, int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> Network:
    normalisation = {"mean": tuple(map(float, mean)), "std": tuple(map(float, std))}
    return Network(module, str(network_id), image=image, classes=dataset.classes, blueprint=blueprint, **normalisation)


def no_curves() -> dict[str, list[float]]:
    """The curves of a network before its first epoch: an empty one for each of `CURVES`."""
    return {name: [] for name in CURVES}


def with_history(
    network_id: NetworkId,
    network: Network,
    test_images: DeviceImages,
    dataset: Dataset,
    curves: Mapping[str, Sequence[float]],
    begun: tuple[float, float],
    precision: torch.dtype = torch.float32,
) -> Network:
    """The network with its accuracy on the whole test set and the history of its training in `about`.

    Args:
        network_id, network: the network.
        test_images: the test images on their device.
        dataset: the data set of the images.
        curves: curves of the training, by the names of `CURVES`.
        begun: seconds of the clock and of the processor when its making began.
        precision: precision of its training.
    """
    network.module.eval()
    test = evaluate(FrozenNetwork(network, device=test_images.device), test_images)
    blueprint = network.blueprint
    about: dict[str, Any] = {
        "network": str(network_id),
        **network_id._asdict(),
        "model": blueprint.model,
        "arguments": json.dumps(dict(blueprint.arguments), sort_keys=True),
        "width": blueprint.arguments.get("width"),
        "layers": [layer.name for layer in network.layers],
        "operations": network.operations,
        "classes": len(dataset.classes),
        "parameters": sum(parameter.numel() for parameter in network.module.parameters()),
        "accuracy": test.accuracy,
        **_accuracy_in_bfloat16(network, test_images),
        "loss": test.loss,
        "test_images": test.images,
        "train_accuracy": curves["train_accuracy"][-1] if curves["train_accuracy"] else None,
        "changes": "{}",  # of the images that it is trained on
        "accuracy_changed": None,
        "dataset": dataset.name,
        "digest": dataset.digest,
        "device": device_name(test_images.device),
        "threads": torch.get_num_threads(),
        "precision": str(precision).removeprefix("torch."),
        "seconds": round(time.monotonic() - begun[0], 3),
        "processor_seconds": round(time.process_time() - begun[1], 3),
        "versions": installed_versions(),
        "curves": curves,
    }
    return replace(network, about=about)


def _accuracy_in_bfloat16(network: Network, images: DeviceImages) -> dict[str, float]:
    """The accuracy in bfloat16, with which cells in bfloat16 are compared; measured if bfloat16 is fast here."""
    if not fast_bfloat16(images.device):
        return {}
    return {"accuracy_bfloat16": evaluate(FrozenNetwork(network, torch.bfloat16, images.device), images).accuracy}
