"""Comes near converged accuracies with a fraction of the images: least-squares start, soft targets, whitened Muon.

docs/protocols.md says how near. Torch is imported inside functions, since planning a study needs the costs without
torch.
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

GUESSING_STRETCH = 10.0  # factor on the steps for a receiver that guesses
TEACHING_RECIPES = ("trained", "pretrained")


def begin(inputs: FitInputs, classes: Tensor | None = None) -> Beginning:
    """Stitches with the start of the settings, Muon, and a teacher from both networks, unless both guess.

    Least squares, whitening and reliabilities are computed from `statistics_images` training images.

    Raises:
        ModelstitchError: if stitches of the family are not linear maps.
    """
    from modelstitch.fitting.beginning import Beginning, new_stitches, some_moments, start_nearest
    from modelstitch.fitting.distillation import Teacher, reliability
    from modelstitch.fitting.muon import WhitenedMuon

    sender, receiver, geometries, images, settings, seed, _ = inputs
    stitches = new_stitches(geometries, settings.family, seed, images.device)
    moments, chosen = some_moments(inputs, settings.statistics_images)
    if settings.start == "least-squares":
        start_nearest(stitches, moments, settings.family)
    comparable = sender.source.outputs == receiver.source.outputs  # a sender of other classes is no teacher
    reliabilities = (
        reliability(sender, images, chosen) if comparable else 0.0,
        reliability(receiver, images, chosen),
    )
    teacher = Teacher(sender, receiver, reliabilities, len(stitches), images.device)
    knows = reliabilities[1] if classes is None else 0.0  # of permuted labels a receiver knows nothing
    optimiser = WhitenedMuon(stitches, moments, stretch(knows))
    return Beginning(stitches, optimiser, teacher if teacher.share else None)


def stretch(kappa: float) -> float:
    """Factor on the steps for a receiver of reliability `kappa`: 10 if it guesses, 1 if it is always right.

    For a receiver that guesses, least squares is a poor start: the representation that it expects is of no use for the
    task, and the best stitches are far away.
    """
    return GUESSING_STRETCH ** ((1 - kappa) ** 2)


def rate(settings: FastStitches, step: int, steps: int, steps_per_epoch: int) -> float:
    """Learning rate of a step, which falls linearly to 0."""
    return settings.learning_rate * (1 - step / steps)


def operations(settings: FastStitches, work: PairWork, images: int, steps: int) -> int:
    """Operations of the soft targets of every image, and of Muon's matrix products in every step."""
    moving = sum(muon_operations(part) for geometry in work.geometries.values() for part in geometry.parts)
    return images * teaching_operations(work) + steps * moving


def teaching_operations(work: PairWork) -> int:
    """Operations of an image's soft targets: sender layers after the last stitched, and the receiver, if trained."""
    rest = work.sender.suffix_operations(max(work.sender_layers))
    taught = work.sender_recipe in TEACHING_RECIPES, work.receiver_recipe in TEACHING_RECIPES
    return taught[0] * rest + taught[1] * work.receiver.total_operations


def muon_operations(part: Part) -> int:
    """Operations of a step of Muon (`muon`) for one linear map with D inputs and O outputs.

    These are matrix products: one of (O, D) by (D, D), one of (O, D) by (D, O), one of (O, O) by (O, D), and 17 of
    (O, O) by (O, O).
    """
    inputs, outputs = part.inputs, part.outputs
    return 2 * outputs * inputs * (inputs + 1) + 4 * outputs**2 * (inputs + 1) + 2 * 17 * outputs**3


def memory_bytes(settings: FastStitches, work: PairWork) -> int:
    """Bytes of the normal equations and of the whitening."""
    return moments_bytes(work)
