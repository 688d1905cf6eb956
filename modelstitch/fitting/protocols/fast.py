"""The converged matrix for a fraction of the images: least-squares start, soft targets, Muon on whitened inputs.

How near it comes: docs/protocols.md. Torch is imported where it is used: planning a study asks what this costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.config.stitches import FastStitches
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.work import PairWork, moments_bytes
from modelstitch.stitches.geometry import Part

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.fitting.beginning import Beginning

GUESSING_STRETCH = 10.0  # of steps into a receiver that guesses
TEACHING_RECIPES = ("trained", "pretrained")


def begin(inputs: FitInputs, classes: Tensor | None = None) -> Beginning:
    """Stitches from the settings' start, moved by Muon and taught by both networks, by moments of some training images.

    Raises:
        ModelstitchError: if the family is not one of linear maps.
    """
    from modelstitch.fitting.beginning import Beginning, new_stitches, some_moments, start_nearest
    from modelstitch.fitting.distillation import Teacher, reliability
    from modelstitch.fitting.muon import WhitenedMuon

    sender, receiver, geometries, images, settings, seed, _ = inputs
    stitches = new_stitches(geometries, settings.family, seed, images.device)
    moments, chosen = some_moments(inputs, settings.statistics_images)
    if settings.start == "least-squares":
        start_nearest(stitches, moments, settings.family)
    comparable = sender.source.outputs == receiver.source.outputs  # a sender of other classes teaches nothing
    reliabilities = (
        reliability(sender, images, chosen) if comparable else 0.0,
        reliability(receiver, images, chosen),
    )
    teacher = Teacher(sender, receiver, reliabilities, len(stitches), images.device)
    knows = reliabilities[1] if classes is None else 0.0  # of other labels than its own a receiver knows nothing
    optimiser = WhitenedMuon(stitches, moments, stretch(knows))
    return Beginning(stitches, optimiser, teacher if teacher.share else None)


def stretch(kappa: float) -> float:
    """How much longer steps are for a receiver of reliability `kappa`: 10 times if it guesses, 1 if always right.

    Least squares is a poor start for a receiver that knows nothing, since what it expects leads nowhere: its best
    stitches are far away.
    """
    return GUESSING_STRETCH ** ((1 - kappa) ** 2)


def rate(settings: FastStitches, step: int, steps: int, steps_per_epoch: int) -> float:
    """Falls linearly to 0."""
    return settings.learning_rate * (1 - step / steps)


def operations(settings: FastStitches, work: PairWork, images: int, steps: int) -> int:
    """Beside the passes: soft targets of every image, and Muon's matrix products of every step."""
    moving = sum(muon_operations(part) for geometry in work.geometries.values() for part in geometry.parts)
    return images * teaching_operations(work) + steps * moving


def teaching_operations(work: PairWork) -> int:
    """Soft targets of an image: the layers of the sender that no stitch sees, and the whole receiver, if trained."""
    rest = work.sender.suffix_operations(max(work.sender_layers))
    taught = work.sender_recipe in TEACHING_RECIPES, work.receiver_recipe in TEACHING_RECIPES
    return taught[0] * rest + taught[1] * work.receiver.total_operations


def muon_operations(part: Part) -> int:
    """Operations of a step that moves a linear map by Muon (`muon`).

    A product with the square matrix of its inputs, two between that and its outputs, and 17 of the outputs' own.
    """
    inputs, outputs = part.inputs, part.outputs
    return 2 * outputs * inputs * (inputs + 1) + 4 * outputs**2 * (inputs + 1) + 2 * 17 * outputs**3


def memory_bytes(settings: FastStitches, work: PairWork) -> int:
    """Beside the stitches: the normal equations, and what whitens."""
    return moments_bytes(work)
