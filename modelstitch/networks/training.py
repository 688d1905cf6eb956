"""Networks get their weights here: trained from scratch, resumable at every epoch, or random."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from modelstitch.config import Training
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.fitting.optimisers import SGD
from modelstitch.fitting.schedule import warmup_cosine
from modelstitch.hardware import choose_precision, device_name, enough_memory, prepare
from modelstitch.identifiers import NetworkId
from modelstitch.networks.small_resnet import SmallResNet, build
from modelstitch.progress import say
from modelstitch.seeds import seed_of

Curves = dict[str, list[float]]
CURVES = ("epoch", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy")


class Evaluation(NamedTuple):
    """Accuracy and mean cross-entropy over `images` images."""

    accuracy: float
    loss: float
    images: int


def evaluate(network: SmallResNet, images: DeviceImages) -> Evaluation:
    """The network on every image of a split, folded and in the precision of `images`."""
    frozen = FrozenNetwork(network, images.dtype, images.device)
    correct = torch.zeros((), dtype=torch.int64, device=images.device)
    loss = torch.zeros((), dtype=torch.float64, device=images.device)
    with torch.no_grad():
        for batch, labels in images.in_order():
            logits = frozen(batch).float()
            correct += (logits.argmax(dim=1) == labels).sum()
            loss += F.cross_entropy(logits, labels, reduction="sum")
    return Evaluation(correct.item() / len(images), loss.item() / len(images), len(images))


@enough_memory("networks.training.batch or networks.width")
def train(
    network_id: NetworkId,
    training: Training,
    width: int,
    dataset: Dataset,
    study_seed: int,
    checkpoint: Path,
    device: str = "cpu",
    code: str = "",
) -> tuple[SmallResNet, dict[str, Any]]:
    """Train a network by SGD with linear warm-up and cosine, and tell how it went.

    After every epoch the state goes to `checkpoint`; where that holds the state of the same training, by the same
    `code` (a fingerprint) and in the same precision, it goes on from there, to the same bits as without the
    interruption. It stays until the caller, who writes the network, deletes it.

    Raises:
        ModelstitchError: if there are fewer training images than one batch, the loss stops being finite, or the device
            has too little memory.
    """
    begun = time.monotonic(), time.process_time()
    prepare(device)
    if len(dataset.train.labels) < training.batch:
        raise ModelstitchError(
            f"networks.training.batch: {training.batch} is more than the {len(dataset.train.labels)} training images"
        )
    dtype = choose_precision(training.precision, device)
    images = DeviceImages(dataset, dataset.train, device)
    test_images = DeviceImages(dataset, dataset.test, device)
    network = initial(network_id, width, dataset, study_seed).to(device, memory_format=torch.channels_last)
    optimiser = SGD(network.parameters(), training.momentum, training.weight_decay)
    values = training.model_dump(mode="json")
    fingerprint = json.dumps([str(network_id), values, width, dataset.digest, study_seed, str(dtype), code])
    curves = _resume(checkpoint, fingerprint, network, optimiser)
    steps_per_epoch = len(images) // training.batch
    steps, warmup_steps = training.epochs * steps_per_epoch, round(training.warmup_epochs * steps_per_epoch)
    for epoch in range(len(curves["epoch"]), training.epochs):
        network.train()
        loss_sum = torch.zeros((), device=device)
        correct = torch.zeros((), dtype=torch.int64, device=device)
        order = seed_of(study_seed, network_id, "order", epoch)
        for index, (batch, labels) in enumerate(images.shuffled(training.batch, order, training.augmentation)):
            rate = training.learning_rate * warmup_cosine(epoch * steps_per_epoch + index, steps, warmup_steps)
            optimiser.rate = rate
            loss, logits = take_step(network, optimiser, batch, labels, dtype)
            loss_sum += loss
            correct += (logits.argmax(dim=1) == labels).sum()
        train_loss = loss_sum.item() / steps_per_epoch
        if not torch.isfinite(torch.tensor(train_loss)):
            raise ModelstitchError(
                f"{network_id}: the loss is {train_loss} in epoch {epoch + 1}: lower networks.training.learning_rate "
                f"({training.learning_rate}) or lengthen warmup_epochs ({training.warmup_epochs})"
            )
        test = evaluate(network.eval(), test_images)
        train_accuracy = correct.item() / (steps_per_epoch * training.batch)
        for name, value in zip(
            CURVES, (epoch + 1, rate, train_loss, train_accuracy, test.loss, test.accuracy), strict=True
        ):
            curves[name].append(value)
        _keep(checkpoint, fingerprint, network, optimiser, curves)
        say(f"{network_id}: epoch {epoch + 1} of {training.epochs}: loss {train_loss:.3f}, test {test.accuracy:.3f}")
    return network, _history(network_id, network, test_images, dataset, curves, begun, str(dtype))


def take_step(
    network: SmallResNet, optimiser: SGD, images: Tensor, labels: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Move the network once; its mean loss () and logits (N, classes) on images (N, C, H, W), before."""
    with torch.autocast(images.device.type, dtype=dtype, enabled=dtype != torch.float32):
        logits = network(images)
    loss = F.cross_entropy(logits.float(), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach(), logits.detach()


@enough_memory("networks.width")
def initialise(
    network_id: NetworkId, width: int, dataset: Dataset, study_seed: int, device: str = "cpu"
) -> tuple[SmallResNet, dict[str, Any]]:
    """A network that was never trained: `random`, or `calibrated` by one pass over the training images.

    A random network in evaluation mode lets its activations grow from block to block, since its batch norms have
    statistics of nothing; calibrated, it has those that a trained one would have.

    Raises:
        ModelstitchError: if the device has too little memory.
    """
    begun = time.monotonic(), time.process_time()
    prepare(device)
    network = initial(network_id, width, dataset, study_seed).to(device, memory_format=torch.channels_last)
    if network_id.recipe == "calibrated":
        calibrate(network, DeviceImages(dataset, dataset.train, device))
    test_images = DeviceImages(dataset, dataset.test, device)
    curves: Curves = {name: [] for name in CURVES}
    return network, _history(network_id, network, test_images, dataset, curves, begun, "torch.float32")


@torch.no_grad()
def calibrate(network: SmallResNet, images: DeviceImages) -> None:
    """Set every batch norm's statistics to the mean of those of all batches of `images`, in one pass."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
    network.train()
    for index, (batch, _) in enumerate(images.in_order(), start=1):
        for norm in norms:
            norm.momentum = 1 / index  # as None gives, for which torch waits for the device at every norm
        network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def initial(network_id: NetworkId, width: int, dataset: Dataset, study_seed: int) -> SmallResNet:
    """A network's initial weights; `calibrated` has those of `random`, and `trained` starts from others."""
    kind = "trained" if network_id.recipe == "trained" else "random"
    seed = seed_of(study_seed, network_id.architecture, kind, network_id.seed)
    channels = dataset.train.images.shape[1]
    return build(network_id.architecture, width, channels, len(dataset.classes), seed)


def _history(
    network_id: NetworkId,
    network: SmallResNet,
    test_images: DeviceImages,
    dataset: Dataset,
    curves: Curves,
    begun: tuple[float, float],
    precision: str,
) -> dict[str, Any]:
    """What is worth knowing of a network: its accuracy on the whole test set, and how it got there."""
    test = evaluate(network.eval(), test_images)
    return {
        "network": str(network_id),
        **network_id._asdict(),
        "width": network.width,
        "classes": network.classes,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
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


def _keep(checkpoint: Path, fingerprint: str, network: SmallResNet, optimiser: SGD, curves: Curves) -> None:
    tensors: dict[str, Tensor] = {f"network.{name}": value for name, value in network.state_dict().items()}
    for (name, _), momentum in zip(network.named_parameters(), optimiser.momenta, strict=True):
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    with replacing(checkpoint) as temporary:
        save_file(contiguous, temporary, metadata={"fingerprint": fingerprint, "curves": json.dumps(curves)})


def _resume(checkpoint: Path, fingerprint: str, network: SmallResNet, optimiser: SGD) -> Curves:
    """Curves up to the epoch of the checkpoint, with the state put back; empty ones if it is of another training."""
    try:
        with safe_open(checkpoint, framework="pt") as file:
            header = file.metadata()
            if header["fingerprint"] != fingerprint:
                raise KeyError("another training")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError):
        return {name: [] for name in CURVES}
    network.load_state_dict(
        {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    )
    for index, (name, parameter) in enumerate(network.named_parameters()):
        if f"momentum.{name}" in tensors:
            optimiser.momenta[index] = torch.empty_like(parameter).copy_(tensors[f"momentum.{name}"]).detach()
    curves = json.loads(header["curves"])
    say(f"{checkpoint}: going on after epoch {len(curves['epoch'])}")
    return curves
