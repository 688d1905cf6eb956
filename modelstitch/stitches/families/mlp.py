"""Two-layer stitches: linear, ReLU, linear, at each place.

Non-linear stitches, such as those between tokens in arXiv 2603.12433, can compute things that the sender lacks. They
are here to show the effect of capacity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelstitch.config.families import MLP
from modelstitch.stitches.families.linear import between
from modelstitch.stitches.families.low_rank import reduced
from modelstitch.stitches.geometry import Cell, Geometry
from modelstitch.stitches.parted import PartedStitch
from modelstitch.stitches.parts import PartMoments, solved

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.stitches.normal_equations import Moments

__all__ = ["Layers", "Stitch", "between", "capacity", "initialise", "numbers", "operations", "solve"]


class Layers(NamedTuple):
    """Weight (H, D) and bias (H,) of the hidden layer, and those of the layer after it, (O, H) and (O,)."""

    hidden_weight: Tensor
    hidden_bias: Tensor
    weight: Tensor
    bias: Tensor


class Stitch(PartedStitch):
    """Two layers for each of the geometry's parts."""

    KIND = Layers

    def at_places(self, values: Tensor) -> list[Tensor]:
        """Outputs of each part before any upsampling, (N, ..., O)."""
        import torch.nn.functional as F

        from modelstitch.stitches.assembly import inputs

        given = []
        for seen, part in zip(inputs(values, self.geometry), self.parts, strict=True):
            layers = Layers(*(tensor.to(values.dtype) for tensor in part))
            hidden = F.linear(seen, layers.hidden_weight, layers.hidden_bias).relu()
            given.append(F.linear(hidden, layers.weight, layers.bias))
        return given


def numbers(geometry: Geometry, settings: MLP) -> int:
    """Weights and biases of both layers."""
    return sum((part.inputs + 1) * settings.hidden + (settings.hidden + 1) * part.outputs for part in geometry.parts)


def capacity(geometry: Geometry, settings: MLP) -> int:
    """Weights and biases, less one number per hidden unit: its scale, which the layer after it can undo."""
    return numbers(geometry, settings) - settings.hidden * len(geometry.parts)


def operations(geometry: Geometry, settings: MLP) -> int:
    """Operations of a forward pass for one image."""
    return sum(2 * part.places * settings.hidden * (part.inputs + part.outputs) for part in geometry.parts)


def initialise(geometry: Geometry, seed: int, settings: MLP) -> Stitch:
    """Weights and biases of each layer uniform in ±1/sqrt(inputs), torch's own start."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    parts = []
    for part in geometry.parts:
        tensors = []
        for outputs, inputs in ((settings.hidden, part.inputs), (part.outputs, settings.hidden)):
            bound = inputs**-0.5
            for shape in ((outputs, inputs), (outputs,)):
                tensors.append(torch.empty(shape).uniform_(-bound, bound, generator=generator))
        parts.append(Layers(*tensors))
    return Stitch(geometry, tuple(parts))


def solve(moments: Moments, cell: Cell, ridge: float, settings: MLP) -> Stitch:
    """A start, not a solution: the linear map of least mean squared error and rank H / 2, which two layers can express.

    Two units together, relu(x) - relu(-x), are linear; their kink is at the mean of their input. The remaining units
    have fresh input weights, and output weights of 0.
    """
    import torch

    def layers(known: PartMoments) -> Layers:
        rank = min(settings.hidden // 2, known.part.inputs, known.part.outputs)
        mean, _, target_mean, _ = known.statistics
        hidden_weight, hidden_bias, weight = (each.to(mean, copy=True) for each in known.start[:3])
        weight.zero_()
        if rank:
            up, down = reduced(known, rank)
            hidden_weight[: 2 * rank] = torch.cat((down, -down))
            hidden_bias[: 2 * rank] = -hidden_weight[: 2 * rank] @ mean
            weight[:, : 2 * rank] = torch.cat((up, -up), dim=1)
        return Layers(hidden_weight, hidden_bias, weight, target_mean)

    return solved(moments, cell, ridge, initialise(moments.geometries[cell], 0, settings), layers)
