import pytest
import torch
import torch.nn.functional as F

from modelstitch.data.images import DeviceImages
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.fitting.muon import MOMENTUM, WHITENING_RIDGE, WhitenedMuon, inverse_roots
from modelstitch.networks.architectures import Shape
from modelstitch.stitches.linear import Geometry, Stitch, from_rows, geometries, initialise, patches, rows
from modelstitch.stitches.normal_equations import Moments
from tests import naive


@pytest.mark.parametrize("cell", [(0, 0), (1, 2), (3, 1)])
def test_whitened_muon_is_muon_on_whitened_maps(few_digits, trained, cell):
    """The reference trains a plain linear map, by torch's Muon, on patches that were whitened one by one."""
    network = trained.double()
    frozen = FrozenNetwork(network, torch.float64)
    trained.float()
    shapes = frozen.shapes((1, 32, 32))
    geometry = Geometry.between(shapes[cell[0]], shapes[cell[1]])
    images = DeviceImages(few_digits, few_digits.train, dtype=torch.float64)
    batch, labels = next(images.in_order())
    batch, labels = batch[:64], labels[:64]
    maps = frozen.representations(batch)
    moments = Moments({cell: geometry})
    moments.add(maps, maps)
    whitening = moments.whitenings(WHITENING_RIDGE)[cell]
    matrix = naive.root(whitening.inverse_covariance)
    expected = maps[cell[1]]
    deviation = (expected.square().mean() - expected.mean(dim=(0, 2, 3)).square().mean()).sqrt().item()
    assert moments.deviation(cell) == pytest.approx(deviation)

    generator = torch.Generator().manual_seed(0)
    shape = (geometry.target.channels, geometry.source.channels, *geometry.kernel)
    weight = torch.randn(shape, dtype=torch.float64, generator=generator).mul_(0.1)
    bias = torch.zeros(shape[0], dtype=torch.float64)
    stitch = Stitch(weight.requires_grad_(), bias.requires_grad_(), geometry)
    optimiser = WhitenedMuon({cell: stitch}, moments)

    seen = (patches(maps[cell[0]], geometry.kernel) - whitening.mean) @ matrix
    seen = torch.cat((seen, torch.ones_like(seen[..., :1])), dim=3)
    start = naive.WhitenedMuon(stitch, whitening, deviation, MOMENTUM).weight
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
    ours = naive.WhitenedMuon(stitch, whitening, deviation, MOMENTUM).weight
    # torch orthogonalises in bfloat16.
    assert (ours - moved).norm() < 0.05 * (moved - start).norm()


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])  # whose squares vanish or overflow
def test_stitches_move_together_as_each_alone_whatever_the_scale_of_gradients(scale):
    """Several of a geometry, wide and tall weights, and one whose patches are all the same."""
    shapes = [Shape(3, 8, 8), Shape(5, 8, 8), Shape(5, 8, 8), Shape(6, 4, 4), Shape(6, 4, 4), Shape(40, 2, 2)]
    cells = geometries(dict(enumerate(shapes)), dict(enumerate(shapes)), range(6), range(6))
    del cells[1, 2]  # so not as many for each whitening
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    maps = {i: (i > 0) * random(20, *shape) * 10.0 ** (i - 2) + i for i, shape in enumerate(shapes)}
    moments = Moments(cells)
    moments.add(maps, maps)
    stitches = {
        cell: Stitch(*(tensor.detach().double().requires_grad_() for tensor in initialise(geometry, 0)[:2]), geometry)
        for cell, geometry in cells.items()
    }
    stretch = 3.0
    slow = {
        cell: naive.WhitenedMuon(stitch, moments.whitenings(WHITENING_RIDGE)[cell], moments.deviation(cell), MOMENTUM)
        for cell, stitch in stitches.items()
    }
    optimiser = WhitenedMuon(stitches, moments, stretch)
    counts = {(len(one.inverses), len(one.stitches)) for several in optimiser.together.values() for one in several}
    assert counts == {(1, 1), (1, 2), (2, 2), (2, 4)}  # whitenings and stitches that move together
    for rate in (0.1, 0.03, 0.01):
        optimiser.rate = rate
        for cell, stitch in stitches.items():
            stitch.weight.grad, stitch.bias.grad = (scale * random(*tensor.shape) for tensor in stitch[:2])
            slow[cell].step(stretch * rate, rows(stitch.weight.grad), stitch.bias.grad)
        optimiser.step()
    for cell, stitch in stitches.items():
        weight, bias = slow[cell].stitch()
        torch.testing.assert_close(stitch.weight, from_rows(weight, stitch.geometry), rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(stitch.bias, bias, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_float32_is_exact_enough_for_wide_stitches_of_unequal_variances(scale):
    """512 channels whose variances fall from 1 to a 260,000th, in a random basis, beside means of their size."""
    geometry = Geometry.between(Shape(512, 4, 4), Shape(16, 4, 4))
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
        start = Stitch(*(torch.zeros(size, dtype=dtype) for size in ((16, 512, 1, 1), (16,))), geometry)
        optimiser = WhitenedMuon({(0, 0): start}, moments)
        directions = torch.Generator().manual_seed(1)
        for optimiser.rate in (0.1, 0.05):
            errors = torch.randn(1600, 16, dtype=torch.float64, generator=directions)
            start.weight.grad = (errors.T @ pixels)[..., None, None].to(dtype)
            start.bias.grad = errors.sum(dim=0).to(dtype)
            optimiser.step()
        moved.append(pixels @ start.weight[..., 0, 0].T.double() + start.bias)
    assert (moved[1] - moved[0]).norm() < 0.01 * moved[0].norm()


def test_a_stitch_whose_gradient_is_zero_stays_and_one_that_overflows_spoils_no_other():
    cells = geometries({0: Shape(4, 4, 4)}, dict.fromkeys(range(3), Shape(4, 4, 4)), [0], range(3))
    maps = torch.randn(20, 4, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moments = Moments(cells)
    moments.add({0: maps}, dict.fromkeys(range(3), maps))
    stitches = {cell: initialise(geometry, 0) for cell, geometry in cells.items()}
    before = [tensor.clone() for tensor in stitches[0, 0][:2]]
    optimiser = WhitenedMuon(stitches, moments)
    optimiser.rate = 0.1
    for (_, j), stitch in stitches.items():
        for tensor in stitch[:2]:
            tensor.grad = torch.full_like(tensor, (0.0, torch.inf, 1.0)[j])
    optimiser.step()
    assert all(torch.equal(*tensors) for tensors in zip(stitches[0, 0][:2], before, strict=True))
    assert stitches[0, 1].weight.isnan().any()
    assert stitches[0, 2].weight.isfinite().all() and not torch.equal(stitches[0, 2].weight, before[0])


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
