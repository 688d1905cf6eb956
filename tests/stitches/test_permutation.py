"""Permutations of channels: a planted one is found, whatever the channels' scales, and none other is nearer."""

import itertools

import numpy as np
import pytest
import torch

from modelstitch.config.families import Permutation
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families.permutation import Assignment, Stitch, initialise, solve
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import KINDS, error_of, moments_of, rows_of, values_of

SETTINGS = Permutation(name="permutation")


def between(inputs, outputs):
    return Geometry.between(Representation(inputs, 4, 4), Representation(outputs, 4, 4))


def solved(geometry, sent, received):
    return solve(moments_of(geometry, sent, received), (0, 0), 1e-4, SETTINGS)


def test_a_planted_permutation_with_scales_and_biases_is_found():
    geometry = between(7, 7)
    source = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    planted = Assignment(torch.linspace(0.1, 5, 7), torch.arange(7) - 3.0, source)
    sent = values_of(geometry.source)
    found = solved(geometry, sent, Stitch(geometry, (planted,))(sent)).parts[0]
    for one, other in zip(found, planted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 5), (6, 4), (4, 6)])
def test_no_assignment_is_nearer(inputs, outputs):
    """All of them are tried, each channel with its best scale that is not negative."""
    geometry = between(inputs, outputs)
    sent, received = values_of(geometry.source), values_of(geometry.target, seed=1)
    seen, wanted = rows_of(geometry, sent, received)
    seen, wanted = seen - seen.mean(0), wanted - wanted.mean(0)
    scales = np.clip(seen.T @ wanted, 0, None) / np.square(seen).sum(0)[:, None]
    explained = scales * (seen.T @ wanted)
    pairs = min(inputs, outputs)
    best = max(
        explained[list(rows), list(columns)].sum()
        for rows in itertools.permutations(range(inputs), pairs)
        for columns in ([range(outputs)] if outputs == pairs else itertools.combinations(range(outputs), pairs))
    )
    found = solved(geometry, sent, received)
    least = (np.square(wanted).sum() - best) / wanted.size
    assert error_of(found, sent, received) == pytest.approx(least, rel=1e-5)
    source = found.parts[0].source
    assert len(source[source >= 0].unique()) == (source >= 0).sum() == pairs
    assert (found.parts[0].scale >= 0).all()


def test_channels_without_a_partner_are_constant():
    geometry = between(2, 5)
    sent, received = values_of(geometry.source), values_of(geometry.target, seed=1)
    stitch = solved(geometry, sent, received)
    alone = stitch.parts[0].source < 0
    assert alone.sum() == 3
    given, means = stitch(sent)[:, alone], received.mean(dim=(0, 2, 3))[alone]
    torch.testing.assert_close(given, means[:, None, None].expand_as(given), rtol=1e-5, atol=1e-5)


def test_of_a_patch_each_channel_takes_one_number():
    geometry = Geometry.between(KINDS[0], KINDS[1])
    stitch = initialise(geometry, 0, SETTINGS)
    weight = stitch.linear.maps[0].weight
    assert weight.shape == (2, 12) and weight.sum(dim=1).tolist() == [1, 1] and weight.sum(dim=0).max() == 1


def test_training_moves_scales_and_biases_alone():
    stitch = initialise(between(4, 4), 0, SETTINGS)
    assert [id(tensor) for tensor in stitch.parameters] == [id(tensor) for tensor in stitch.parts[0][:2]]
