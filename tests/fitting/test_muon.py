import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.beginning import trainable
from modelstitch.fitting.muon import MOMENTUM, WHITENING_RIDGE, WhitenedMuon, inverse_roots
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.representations import Representation
from modelstitch.stitches.assembly import patches
from modelstitch.stitches.families.linear import LinearMap, Stitch, initialise
from modelstitch.stitches.geometry import Geometry, geometries
from modelstitch.stitches.normal_equations import Moments
from tests import naive


@pytest.mark.parametrize("cell", [(0, 0), (1, 2), (3, 1)])
def test_whitened_muon_is_muon_on_whitened_maps(few_digits, trained, cell):
    """The reference trains a plain linear map, by torch's Muon, on patches that were whitened one by one."""
    network = replace(trained, module=copy.deepcopy(trained.module).double())
    frozen = FrozenNetwork(network, torch.float64)
    shapes = frozen.shapes
    geometry = Geometry.between(shapes[cell[0]], shapes[cell[1]])
    images = DeviceImages(few_digits, few_digits.train)
    batch, labels = next(images.in_order())
    batch, labels = batch[:64], labels[:64]
    maps = frozen.representations(batch)
    moments = Moments({cell: geometry})
    moments.add(maps, maps)
    whitening = moments.whitenings(WHITENING_RIDGE)[cell, 0]
    matrix = naive.root(whitening.inverse_covariance)
    expected = maps[cell[1]]
    deviation = (expected.square().mean() - expected.mean(dim=(0, 2, 3)).square().mean()).sqrt().item()
    assert moments.deviation(cell) == pytest.approx(deviation)

    generator = torch.Generator().manual_seed(0)
    (part,) = geometry.parts
    weight = torch.randn(part.outputs, part.inputs, dtype=torch.float64, generator=generator).mul_(0.1)
    bias = torch.zeros(part.outputs, dtype=torch.float64)
    stitch = Stitch(geometry, (LinearMap(weight.requires_grad_(), bias.requires_grad_()),))
    optimiser = WhitenedMuon({cell: stitch}, moments)

    seen = (patches(maps[cell[0]], geometry.kernel) - whitening.mean) @ matrix
    seen = torch.cat((seen, torch.ones_like(seen[..., :1])), dim=3)
    start = naive.WhitenedMuon(stitch.maps[0], whitening, deviation, MOMENTUM).weight
    linear = start.clone().requires_grad_()
    tall = max(1, len(start) / start.shape[1]) ** 0.5  # torch's own factor
    rate = 0.05 * deviation / min(start.shape) ** 0.5 / tall
    muon = torch.optim.Muon([linear], lr=rate, weight_decay=0.0, momentum=MOMENTUM)
    for _ in range(5):
        optimiser.rate = 0.05
        optimiser.zero_grad()
        F.cross_entropy(frozen.suffix(cell[1], stitch(maps[cell[0]])), labels).backward()
        optimiser.step()
        muon.zero_grad()
        stitched = F.interpolate((seen @ linear.T).permute(0, 3, 1, 2), scale_factor=geometry.scale, mode="nearest")
        F.cross_entropy(frozen.suffix(cell[1], stitched), labels).backward()
        muon.step()
    moved = linear.detach()
    ours = naive.WhitenedMuon(stitch.maps[0], whitening, deviation, MOMENTUM).weight
    # torch orthogonalises in bfloat16.
    assert (ours - moved).norm() < 0.05 * (moved - start).norm()


def double(stitch):
    """A stitch in float64 that can be trained."""
    tensors = {name: tensor.double() for name, tensor in stitch.tensors.items()}
    return trainable(Stitch.of(stitch.geometry, tensors), "cpu")


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])  # whose squares vanish or overflow
def test_stitches_move_in_groups_as_each_alone_whatever_the_scale_of_gradients(scale):
    """Several of a geometry, wide and tall weights, one whose inputs are all the same, and extra tokens."""
    shapes = [(3, 8, 8), (5, 8, 8), (5, 8, 8), (6, 4, 4), (6, 4, 4), (40, 2, 2)]
    shapes = dict(enumerate([*(Representation(*shape) for shape in shapes), Representation(4, 4, 4, "tokens", 1)]))
    cells = geometries(shapes, shapes, range(7), range(7))
    del cells[1, 2]  # so not as many for each whitening
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    values = {i: (i > 0) * random(20, *shape.shape) * 10.0 ** (i - 2) + i for i, shape in shapes.items()}
    moments = Moments(cells)
    moments.add(values, values)
    stitches = {cell: double(initialise(geometry, 0)) for cell, geometry in cells.items()}
    stretch = 3.0
    whitenings = moments.whitenings(WHITENING_RIDGE)
    slow = {
        (cell, part): naive.WhitenedMuon(one, whitenings[cell, part], moments.deviation(cell, part), MOMENTUM)
        for cell, stitch in stitches.items()
        for part, one in enumerate(stitch.maps)
    }
    optimiser = WhitenedMuon(stitches, moments, stretch)
    counts = {(len(one.inverses), len(one.maps)) for several in optimiser.groups.values() for one in several}
    assert {(1, 1), (1, 2), (2, 2), (2, 4)} <= counts  # whitenings, and maps that move as a group
    for rate in (0.1, 0.03, 0.01):
        optimiser.rate = rate
        for cell, stitch in stitches.items():
            for part, (weight, bias) in enumerate(stitch.maps):
                weight.grad, bias.grad = (scale * random(*tensor.shape) for tensor in (weight, bias))
                slow[cell, part].step(stretch * rate, weight.grad, bias.grad)
        optimiser.step()
    for cell, stitch in stitches.items():
        for part, (weight, bias) in enumerate(stitch.maps):
            expected_weight, expected_bias = slow[cell, part].part()
            torch.testing.assert_close(weight, expected_weight, rtol=1e-6, atol=1e-9)
            torch.testing.assert_close(bias, expected_bias, rtol=1e-6, atol=1e-7)


def test_stitches_that_are_no_linear_maps_are_refused():
    class Other:
        parameters = ()

    with pytest.raises(ModelstitchError, match="protocol fast moves linear maps"):
        WhitenedMuon({(0, 0): Other()}, Moments({}))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_float32_is_exact_enough_for_wide_stitches_of_unequal_variances(scale):
    """512 channels whose variances fall from 1 to a 260,000th, in a random basis, beside means of their size."""
    geometry = Geometry.between(Representation(512, 4, 4), Representation(16, 4, 4))
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(512, 512, dtype=torch.float64, generator=generator))
    pixels = torch.randn(1600, 512, dtype=torch.float64, generator=generator) / torch.arange(1, 513) + 1
    pixels = scale * pixels @ basis
    maps = pixels.unflatten(0, (100, 4, 4)).permute(0, 3, 1, 2)
    expected = torch.randn(100, 16, 4, 4, dtype=torch.float64, generator=generator)
    moved = []
    for dtype in (torch.float64, torch.float32):
        moments = Moments({(0, 0): geometry})
        moments.add({0: maps}, {0: expected})
        start = LinearMap(*(torch.zeros(size, dtype=dtype) for size in ((16, 512), (16,))))
        optimiser = WhitenedMuon({(0, 0): Stitch(geometry, (start,))}, moments)
        directions = torch.Generator().manual_seed(1)
        for optimiser.rate in (0.1, 0.05):
            errors = torch.randn(1600, 16, dtype=torch.float64, generator=directions)
            start.weight.grad = (errors.T @ pixels).to(dtype)
            start.bias.grad = errors.sum(dim=0).to(dtype)
            optimiser.step()
        moved.append(pixels @ start.weight.T.double() + start.bias)
    assert (moved[1] - moved[0]).norm() < 0.01 * moved[0].norm()


def test_a_stitch_whose_gradient_is_zero_stays_and_one_that_overflows_spoils_no_other():
    shape = Representation(4, 4, 4)
    cells = geometries({0: shape}, dict.fromkeys(range(3), shape), [0], range(3))
    maps = torch.randn(20, 4, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moments = Moments(cells)
    moments.add({0: maps}, dict.fromkeys(range(3), maps))
    stitches = {cell: initialise(geometry, 0) for cell, geometry in cells.items()}
    before = [tensor.clone() for tensor in stitches[0, 0].parameters]
    optimiser = WhitenedMuon(stitches, moments)
    optimiser.rate = 0.1
    for (_, j), stitch in stitches.items():
        for tensor in stitch.parameters:
            tensor.grad = torch.full_like(tensor, (0.0, torch.inf, 1.0)[j])
    optimiser.step()
    assert all(torch.equal(*tensors) for tensors in zip(stitches[0, 0].parameters, before, strict=True))
    second, third = (stitches[0, j].maps[0].weight for j in (1, 2))
    assert second.isnan().any()
    assert third.isfinite().all() and not torch.equal(third, before[0])


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)])
def test_inverse_roots_keep_the_singular_vectors_and_level_the_values(shape):
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], min(shape), dtype=torch.float64, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(shape[1], min(shape), dtype=torch.float64, generator=generator))
    values = torch.logspace(0, -2, min(shape), dtype=torch.float64)
    matrix = 1e3 * (left * values) @ right.T
    found = left.T @ inverse_roots(matrix @ matrix.T) @ matrix @ right
    diagonal = found.diagonal()
    assert (found - diagonal.diag()).abs().max() < 1e-10
    assert diagonal.min() > 0.65 and diagonal.max() < 1.25
    assert not (inverse_roots(torch.zeros(2, 2)) @ torch.zeros(2, 3)).any()
