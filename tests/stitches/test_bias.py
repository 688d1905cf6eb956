"""Bias alone: the sender's channels as they are, and the difference of means."""

import pytest
import torch
import torch.nn.functional as F

from modelstitch.config.families import Bias
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families.bias import initialise, solve
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import KINDS, moments_of, values_of

SETTINGS = Bias(name="bias")


def fresh(source, target):
    return initialise(Geometry.between(source, target), 0, SETTINGS)


@pytest.mark.parametrize("shape", KINDS)
def test_between_one_shape_it_hands_on_what_it_sees(shape):
    values = values_of(shape, images=3)
    torch.testing.assert_close(fresh(shape, shape)(values), values)


@pytest.mark.parametrize("shape", KINDS)
def test_it_solves_for_the_difference_of_means(shape):
    sent = values_of(shape)
    stitch = solve(moments_of(Geometry.between(shape, shape), sent, sent + 2.5), (0, 0), 1e-4, SETTINGS)
    torch.testing.assert_close(stitch(sent), sent + 2.5, rtol=1e-5, atol=1e-5)


def test_channels_are_left_out_or_zero():
    few, many = Representation(3, 4, 4), Representation(5, 4, 4)
    values = values_of(many, images=2)
    torch.testing.assert_close(fresh(many, few)(values), values[:, :3])
    torch.testing.assert_close(fresh(few, many)(values[:, :3]), F.pad(values[:, :3], (0, 0, 0, 0, 0, 2)))


def test_a_larger_grid_counts_by_means_and_a_smaller_one_is_repeated():
    large, small, vector = Representation(3, 8, 8), Representation(3, 4, 4), Representation(3, layout="vector")
    values = values_of(large, images=2)
    torch.testing.assert_close(fresh(large, small)(values), F.avg_pool2d(values, 2))
    torch.testing.assert_close(fresh(large, vector)(values), values.mean(dim=(2, 3)))
    repeated = F.interpolate(values[:, :, :4, :4], scale_factor=2, mode="nearest")
    torch.testing.assert_close(fresh(small, large)(values[:, :, :4, :4]), repeated)


def test_a_class_token_is_the_senders_or_the_mean_of_its_grid():
    grid, one, two = (Representation(3, 4, 4, "tokens", extra) for extra in range(3))
    values = values_of(two, images=2)
    torch.testing.assert_close(fresh(grid, one)(values[:, 2:])[:, 0], values[:, 2:].mean(dim=1))
    torch.testing.assert_close(fresh(two, one)(values)[:, 0], values[:, 0])
    given = fresh(one, two)(values[:, 1:])
    assert torch.equal(given[:, 0], given[:, 1])
    torch.testing.assert_close(given[:, 0], values[:, 1])
