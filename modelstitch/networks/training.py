"""Networks get their weights here: trained from scratch, resumable at every epoch, random, or from elsewhere."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from modelstitch.accuracy import correct
from modelstitch.config.networks import LIBRARY, Architecture, Training
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.hardware import choose_precision, device_name, enough_memory, prepare
from modelstitch.identifiers import NetworkId
from modelstitch.networks import pretrained
from modelstitch.networks.building import Blueprint, build, input_channels
from modelstitch.networks.evaluation import evaluate
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Network
from modelstitch.networks.sources import module_of, source_of
from modelstitch.optimisers import SGD, AdamW, Optimiser
from modelstitch.progress import say
from modelstitch.schedule import warmup_cosine
from modelstitch.seeds import drawing, seed_of

Curves = dict[str, list[float]]
CURVES = ("epoch", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy")


@enough_memory("networks.training.batch or the networks' size")
def train(
    network_id: NetworkId,
    architecture: Architecture,
    dataset: Dataset,
    study_seed: int,
    checkpoint: Path,
    device: str = "cpu",
    code: str = "",
) -> Network:
    """A network trained with linear warm-up and cosine; its `about` tells how it went.

    After every epoch the state goes to `checkpoint`; where that holds the state of the same training, by the same
    `code` (a fingerprint) and in the same precision, it goes on from there, to the same bits as without the
    interruption. It stays until the caller, who writes the network, deletes it.

    Raises:
        ModelstitchError: if the network can't be built or takes no such images, there are fewer training images than
            one batch, the loss stops being finite, or the device has too little memory.
    """
    begun = time.monotonic(), time.process_time()
    prepare(device)
    training = architecture.training
    if len(dataset.train.labels) < training.batch:
        raise ModelstitchError(
            f"networks.training.batch: {training.batch} is more than the {len(dataset.train.labels)} training images"
        )
    dtype = choose_precision(training.precision, device)
    images = DeviceImages(dataset, dataset.train, device)
    test_images = DeviceImages(dataset, dataset.test, device)
    network = initial(network_id, architecture, dataset, study_seed)
    module = network.module.to(device, memory_format=network.memory_format)
    optimiser = optimiser_of(module, training)
    settings = architecture.model_dump(mode="json")
    fingerprint = json.dumps([str(network_id), settings, dataset.digest, study_seed, str(dtype), code])
    curves = _resume(checkpoint, fingerprint, module, optimiser)
    steps_per_epoch = len(images) // training.batch
    steps, warmup_steps = training.epochs * steps_per_epoch, round(training.warmup_epochs * steps_per_epoch)
    for epoch in range(len(curves["epoch"]), training.epochs):
        module.train()
        loss_sum = torch.zeros((), device=device)
        hits = torch.zeros((), dtype=torch.int64, device=device)
        order = seed_of(study_seed, network_id, "order", epoch)
        with drawing(seed_of(study_seed, network_id, "dropout", epoch), device):
            for index, (batch, labels) in enumerate(images.shuffled(training.batch, order, training.augmentation)):
                rate = training.learning_rate * warmup_cosine(epoch * steps_per_epoch + index, steps, warmup_steps)
                optimiser.rate = rate
                loss, logits = take_step(network, optimiser, batch, labels, dtype)
                loss_sum += loss
                hits += correct(logits.argmax(dim=1), labels).sum()
        train_loss = loss_sum.item() / steps_per_epoch
        if not torch.isfinite(torch.tensor(train_loss)):
            raise ModelstitchError(
                f"{network_id}: the loss is {train_loss} in epoch {epoch + 1}: lower networks.training.learning_rate "
                f"({training.learning_rate}) or lengthen warmup_epochs ({training.warmup_epochs})"
            )
        module.eval()
        test = evaluate(FrozenNetwork(network, device=device), test_images)
        train_accuracy = hits.item() / (steps_per_epoch * training.batch)
        values = (epoch + 1, rate, train_loss, train_accuracy, test.loss, test.accuracy)
        for name, value in zip(CURVES, values, strict=True):
            curves[name].append(value)
        _keep(checkpoint, fingerprint, module, optimiser, curves)
        say(f"{network_id}: epoch {epoch + 1} of {training.epochs}: loss {train_loss:.3f}, test {test.accuracy:.3f}")
    return _with_history(network_id, network, test_images, dataset, curves, begun, str(dtype))


def take_step(
    network: Network, optimiser: Optimiser, images: Tensor, labels: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Move the network once; its mean loss () and logits (N, classes) on images (N, C, H, W) of 0 to 1, before."""
    with torch.autocast(images.device.type, dtype=dtype, enabled=dtype != torch.float32):
        logits = network.module(network.prepared(images))
    if isinstance(logits, tuple):  # of an auxiliary head beside them
        logits = logits[0]
    loss = F.cross_entropy(logits.float(), labels)
    optimiser.zero_grad()
    loss.backward()
    for parameter in optimiser.parameters:
        if parameter.grad is None:  # it takes no part
            parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    return loss.detach(), logits.detach()


def optimiser_of(module: nn.Module, training: Training) -> Optimiser:
    """What moves a network's parameters."""
    if training.optimiser == "adamw":
        return AdamW(module.parameters(), training.weight_decay)
    return SGD(module.parameters(), training.momentum, training.weight_decay)


@enough_memory("the networks' size")
def initialise(
    network_id: NetworkId, architecture: Architecture, dataset: Dataset, study_seed: int, device: str = "cpu"
) -> Network:
    """A network that was never trained: `random`, or `calibrated` by one pass over the training images.

    A random network in evaluation mode lets its activations grow from block to block, since its batch norms have
    statistics of nothing; calibrated, it has those that a trained one would have. A network without batch norm has
    nothing to calibrate.

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
    return _with_history(network_id, network, test_images, dataset, {name: [] for name in CURVES}, begun, "float32")


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
    """A network with weights that others trained, as its architecture says: of a file, or published with a library.

    Raises:
        ModelstitchError: if they can't be had, do not fit, or their classes are not the data set's in the same order.
    """
    begun = time.monotonic(), time.process_time()
    prepare(device)
    channels, *size = dataset.train.images.shape[1:]
    if architecture.weights == LIBRARY:
        _, name = source_of(architecture.model)
        found = module_of(architecture.model).published(name, architecture.arguments)
        module, image = found.module, found.image
        mean, std = architecture.mean or found.mean, architecture.std or found.std
        classes = architecture.classes or found.classes
        blueprint = _blueprint(architecture, channels, len(classes or dataset.classes))
    else:
        classes, mean, std = architecture.classes, architecture.mean, architecture.std
        blueprint = _blueprint(architecture, channels, len(classes))
        module = build(blueprint, seed=0)
        pretrained.load_weights(module, architecture.weights_of(network_id.seed))
        image = (input_channels(module, channels), *size)
    pretrained.check_classes(classes, dataset.classes, str(network_id))
    image = (image[0], *architecture.size(image[1:]))
    module.to(device).eval()
    network = _network(network_id, module, blueprint, dataset, image, mean, std)
    test_images = DeviceImages(dataset, dataset.test, device)
    return _with_history(network_id, network, test_images, dataset, {name: [] for name in CURVES}, begun, "float32")


def initial(network_id: NetworkId, architecture: Architecture, dataset: Dataset, study_seed: int) -> Network:
    """A network with its initial weights; `calibrated` has those of `random`, and `trained` starts from others."""
    kind = "trained" if network_id.recipe == "trained" else "random"
    seed = seed_of(study_seed, network_id.architecture, kind, network_id.seed)
    channels, *size = dataset.train.images.shape[1:]
    blueprint = _blueprint(architecture, channels, len(dataset.classes))
    module = build(blueprint, seed)
    image = (input_channels(module, channels), *architecture.size(size))
    normalisation = [
        tuple(map(float, own or shared))
        for own, shared in ((architecture.mean, dataset.mean), (architecture.std, dataset.std))
    ]
    network = _network(network_id, module, blueprint, dataset, image, *normalisation)
    network.with_images(tuple(dataset.train.images.shape[1:]))
    _ = network.graph  # while it is on the CPU
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


def _with_history(
    network_id: NetworkId,
    network: Network,
    test_images: DeviceImages,
    dataset: Dataset,
    curves: Curves,
    begun: tuple[float, float],
    precision: str,
) -> Network:
    """The network with what is worth knowing of it: its accuracy on the whole test set, and how it got there."""
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
        "loss": test.loss,
        "test_images": test.images,
        "train_accuracy": curves["train_accuracy"][-1] if curves["train_accuracy"] else None,
        "dataset": dataset.name,
        "digest": dataset.digest,
        "device": device_name(test_images.device),
        "precision": precision.removeprefix("torch."),
        "seconds": round(time.monotonic() - begun[0], 3),
        "processor_seconds": round(time.process_time() - begun[1], 3),
        "curves": curves,
    }
    return replace(network, about=about)


def _keep(checkpoint: Path, fingerprint: str, module: nn.Module, optimiser: Optimiser, curves: Curves) -> None:
    tensors: dict[str, Tensor] = {f"network.{name}": value for name, value in module.state_dict().items()}
    names = [name for name, _ in module.named_parameters()]
    for kind, values in optimiser.state().items():
        remembered = zip(names, values, strict=True)
        tensors |= {f"{kind}.{name}": value for name, value in remembered if value is not None}
    apart = {name: value.contiguous().clone() for name, value in tensors.items()}
    with replacing(checkpoint) as temporary:
        save_file(apart, temporary, metadata={"fingerprint": fingerprint, "curves": json.dumps(curves)})


def _resume(checkpoint: Path, fingerprint: str, module: nn.Module, optimiser: Optimiser) -> Curves:
    """Curves up to the epoch of the checkpoint, with the state put back; empty ones if it is of another training."""
    try:
        with safe_open(checkpoint, framework="pt") as file:
            header = file.metadata()
            if header["fingerprint"] != fingerprint:
                raise KeyError("another training")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError):
        return {name: [] for name in CURVES}
    prefix = "network."
    module.load_state_dict(
        {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    )
    for kind, values in optimiser.state().items():
        for index, (name, parameter) in enumerate(module.named_parameters()):
            if (kept := tensors.get(f"{kind}.{name}")) is not None:
                like = parameter if kept.shape == parameter.shape else kept.to(parameter.device)
                values[index] = torch.empty_like(like).copy_(kept).detach()
    curves = json.loads(header["curves"])
    say(f"{checkpoint}: going on after epoch {len(curves['epoch'])}")
    return curves
