"""Stitches of limited rank: a planted map is found, and no other of such a rank is nearer."""

import numpy as np
import pytest
import torch

from modelstitch.config.families import LowRank
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families import linear
from modelstitch.stitches.families.low_rank import Factors, Stitch, capacity, initialise, numbers, solve
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import KINDS, error_of, moments_of, rows_of, values_of

GEOMETRY = Geometry.between(Representation(8, 4, 4), Representation(6, 4, 4))


def of_rank(rank):
    return LowRank(name="low-rank", rank=rank)


def solved(geometry, sent, received, rank, ridge=0.0):
    return solve(moments_of(geometry, sent, received), (0, 0), ridge, of_rank(rank))


def test_a_planted_map_is_found():
    planted, sent = initialise(GEOMETRY, 0, of_rank(2)), values_of(GEOMETRY.source)
    received = planted(sent)
    found = solved(GEOMETRY, sent, received, 2)
    torch.testing.assert_close(found(sent), received, rtol=1e-4, atol=1e-5)
    assert [tensor.shape for tensor in found.parts[0]] == [(6, 2), (2, 8), (6,)]


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize(("source", "target"), [(KINDS[0], KINDS[1]), (KINDS[3], KINDS[4]), (KINDS[5], KINDS[3])])
def test_it_is_reduced_rank_regression(source, target, rank):
    """By definition: least squares, then the best approximation of such a rank of what those give (numpy)."""
    geometry = Geometry.between(source, target)
    sent, received = values_of(source), values_of(target, seed=1)
    found = solved(geometry, sent, received, rank, ridge=1e-12)
    for part, (weight, bias) in enumerate(found.linear.maps):
        seen, wanted = rows_of(geometry, sent, received, part)
        centred, aims = seen - seen.mean(0), wanted - wanted.mean(0)
        fitted = centred @ np.linalg.lstsq(centred, aims, rcond=None)[0]
        left, values, right = np.linalg.svd(fitted, full_matrices=False)
        slow = left[:, :rank] * values[:rank] @ right[:rank] + wanted.mean(0)
        np.testing.assert_allclose(seen @ weight.numpy().T + bias.numpy(), slow, rtol=1e-3, atol=1e-3)
        assert np.linalg.matrix_rank(weight.numpy(), tol=1e-4) == min(rank, *weight.shape)


def test_steps_from_it_find_no_nearer_one():
    sent, received = values_of(GEOMETRY.source), values_of(GEOMETRY.target, seed=1)
    found = solved(GEOMETRY, sent, received, 2)
    least, generator = error_of(found, sent, received), torch.Generator().manual_seed(0)
    for scale in (1e-3, 1e-2, 1e-1):
        for _ in range(20):
            noise = (scale * torch.randn(tensor.shape, generator=generator) for tensor in found.parts[0])
            other = Factors(*(tensor + change for tensor, change in zip(found.parts[0], noise, strict=True)))
            assert error_of(Stitch(GEOMETRY, (other,)), sent, received) > least


@pytest.mark.parametrize("rank", [6, 100])
def test_a_rank_that_limits_nothing_is_linear(rank):
    sent, received = values_of(GEOMETRY.source), values_of(GEOMETRY.target, seed=1)
    found = solved(GEOMETRY, sent, received, rank, ridge=1e-4)
    unlimited = linear.solve(moments_of(GEOMETRY, sent, received), (0, 0), 1e-4)
    for one, other in zip(found.linear.maps[0], unlimited.maps[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert capacity(GEOMETRY, of_rank(rank)) == linear.numbers(GEOMETRY)


def test_numbers_and_capacity_are_counted_by_hand():
    assert numbers(GEOMETRY, of_rank(2)) == 2 * 8 + 6 * 2 + 6
    assert capacity(GEOMETRY, of_rank(2)) == 2 * (8 + 6 - 2) + 6
