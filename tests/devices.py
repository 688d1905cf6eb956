"""Devices as tests see them: an epoch under watch, and memory that is too small."""

import torch

from modelstitch.engine.evaluation import Tally
from modelstitch.engine.pair import StitchedPair
from modelstitch.fitting.beginning import trainable
from modelstitch.fitting.distillation import Teacher
from modelstitch.fitting.steps import steps
from modelstitch.fitting.training import take_step
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.stitches.families.linear import initialise
from modelstitch.stitches.geometry import geometries
from tests.settings import WIDTH, small_resnet


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
    frozen = [FrozenNetwork(small_resnet(name, width), torch.bfloat16, device) for name in ("R1111", "R1112")]
    cells = geometries(*(network.shapes for network in frozen), [-1, 0, 2, 4], [-1, 0, 3, 5])
    stitches = {cell: trainable(initialise(geometry, 0), device) for cell, geometry in cells.items()}
    return StitchedPair(*frozen, stitches), cells


def train_watched(pair, optimiser, images, settings, watch):
    """An epoch with soft targets, watched but for its first step, which makes what is made once. Returns the tally."""
    taken = steps(images, settings, ("order",), "stitches")
    tally = Tally(list(pair.stitches), images.device)
    teacher = Teacher(pair.sender, pair.receiver, (0.5, 0.5), len(pair.stitches), images.device)
    _, _, *first = next(taken)
    take_step(pair, optimiser, *first, tally, teacher)
    tally.images += len(first[1])
    with watch:
        for _, rate, batch, labels in taken:
            optimiser.rate = rate
            take_step(pair, optimiser, batch, labels, tally, teacher)
            tally.images += len(labels)
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
