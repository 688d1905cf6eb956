"""Devices as tests see them: an epoch under watch, and memory that is too small."""

import torch

from modelstitch.engine import stitching
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.engine.stitching import StitchedPair, Tally
from modelstitch.fitting import protocols
from modelstitch.fitting.distillation import Teacher
from modelstitch.networks.small_resnet import build
from modelstitch.stitches.linear import geometries, initialise
from tests.settings import WIDTH


class Still:
    """An optimiser that moves nothing: torch's fused ones know no `meta` device."""

    def __init__(self, parameters):
        self.parameters, self.rate = parameters, 0.0

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.grad = None

    def step(self):
        assert all(parameter.grad.device == parameter.device for parameter in self.parameters)


def new_pair(device, width=WIDTH):
    """An untrained pair in bfloat16, with some of its cells, and the cells' geometries."""
    networks = (build(name, width, 1, 10, 0).eval() for name in ("R1111", "R1112"))
    frozen = [FrozenNetwork(network, torch.bfloat16, device) for network in networks]
    shapes = [network.shapes((1, 32, 32)) for network in frozen]
    cells = geometries(*shapes, [-1, 0, 2, 4], [-1, 0, 3, 5])
    return StitchedPair(*frozen, {cell: initialise(geometry, 0, device) for cell, geometry in cells.items()}), cells


def train_watched(pair, optimiser, images, settings, watch):
    """An epoch with soft labels, watched but for its first step, which makes what is made once. Returns the tally."""
    steps = protocols.steps(images, settings, ("order",))
    tally = Tally(list(pair.stitches), images.device)
    teacher = Teacher(pair.sender, pair.receiver, (0.5, 0.5), len(pair.stitches), images.device)
    _, _, *first = next(steps)
    stitching.take_step(pair, optimiser, *first, tally, teacher)
    with watch:
        for _, rate, batch, labels in steps:
            optimiser.rate = rate
            stitching.take_step(pair, optimiser, batch, labels, tally, teacher)
    return tally


def exhausted(*arguments, **keywords):
    """In the place of a function: raises what torch raises where a GPU's memory is exhausted."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.\nmany lines")


def limited(function, images):
    """A function for which the memory is too small where a tensor holds more than so many images."""

    def within(*arguments):
        if any(isinstance(argument, torch.Tensor) and len(argument) > images for argument in arguments):
            exhausted()
        return function(*arguments)

    return within
