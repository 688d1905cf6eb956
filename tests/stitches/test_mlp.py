"""Two-layer stitches: torch's own layers, and a start that is the linear one."""

import pytest
import torch
from torch import nn

from modelstitch.config.families import MLP, LowRank
from modelstitch.fitting.beginning import trainable
from modelstitch.fitting.matching import error
from modelstitch.networks.representations import Representation
from modelstitch.optimisers import AdamW
from modelstitch.stitches.families import linear, low_rank
from modelstitch.stitches.families.mlp import initialise, solve
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import KINDS, error_of, moments_of, values_of

GEOMETRY = Geometry.between(Representation(4, 3, 3), Representation(5, 3, 3))


def of_size(hidden):
    return MLP(name="mlp", hidden=hidden)


def test_it_is_torchs_two_layers_at_each_place():
    stitch, values = initialise(GEOMETRY, 0, of_size(7)), values_of(GEOMETRY.source, images=3)
    layers = nn.Sequential(nn.Conv2d(4, 7, 1), nn.ReLU(), nn.Conv2d(7, 5, 1)).double()
    with torch.no_grad():
        for parameter, tensor in zip(layers.parameters(), stitch.parts[0], strict=True):
            parameter.copy_(tensor.view(parameter.shape))
        torch.testing.assert_close(stitch(values), layers(values))


@pytest.mark.parametrize("hidden", [8, 9, 40])
@pytest.mark.parametrize(("source", "target"), [(KINDS[0], KINDS[3]), (KINDS[1], KINDS[1]), (KINDS[4], KINDS[5])])
def test_its_start_is_the_linear_map_of_half_as_high_a_rank(source, target, hidden):
    moments = moments_of(Geometry.between(source, target), values_of(source), values_of(target, seed=1))
    found = solve(moments, (0, 0), 1e-4, of_size(hidden))
    same = low_rank.solve(moments, (0, 0), 1e-4, LowRank(name="low-rank", rank=hidden // 2))
    values = values_of(source, images=3, seed=2)
    torch.testing.assert_close(found(values), same(values), rtol=1e-3, atol=1e-3)


def test_from_that_start_it_learns_what_no_linear_stitch_can():
    sent = values_of(GEOMETRY.source).float()
    received = (sent - 0.3).abs()[:, [0, 1, 2, 3, 0]]
    moments = moments_of(GEOMETRY, sent.double(), received.double())
    nearest = error_of(linear.solve(moments, (0, 0), 1e-6), sent, received)
    stitch = trainable(solve(moments, (0, 0), 1e-6, of_size(32)), "cpu")
    assert error_of(stitch, sent, received) == pytest.approx(nearest, rel=1e-3)
    optimiser = AdamW(stitch.parameters)
    optimiser.rate = 0.01
    before = [tensor.detach().clone() for tensor in stitch.parameters]
    for _ in range(200):
        optimiser.zero_grad()
        error(stitch, sent, received).backward()
        optimiser.step()
    assert error_of(stitch, sent, received) < 0.5 * nearest
    moved = [
        (tensor != old).flatten(1).any(dim=1)
        for tensor, old in zip(stitch.parameters, before, strict=True)
        if tensor.ndim == 2
    ]
    assert all(rows.all() for rows in moved)  # no unit is dead
