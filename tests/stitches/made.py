"""Stitches that tests need, and representations for them."""

import torch

from modelstitch.networks.representations import Representation
from modelstitch.stitches.assembly import expected, inputs
from modelstitch.stitches.families.linear import LinearMap, Stitch
from modelstitch.stitches.normal_equations import Moments

KINDS = [
    Representation(3, 8, 8),
    Representation(2, 4, 4, "map-last"),
    Representation(4, 7, 5),
    Representation(5, 4, 4, "tokens", 1),
    Representation(3, 4, 4, "tokens", 2),
    Representation(6, layout="vector"),
]


def identity(geometry):
    """The stitch that changes nothing, between representations of one shape."""
    maps = tuple(LinearMap(torch.eye(part.outputs, part.inputs), torch.zeros(part.outputs)) for part in geometry.parts)
    return Stitch(geometry, maps)


def values_of(shape, images=200, seed=0):
    """Representations (N, *shape), float64, whose channels are correlated and have a mean."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(images, *shape.shape, dtype=torch.float64, generator=generator)
    mixing = torch.randn(shape.channels, shape.channels, dtype=torch.float64, generator=generator)
    return (values.movedim(shape.channel_dimension, -1) @ mixing).movedim(-1, shape.channel_dimension) + 0.3


def moments_of(geometry, sent, received):
    """The moments of one cell, (0, 0)."""
    moments = Moments({(0, 0): geometry})
    moments.add({0: sent}, {0: received})
    return moments


def rows_of(geometry, sent, received, part=0):
    """What a part sees and should give, at every place of every image: numpy (N, D) and (N, O)."""
    seen, wanted = inputs(sent, geometry)[part], expected(received, geometry)[part]
    return seen.flatten(0, -2).numpy(), wanted.flatten(0, -2).numpy()


def error_of(stitch, sent, received):
    """Mean squared error to the expected representation."""
    return (stitch(sent) - received).square().mean().item()
