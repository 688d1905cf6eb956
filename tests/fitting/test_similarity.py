"""Stitches by squared error: in closed form, and by steps that approach it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modelstitch.config.families import Family, label
from modelstitch.config.section import Augmentation, read
from modelstitch.config.stitches import LeastSquares
from modelstitch.data.images import DeviceImages
from modelstitch.fitting.beginning import moments_of, trainable
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.matching import error
from modelstitch.fitting.objectives import similarity
from modelstitch.fitting.pair import train_pair
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families import geometry_of
from modelstitch.stitches.families.linear import initialise
from modelstitch.stitches.geometry import Geometry
from tests.settings import stitch_settings

CLOSED = LeastSquares(
    protocol="least-squares",
    ridge=1e-6,
    precision="float32",
    sender_layers="all",
    receiver_layers="all",
    keep_stitches=False,
)


SHAPES = [
    Representation(3, 8, 8),
    Representation(4, 4, 2, "map-last"),
    Representation(5, 7, 5),
    Representation(4, 4, 4, "tokens", 1),
    Representation(6, 2, 2, "tokens", 2),
    Representation(6, layout="vector"),
]


@pytest.mark.parametrize("source", SHAPES)
@pytest.mark.parametrize("target", SHAPES)
def test_the_error_before_upsampling_is_that_after_it(source, target):
    generator = torch.Generator().manual_seed(0)
    sent, received = (torch.randn(3, *shape.shape, generator=generator) for shape in (source, target))
    stitch = trainable(initialise(Geometry.between(source, target), seed=0), "cpu")
    fast, slow = error(stitch, sent, received), F.mse_loss(stitch(sent), received)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-6)
    gradients = [torch.autograd.grad(loss, stitch.parameters) for loss in (fast, slow)]
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


FAMILIES = [
    {"name": "linear"},
    {"name": "low-rank", "rank": 2},
    {"name": "orthogonal"},
    {"name": "permutation"},
    {"name": "convolution", "kernel": 3},
    {"name": "resized", "mode": "nearest"},
    {"name": "bias"},
    {"name": "batch-norm"},
]


@pytest.mark.parametrize("family", [read(Family, each) for each in FAMILIES], ids=label)
def test_the_closed_forms_loss_is_the_error_of_its_stitches(few_digits, trained, random_networks, family):
    receiver = random_networks[0]
    frozen = FrozenNetwork(trained), FrozenNetwork(receiver)
    shapes = [network.shapes for network in frozen]
    cells = {(i, j): geometry_of(family)(shapes[0][i], shapes[1][j]) for j in range(0, 6, 2) for i in range(0, 5, 2)}
    images = DeviceImages(few_digits, few_digits.train)
    fit = similarity.fit(
        FitInputs(*frozen, cells, images, CLOSED.model_copy(update={"family": family}), (0,), "stitches")
    )
    maps = [network.representations(images.scaled(slice(None))) for network in frozen]
    for (cell, stitch), loss in zip(fit.stitches.items(), fit.loss[0], strict=True):
        expected = F.mse_loss(stitch(maps[0][cell[0]]), maps[1][cell[1]]).item()
        assert loss == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_a_network_stitched_to_itself_keeps_its_accuracy(digits, trained):
    record, _ = train_pair(trained, trained, digits, CLOSED, objective="similarity", study_seed=0)
    assert record.attributes["objective"] == "similarity" and record.attributes["train_images"] == 1437
    for j, column in enumerate(record.columns):
        assert column.test_accuracy[j] == pytest.approx(trained.about["accuracy"], abs=0.01)
        assert np.isnan(column.train_accuracy).all() and not column.diverged.any()
        assert column.train_loss[j, 0] < 1e-4 * max(column.train_loss[:, 0])


def cells_between(frozen):
    sources, targets = (network.shapes for network in frozen)
    return {(i, j): Geometry.between(sources[i], targets[j]) for j in (1, 3) for i in (0, 2, 4)}


def full_batches(**changes):
    nothing = Augmentation(flip=False, shift=0, cutout=0)
    return stitch_settings(augmentation=nothing, learning_rate=0.05, warmup_epochs=1, batch=203, **changes)


def test_steps_approach_the_closed_form(few_digits, trained, random_networks):
    """Never below it, and after 200 steps of all images most of the way there from a bias alone."""
    frozen = FrozenNetwork(trained), FrozenNetwork(random_networks[0])
    cells, images = cells_between(frozen), DeviceImages(few_digits, few_digits.train)
    exact = similarity.fit(
        FitInputs(*frozen, cells, images, CLOSED.model_copy(update={"ridge": 0.0}), (0,), "closed")
    ).loss[-1]
    steps = similarity.fit(
        FitInputs(*frozen, cells, images, full_batches(weight_decay=0.0, epochs=200), (0,), "steps")
    ).loss[-1]
    maps = frozen[1].representations(images.scaled(slice(None)))
    alone = np.array([maps[j].var(dim=(0, 2, 3), correction=0).mean().item() for _, j in cells])
    assert (steps > exact * 0.999).all()
    left = (steps - exact) / (alone - exact)
    assert left.max() < 0.6 and np.median(left) < 0.2


def test_steps_with_weight_decay_end_at_a_ridge_of_half_of_it_a_channel(few_digits, trained, random_networks):
    """The reckoning of docs/paper.md: a mean over C channels makes a decay d a ridge d C / 2, of the bias too."""
    decay = 0.3
    frozen = FrozenNetwork(trained), FrozenNetwork(random_networks[0])
    cells, images = cells_between(frozen), DeviceImages(few_digits, few_digits.train)
    fit = similarity.fit(FitInputs(*frozen, cells, images, full_batches(weight_decay=decay, epochs=200), (0,), "steps"))
    moments = moments_of(*frozen, cells, [images.scaled(slice(None))], torch.float64)
    for cell, stitch in fit.stitches.items():
        square, cross = moments.sums(cell)
        ridge = decay * cross.shape[1] / 2 * torch.eye(len(square))
        expected = torch.linalg.solve(square / square[-1, -1] + ridge, cross / square[-1, -1])
        weight, bias = stitch.maps[0]
        found = torch.cat((weight, bias[:, None]), dim=1).T.double()
        assert (found - expected).norm() < 0.02 * expected.norm()
