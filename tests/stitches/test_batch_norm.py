"""Batch normalisation, then a linear map: torch's own two modules, and the function that the linear one has."""

import pytest
import torch
from torch import nn

from modelstitch.config.families import BatchNorm
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families import linear
from modelstitch.stitches.families.batch_norm import solve
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import KINDS, moments_of, values_of

SETTINGS = BatchNorm(name="batch-norm")


def test_it_is_torchs_batch_norm_in_evaluation_then_a_convolution():
    geometry = Geometry.between(Representation(3, 4, 4), Representation(5, 4, 4))
    sent, received = values_of(geometry.source), values_of(geometry.target, seed=1)
    stitch = solve(moments_of(geometry, sent, received), (0, 0), 1e-4, SETTINGS)
    norm, map_ = nn.BatchNorm2d(3, affine=False, momentum=None).double(), nn.Conv2d(3, 5, 1).double()
    norm(sent)  # in training: its statistics are now those of what it saw
    with torch.no_grad():
        map_.weight.copy_(stitch.parts[0].weight[:, :, None, None])
        map_.bias.copy_(stitch.parts[0].bias)
        torch.testing.assert_close(stitch(sent), map_(norm.eval()(sent)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_its_least_squares_are_the_linear_ones(source, target):
    geometry = Geometry.between(source, target)
    moments = moments_of(geometry, values_of(source), values_of(target, seed=1))
    found, same = solve(moments, (0, 0), 1e-4, SETTINGS), linear.solve(moments, (0, 0), 1e-4)
    values = values_of(source, images=3, seed=2)
    torch.testing.assert_close(found(values), same(values), rtol=1e-3, atol=1e-3)


def test_training_moves_weights_and_biases_alone():
    geometry = Geometry.between(Representation(3, 4, 4), Representation(5, 4, 4))
    stitch = solve(moments_of(geometry, values_of(geometry.source), values_of(geometry.target)), (0, 0), 0.1, SETTINGS)
    assert [tensor.shape for tensor in stitch.parameters] == [(5, 3), (5,)]
