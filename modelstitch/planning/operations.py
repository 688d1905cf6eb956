"""Floating-point operations of a study's jobs, counted from shapes; a multiplication with an addition counts as two."""

from collections.abc import Sequence

from modelstitch.config.families import LINEAR, Family
from modelstitch.fitting.objectives import objective_of
from modelstitch.identifiers import NetworkId
from modelstitch.planning.study import PlannedStudy


def network(plan: PlannedStudy, network: str | NetworkId) -> int:
    """Making a network: a training image costs three forward passes, and each epoch ends with an evaluation."""
    _, train_images, test_images, classes = plan.sizes
    name, recipe, _ = NetworkId.parse(str(network))
    images = test_images
    if recipe == "trained":
        training = plan.study.networks.complete(name).training
        part = training.changes.part(classes) if training.changes else 1
        images += training.epochs * (3 * round(part * train_images) + test_images)
    elif recipe == "calibrated":
        images += train_images
    return images * plan.descriptions[name].total_operations


def training(
    plan: PlannedStudy,
    objective: str,
    sender: str | NetworkId,
    receiver: str | NetworkId,
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
) -> int:
    """Making these cells' stitches for an objective."""
    settings = plan.settings[objective]
    work = plan.work(sender, receiver, sender_layers, receiver_layers, settings.family)
    return objective_of(objective).operations(settings, work, plan.sizes.train_images)


def evaluation(
    plan: PlannedStudy,
    sender: str | NetworkId,
    receiver: str | NetworkId,
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
    family: Family = LINEAR,
) -> int:
    """Evaluating these cells, with stitches of one family, on the whole test set."""
    work = plan.work(sender, receiver, sender_layers, receiver_layers, family)
    return plan.sizes.test_images * work.passes_operations(passes=1)
