import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modelstitch.errors import ModelstitchError
from modelstitch.networks.architectures import Shape, layer_shapes
from modelstitch.stitches.linear import Geometry, identity, initialise

STAGES = list(itertools.product(range(1, 5), repeat=2))  # layers 1 to 4 of R1111 are its four stages


def stitched_slowly(stitch, maps):
    """A stitch of maps (N, C, H, W) as the definition has it, pixel by pixel of the result."""
    weight, bias = stitch.weight.detach().numpy(), stitch.bias.detach().numpy()
    (_, height, width), (channels, height_out, width_out) = stitch.geometry.source, stitch.geometry.target
    upsampled = maps.numpy()
    if height < height_out:
        upsampled = upsampled.repeat(-(-height_out // height), axis=2)[:, :, :height_out]
    if width < width_out:
        upsampled = upsampled.repeat(-(-width_out // width), axis=3)[:, :, :, :width_out]
    kernel = weight.shape[2:]
    assert kernel == (-(-height // height_out), -(-width // width_out))
    result = np.empty((len(maps), channels, height_out, width_out))
    for row, column in itertools.product(range(height_out), range(width_out)):
        patch = upsampled[:, :, row * kernel[0] : (row + 1) * kernel[0], column * kernel[1] : (column + 1) * kernel[1]]
        seen = weight[:, :, : patch.shape[2], : patch.shape[3]]  # beyond the edge there are zeros
        result[:, :, row, column] = np.einsum("ncij,ocij->no", patch, seen) + bias
    return torch.from_numpy(result)


@pytest.mark.parametrize("image", [(1, 32, 32), (1, 28, 28), (1, 33, 33), (1, 28, 33), (1, 8, 20)])
@pytest.mark.parametrize(("sender", "receiver"), STAGES)
def test_a_stitch_of_any_two_stages_is_the_slow_one(sender, receiver, image):
    shapes = layer_shapes("R1111", 2, image)
    stitch = initialise(Geometry.between(shapes[sender], shapes[receiver]), seed=3)
    maps = torch.randn(2, *shapes[sender])
    found = stitch(maps)
    assert found.shape[1:] == shapes[receiver]
    torch.testing.assert_close(found.detach().double(), stitched_slowly(stitch, maps).double(), rtol=1e-5, atol=1e-5)


def test_kernels_and_scales_of_the_paper():
    shapes = layer_shapes("R1111", 64, (3, 32, 32))
    for (i, source), (j, target) in itertools.product(enumerate(shapes[1:]), repeat=2):
        geometry = Geometry.between(source, target)
        assert geometry.kernel == (max(1, 2 ** (j - i)),) * 2
        assert geometry.scale == (max(1, 2 ** (i - j)),) * 2
        assert initialise(geometry, 0).weight.shape == (64 * 2**j, 64 * 2**i, *geometry.kernel)


def test_1x1_then_nearest_upsampling_is_upsampling_first():
    stitch = initialise(Geometry.between(Shape(6, 5, 7), Shape(4, 20, 28)), seed=0)
    stitch = stitch._replace(weight=stitch.weight.detach().double(), bias=stitch.bias.detach().double())
    maps = torch.randn(3, 6, 5, 7, dtype=torch.float64)
    first = F.conv2d(F.interpolate(maps, scale_factor=4, mode="nearest"), stitch.weight, stitch.bias)
    torch.testing.assert_close(stitch(maps), first, rtol=1e-14, atol=1e-14)


def test_the_identity_changes_nothing():
    maps = torch.randn(3, 5, 4, 6)
    assert torch.equal(identity(Shape(5, 4, 6))(maps), maps)


def test_a_square_image_of_any_size_can_be_stitched():
    for size in range(1, 70):
        shapes = layer_shapes("R1111", 1, (1, size, size))
        for source, target in itertools.product(shapes, repeat=2):
            assert initialise(Geometry.between(source, target), 0)(torch.zeros(1, *source)).shape[1:] == target


def test_sizes_that_no_stride_joins_are_refused_with_both_shapes():
    with pytest.raises(ModelstitchError, match=r"\(3, 5, 8\) to \(6, 4, 4\)"):
        Geometry.between(Shape(3, 5, 8), Shape(6, 4, 4))


def test_the_start_is_torchs_own_for_a_convolution():
    geometry = Geometry.between(Shape(16, 32, 32), Shape(64, 8, 8))
    stitch = initialise(geometry, seed=1)
    bound = (16 * 4 * 4) ** -0.5
    for tensor in stitch[:2]:
        assert 0.9 * bound < tensor.abs().max() <= bound
    assert abs(stitch.weight.mean()) < 0.02 * bound
    assert torch.equal(stitch.weight, initialise(geometry, seed=1).weight)
    assert not torch.equal(stitch.weight, initialise(geometry, seed=2).weight)
