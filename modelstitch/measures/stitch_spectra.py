"""What a stitch learned: its singular values, the kinds of maps it is close to, and the directions of its energy.

Accuracy says how well a stitch works, not how it works (arXiv 2303.11277 asks why there is a triangle). A stitch close
to a permutation or an orthogonal matrix rearranges what the sender has. One of low effective rank keeps a few
directions of it. One whose energy lies where the receiver's logits are sensitive serves the logits rather than the
representation.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from modelstitch.config.measures import StitchSpectra
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages, drawn
from modelstitch.hardware import enough_memory, in_batches, prepare
from modelstitch.identifiers import NetworkId
from modelstitch.networks.frozen import FrozenNetwork, freeze
from modelstitch.networks.network import INPUT, Network
from modelstitch.networks.representations import Representation
from modelstitch.seeds import seed_of
from modelstitch.stitches.families import on_device
from modelstitch.stitches.geometry import Cell
from modelstitch.stitches.spectra import SHAPES, SPECTRUM, random_spectrum, spectrum

BATCH = 50
TRACE_SHARE = 0.9  # of the receiver's sensitivity, which the sensitive directions hold
REFERENCE = "task"  # the objective whose stitches the others are compared with
CELL = (
    "objective",
    "sender",
    "sender_recipe",
    "receiver",
    "receiver_recipe",
    "sender_layer",
    "sender_layer_name",
    "sender_layer_count",
    "receiver_layer",
    "receiver_layer_name",
    "receiver_layer_count",
)
ENERGY = ("channels", "sensitive_directions", "sensitive_energy", "sensitive_energy_expected")
AGREEMENT = ("task_weight_cosine", "task_output_correlation")
COLUMNS = (*CELL, *SPECTRUM, *(name for each in SHAPES for name in (each, f"{each}_random")), *ENERGY, *AGREEMENT)


class Observed(NamedTuple):
    """Sums over images and places of the receiver's and the stitches' outputs.

    Attributes:
        expected: `moments` of the expected representations, by receiver layer.
        stitched: `moments` of the stitched ones, by objective and cell.
        products: sums of an objective's values times the reference's, also over channels, by objective and cell.
    """

    expected: dict[int, Tensor]
    stitched: dict[tuple[str, Cell], Tensor]
    products: dict[tuple[str, Cell], Tensor]


def weight_of(stitch: Any) -> np.ndarray | None:
    """The weight (O, D) of the map of places, float32; None if the family is not linear.

    The separate map of a class token is left out.
    """
    linear = getattr(stitch, "linear", None)
    return None if linear is None else linear.maps[0].weight.detach().cpu().numpy()


def sensitive_directions(sensitivity: Tensor) -> Tensor:
    """Top eigenvectors (C, m) of a sensitivity (C, C), as few as hold `TRACE_SHARE` of its trace."""
    values, vectors = torch.linalg.eigh(sensitivity)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    if not values.sum() > 0:
        return vectors[:, :0]
    shares = values.cumsum(0) / values.sum()
    return vectors[:, : int((shares < TRACE_SHARE - 1e-9).sum()) + 1]


def share_in(directions: Tensor, covariance: Tensor) -> float:
    """The share of a covariance's trace (C, C) in orthonormal directions (C, m); NaN if either is zero or empty."""
    inside, total = torch.trace(directions.T @ covariance @ directions), torch.trace(covariance)
    return (inside / total).item() if directions.shape[1] and total > 0 else np.nan


def sensitivities(
    receiver: FrozenNetwork, images: DeviceImages, chosen: Tensor, layers: Sequence[int]
) -> dict[int, Tensor]:
    """How much each direction of a layer's channels moves the receiver's logits: float64 (C, C) by layer.

    It is the second moment of the gradients, E[JᵀJ], summed over logits and places, at the expected representations.
    The mean over classes is subtracted from the logits, since a common shift of all logits changes no prediction.
    """

    def moments(batch: slice) -> dict[int, Tensor]:
        with torch.enable_grad():
            prepared = receiver.prepared(images.scaled(chosen[batch])).requires_grad_()
            *stages, logits = receiver.stages(INPUT, prepared)
            centred = logits - logits.mean(dim=1, keepdim=True)
            inputs = [stages[j + 1] for j in layers]
            found = dict.fromkeys(layers, 0.0)
            for each in centred.unbind(dim=1):
                gradients = torch.autograd.grad(each.sum(), inputs, retain_graph=True)
                for j, gradient in zip(layers, gradients, strict=True):
                    rows = at_places(gradient, receiver.shapes[j])
                    found[j] = found[j] + rows.T @ rows
            return found

    totals = dict.fromkeys(layers, 0.0)
    for found in in_batches(moments, len(chosen), BATCH):
        totals = {j: total + found[j] for j, total in totals.items()}
    return {j: total / len(chosen) for j, total in totals.items()}


def at_places(values: Tensor, shape: Representation) -> Tensor:
    """Representations (N, *shape) as rows, one per place or extra token: float64 (N * places, C)."""
    return values.movedim(shape.channel_dimension, -1).reshape(-1, shape.channels).double()


def moments(rows: Tensor) -> Tensor:
    """Count, sum and outer products of rows (n, C), in one matrix: float64 (1 + C, 1 + C)."""
    rows = torch.cat((torch.ones_like(rows[:, :1]), rows), dim=1)
    return rows.T @ rows


def covariance(found: Tensor) -> Tensor:
    """Covariance of the channels (C, C), from their `moments`."""
    mean, products = found[0, 1:] / found[0, 0], found[1:, 1:] / found[0, 0]
    return products - torch.outer(mean, mean)


def correlation(one: Tensor, other: Tensor, product: Tensor) -> float:
    """Correlation of two representations over places and channels, each channel centred; NaN for a constant.

    Args:
        one, other: their `moments`.
        product: the sum over places and channels of one times the other.
    """
    count = one[0, 0]
    between = product / count - one[0, 1:] @ other[0, 1:] / count**2
    norm = (torch.trace(covariance(one)) * torch.trace(covariance(other))).sqrt()
    return (between / norm).item() if norm > 0 else np.nan


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Cosine of two weights (O, D) as vectors; NaN if one is zero."""
    norm = np.linalg.norm(one) * np.linalg.norm(other)
    return float(np.vdot(one, other) / norm) if norm > 0 else np.nan


@torch.no_grad()
def observe(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    stitches: Mapping[str, Mapping[Cell, Any]],
    images: DeviceImages,
    chosen: Tensor,
) -> Observed:
    """The sums over the chosen images, for the receiver and for the stitches."""
    cells = sorted({cell for maps in stitches.values() for cell in maps})
    objectives = sorted(stitches, key=lambda objective: objective != REFERENCE)

    def measure(batch: slice) -> Observed:
        inputs = images.scaled(chosen[batch])
        sent, expected = sender.representations(inputs), receiver.representations(inputs)
        layers = {j for _, j in cells}
        found = Observed({j: moments(at_places(expected[j], receiver.shapes[j])) for j in layers}, {}, {})
        for i, j in cells:
            reference = None
            for objective in objectives:
                if (i, j) not in stitches[objective]:
                    continue
                rows = at_places(stitches[objective][i, j](sent[i]), receiver.shapes[j])
                found.stitched[objective, (i, j)] = moments(rows)
                if objective == REFERENCE:
                    reference = rows
                elif reference is not None:
                    found.products[objective, (i, j)] = (rows * reference).sum()
        return found

    parts = list(in_batches(measure, len(chosen), BATCH))
    return Observed(*({key: sum(part[key] for part in kind) for key in kind[0]} for kind in zip(*parts, strict=True)))


@enough_memory("the networks' size")
def measure_pair(
    sender: Network,
    receiver: Network,
    dataset: Dataset,
    settings: StitchSpectra,
    study_seed: int,
    precision: str = "float32",
    device: str = "cpu",
    **stitches: Mapping[Cell, Any],
) -> pd.DataFrame:
    """One row per objective and cell, with `COLUMNS`.

    Energy and agreement are measured on test images that are drawn once per study.

    Args:
        sender, receiver: the networks.
        dataset: the images.
        settings: number of images.
        study_seed: seed of the study.
        precision: precision of the stitches, as a study names it.
        device: device of the computation.
        **stitches: the stitches of each objective, by cell.

    Raises:
        ModelstitchError: if the device has too little memory.
    """
    prepare(device)
    image = tuple(dataset.test.images.shape[1:])
    images = DeviceImages(dataset, dataset.test, device)
    frozen = [freeze(network.with_images(image), precision, device) for network in (sender, receiver)]
    chosen = drawn(len(images), settings.images, seed_of(study_seed, "stitch_spectra"))
    observed = observe(*frozen, {name: on_device(maps, device) for name, maps in stitches.items()}, images, chosen)
    sensitivity = sensitivities(frozen[1], images, chosen, sorted(observed.expected))
    directions = {j: sensitive_directions(one) for j, one in sensitivity.items()}
    recipes = {
        f"{role}_recipe": NetworkId.parse(one.name).recipe for role, one in (("sender", sender), ("receiver", receiver))
    }
    rows = []
    for objective, maps in stitches.items():
        for (i, j), stitch in sorted(maps.items()):
            found, weight = observed.stitched[objective, (i, j)], weight_of(stitch)
            row = recipes | {
                "objective": objective,
                "sender": sender.name,
                "receiver": receiver.name,
                "sender_layer": i,
                "sender_layer_name": frozen[0].layers[i].name,
                "sender_layer_count": len(frozen[0].layers),
                "receiver_layer": j,
                "receiver_layer_name": frozen[1].layers[j].name,
                "receiver_layer_count": len(frozen[1].layers),
                "channels": frozen[1].shapes[j].channels,
                "sensitive_directions": directions[j].shape[1],
                "sensitive_energy": share_in(directions[j], covariance(found)),
                "sensitive_energy_expected": share_in(directions[j], covariance(observed.expected[j])),
            }
            if weight is not None:
                row |= spectrum(weight) | random_spectrum(*weight.shape)
            if (objective, (i, j)) in observed.products:
                reference = observed.stitched[REFERENCE, (i, j)]
                row["task_output_correlation"] = correlation(found, reference, observed.products[objective, (i, j)])
                other = weight_of(stitches[REFERENCE][i, j])
                if weight is not None and other is not None:
                    row["task_weight_cosine"] = cosine(weight, other)
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))
