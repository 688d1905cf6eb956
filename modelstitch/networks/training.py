"""Training of networks from scratch, which can be resumed."""

import json
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modelstitch.accuracy import correct
from modelstitch.config.networks import Architecture, Changes, Training
from modelstitch.data import changing
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.files import parse_json, to_json
from modelstitch.hardware import choose_precision, enough_memory, prepare
from modelstitch.identifiers import NetworkId
from modelstitch.networks.evaluation import evaluate
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.making import CURVES, initial, no_curves, with_history
from modelstitch.networks.network import Network
from modelstitch.optimisers import SGD, AdamW, Optimiser
from modelstitch.progress import say
from modelstitch.repeating import RepeatedStep
from modelstitch.schedule import warmup_cosine
from modelstitch.seeds import drawing, seed_of
from modelstitch.tensors import read, write

Curves = dict[str, list[float]]
PAUSES = 9


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
    """Train a network with linear warm-up and cosine; its `about` has the history of the training.

    If its settings change the training images, it is still tested on the data set's own test images; its accuracy on
    test images with the same changes is `accuracy_changed`.

    The state is written to `checkpoint` after the last epoch, and after any other where at least `PAUSES` times as long
    has passed as it took to write it before. If the file holds the state of the same training, made by the same `code`
    (a fingerprint) in the same precision, the training continues from there: on a CPU with the same bits as without the
    interruption. The caller, who writes the network, deletes it.

    Raises:
        ModelstitchError: if the network can't be built or does not take these images, if they can't be changed as
            asked, if they are fewer than one batch, if the loss is not finite, or if the device has too little memory.
    """
    begun = time.monotonic(), time.process_time()
    training = architecture.training
    dtype = choose_precision(training.precision, device)
    prepare(device, dtype, search=True)
    changes = training.changes or Changes()
    split = changing.training_images(dataset, changes, study_seed, network_id)
    if len(split.labels) < training.batch:
        raise ModelstitchError(
            f"networks.training.batch: {training.batch} is more than the {len(split.labels)} training images"
        )
    images = DeviceImages(dataset, split, device)
    test_images = DeviceImages(dataset, dataset.test, device)
    network = initial(network_id, architecture, dataset, study_seed)
    module = network.module.to(device, memory_format=network.memory_format)
    optimiser = optimiser_of(module, training)
    settings = architecture.model_dump(mode="json")
    fingerprint = json.dumps([str(network_id), settings, dataset.digest, study_seed, str(dtype), code])
    curves = _resume(checkpoint, fingerprint, module, optimiser)
    steps_per_epoch = len(images) // training.batch
    steps, warmup_steps = training.epochs * steps_per_epoch, round(training.warmup_epochs * steps_per_epoch)
    loss_sum = torch.zeros((), device=device)
    hits = torch.zeros((), dtype=torch.int64, device=device)

    def step(batch: Tensor, labels: Tensor) -> None:
        loss, logits = take_step(network, optimiser, batch, labels, dtype)
        loss_sum.add_(loss)
        hits.add_(correct(logits.argmax(dim=1), labels).sum())

    repeated = RepeatedStep(step, optimiser, device)
    due = 0.0  # when the state may be written next
    for epoch in range(len(curves["epoch"]), training.epochs):
        module.train()
        loss_sum.zero_()
        hits.zero_()
        order = seed_of(study_seed, network_id, "order", epoch)
        with drawing(seed_of(study_seed, network_id, "dropout", epoch), device):
            for index, (batch, labels) in enumerate(images.shuffled(training.batch, order, training.augmentation)):
                rate = training.learning_rate * warmup_cosine(epoch * steps_per_epoch + index, steps, warmup_steps)
                repeated(batch, labels, rate)
        train_loss = loss_sum.item() / steps_per_epoch
        if not torch.isfinite(torch.tensor(train_loss)):
            raise ModelstitchError(
                f"{network_id}: the loss is {train_loss} in epoch {epoch + 1}: lower networks.training.learning_rate "
                f"({training.learning_rate}) or lengthen warmup_epochs ({training.warmup_epochs})"
            )
        module.eval()
        test = evaluate(FrozenNetwork(network, device=device, check=not curves["epoch"]), test_images)
        train_accuracy = hits.item() / (steps_per_epoch * training.batch)
        values = (epoch + 1, rate, train_loss, train_accuracy, test.loss, test.accuracy)
        for name, value in zip(CURVES, values, strict=True):
            curves[name].append(value)
        if (now := time.monotonic()) >= due or epoch + 1 == training.epochs:
            _keep(checkpoint, fingerprint, module, optimiser, curves)
            due = time.monotonic() + PAUSES * (time.monotonic() - now)
        say(f"{network_id}: epoch {epoch + 1} of {training.epochs}: loss {train_loss:.3f}, test {test.accuracy:.3f}")
    network = with_history(network_id, network, test_images, dataset, curves, begun, dtype)
    about = {"changes": json.dumps(changes.model_dump(mode="json", exclude_none=True))}
    if changed := changing.test_images(dataset, changes, study_seed, network_id):
        test = evaluate(FrozenNetwork(network, device=device), DeviceImages(dataset, changed, device))
        about["accuracy_changed"] = test.accuracy
    return replace(network, about=network.about | about)


def take_step(
    network: Network, optimiser: Optimiser, images: Tensor, labels: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Take one step; return mean loss () and logits (N, classes) on images (N, C, H, W) from 0 to 1, before it."""
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
    """The optimiser of a network's parameters."""
    if training.optimiser == "adamw":
        return AdamW(module.parameters(), training.weight_decay)
    return SGD(module.parameters(), training.momentum, training.weight_decay)


def _keep(checkpoint: Path, fingerprint: str, module: nn.Module, optimiser: Optimiser, curves: Curves) -> None:
    tensors: dict[str, Tensor] = {f"network.{name}": value for name, value in module.state_dict().items()}
    names = [name for name, _ in module.named_parameters()]
    for kind, values in optimiser.state().items():
        remembered = zip(names, values, strict=True)
        tensors |= {f"{kind}.{name}": value for name, value in remembered if value is not None}
    write(checkpoint, tensors, {"fingerprint": fingerprint, "curves": to_json(curves)})


def _resume(checkpoint: Path, fingerprint: str, module: nn.Module, optimiser: Optimiser) -> Curves:
    """Restore the state of the checkpoint, and return the curves so far; empty ones if it is of another training."""
    try:
        tensors, header = read(checkpoint, "checkpoint", "the training begins anew")
    except ModelstitchError:
        return no_curves()
    if header.get("fingerprint") != fingerprint:
        return no_curves()
    prefix = "network."
    module.load_state_dict(
        {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    )
    for kind, values in optimiser.state().items():
        for index, (name, parameter) in enumerate(module.named_parameters()):
            if (kept := tensors.get(f"{kind}.{name}")) is not None:
                like = parameter if kept.shape == parameter.shape else kept.to(parameter.device)
                values[index] = torch.empty_like(like).copy_(kept).detach()
    curves = parse_json(header["curves"])
    say(f"{checkpoint}: going on after epoch {len(curves['epoch'])}")
    return curves
