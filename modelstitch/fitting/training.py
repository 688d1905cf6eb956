"""Trains all stitches of a pair at once through the receiver's frozen suffix."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from modelstitch.config.stitches import TrainedStitches
from modelstitch.data.images import DeviceImages
from modelstitch.engine.evaluation import Tally, cross_entropies
from modelstitch.engine.pair import GroupOutput, StitchedPair
from modelstitch.fitting.alignment import Alignment
from modelstitch.fitting.distillation import ReceiverTeacher, Teacher
from modelstitch.fitting.steps import steps
from modelstitch.hardware import enough_memory
from modelstitch.optimisers import Optimiser
from modelstitch.repeating import RepeatedStep


def train(
    pair: StitchedPair,
    images: DeviceImages,
    settings: TrainedStitches,
    optimiser: Optimiser,
    order: Sequence[object],
    label: str = "stitches",
    teacher: Teacher | ReceiverTeacher | None = None,
    alignment: Alignment | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Train the stitches for the task, in place (arXiv 2303.11277).

    Args:
        pair: networks and stitches.
        images: the training images.
        settings: epochs, rates and augmentation.
        optimiser: the optimiser of the pair's stitches; its rate is set by the protocol.
        order: the seed of the order of the images, together with the epoch.
        label: the name of the work in progress lines.
        teacher: gives soft targets for the pair's cells, in their order.
        alignment: replaces the cross-entropy.

    Returns:
        Mean loss and accuracy (epochs, cells) on the augmented training images, before the step on each batch. The
        loss is always the cross-entropy with the labels. The last row may be a part of an epoch.

    Raises:
        ModelstitchError: if there are fewer training images than one batch, or the device has too little memory.
    """
    tally = Tally(list(pair.stitches), images.device)
    repeated = RepeatedStep(
        lambda batch, labels: take_step(pair, optimiser, batch, labels, tally, teacher, alignment),
        optimiser,
        images.device,
    )
    finished: list[Tally] = []
    for epoch, rate, batch, labels in steps(images, settings, order, label):
        if epoch > len(finished):
            finished.append(tally.pop())
        repeated(batch, labels, rate)
        tally.images += len(labels)
    losses, accuracies = zip(*(each.means() for each in (*finished, tally)), strict=True)
    return np.stack(losses), np.stack(accuracies)


@enough_memory("stitches.task.batch or the networks' size")
def take_step(
    pair: StitchedPair,
    optimiser: Optimiser,
    images: Tensor,
    labels: Tensor,
    tally: Tally,
    teacher: Teacher | ReceiverTeacher | None = None,
    alignment: Alignment | None = None,
) -> None:
    """Take a step on images (N, C, H, W): train every stitch on the mean cross-entropy of its logits with labels (N,).

    With a `teacher`, cells that its mask selects are trained on its soft targets instead; with an `alignment`, all are
    trained on its errors. The losses in `tally` are those of the labels; the caller updates its count of images.

    Raises:
        ModelstitchError: if the device has too little memory.
    """
    representations = pair.represent(images)
    soft = teacher.soft_targets(images, labels, representations) if teacher else None
    expected = alignment.expected(images) if alignment else None

    def step(images: Tensor, labels: Tensor) -> list[GroupOutput]:
        optimiser.zero_grad()
        counts = []
        passes = pair.passes_by_stage if alignment else pair.passes
        for j, group, given in passes(images, representations):
            logits = pair.logits_of(given[-1], group) if alignment else given
            losses = objective = cross_entropies(logits, labels[group.images])
            if soft is not None:
                to_teacher = cross_entropies(logits, soft.targets[group.images])
                objective = torch.lerp(losses, to_teacher, soft.mask[tally.rows(j, group), None])
            if alignment:
                objective = alignment.errors(given, j, expected, group.images)
            (objective.sum() / len(labels)).backward()
            counts.append(GroupOutput(j, group, losses.detach(), logits.detach().argmax(dim=2)))
        optimiser.step()
        return counts

    before = tally.correct.clone() if teacher else None
    for j, group, losses, classes in pair.within_memory(step, images, labels):
        tally.add(j, group, losses, classes, labels[group.images])
    if teacher:
        teacher.update(soft, (tally.correct - before) / len(labels))
