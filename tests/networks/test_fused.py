"""A convolution, a sum and a ReLU become one call where nothing else sees between.

cuDNN's calls are stood in for by what they give; tests/test_gpu.py has themselves.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from modelstitch.networks import fused
from modelstitch.networks.frozen import FrozenNetwork, fuse
from modelstitch.networks.fused import FusedConvolution
from modelstitch.networks.network import Network
from tests.networks.test_frozen import lively


def fused_pieces(network):
    """What a frozen network would be on a GPU, and what its pieces call."""
    frozen = FrozenNetwork(network, torch.float64)
    for piece in frozen.pieces:
        fuse(piece)
        piece.recompile()
    return frozen, [str(node.target) for piece in frozen.pieces for node in piece.graph.nodes]


def test_every_convolution_of_a_residual_network_that_a_relu_follows_is_fused():
    network = lively("R1112")
    frozen, targets = fused_pieces(network)
    # The stem's and both of each block, the second with the block's sum.
    assert sum(target.startswith("fused") for target in targets) == 11
    assert not {"add_", "relu_"} & {target.rpartition(".")[2] for target in targets}
    images = torch.randn(2, 2, 17, 12, dtype=torch.float64)
    torch.testing.assert_close(frozen(images), network.module(images))


class Seen(nn.Module):
    """A convolution whose maps something beside the ReLU sees, and a sum that is no input of a ReLU alone."""

    def __init__(self):
        super().__init__()
        self.one, self.other, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, images):
        maps = self.one(images)
        total = self.other(images) + maps
        return self.head((maps.relu() - total.relu() * total).mean((2, 3)))


def test_a_convolution_whose_maps_are_seen_elsewhere_stays_apart():
    network = Network(Seen().double().eval(), image=(3, 9, 9))
    frozen, targets = fused_pieces(network)
    assert not any(target.startswith("fused") for target in targets)
    images = torch.rand(2, 3, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(frozen(images), network.module(images))


def with_relu(maps, weight, bias, *sizes):
    return F.conv2d(maps, weight, bias, *sizes).relu()


def with_sum_and_relu(maps, weight, others, scale, bias, *sizes):
    return (F.conv2d(maps, weight, bias, *sizes) + scale * others).relu()


@pytest.fixture
def called(monkeypatch):
    """Where the processor has cuDNN's calls."""
    monkeypatch.setattr(fused, "FUSING_DEVICES", ("cpu",))
    monkeypatch.setattr(torch, "cudnn_convolution_relu", with_relu)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", with_sum_and_relu)


def passed(call, *given):
    """What a call gives, and the gradients of what it is given."""
    given = [each.clone().requires_grad_() for each in given]
    result = call(*given)
    torch.manual_seed(1)
    return result, *torch.autograd.grad(result, given, torch.randn_like(result))


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((8, 8, 3), {"padding": 1}),
        ((3, 16, 3), {"padding": 1, "stride": 2}),
        ((8, 12, 1), {"bias": False}),
        ((8, 8, 3), {"groups": 8, "padding": (1, 0)}),
        ((4, 6, 5), {"dilation": 2}),
    ],
)
def test_its_gradients_are_those_of_the_convolution_the_sum_and_the_relu(called, summed, sizes, options):
    torch.manual_seed(0)
    one = nn.Conv2d(*sizes, **options).double().requires_grad_(False)
    maps = torch.randn(5, sizes[0], 17, 12, dtype=torch.float64)
    others = [torch.randn_like(one(maps))] if summed else []
    found = passed(FusedConvolution(one), maps, *others)
    expected = passed(lambda maps, *others: sum(others, one(maps)).relu(), maps, *others)
    assert (expected[0] == 0).any() and expected[1].any()
    torch.testing.assert_close(found, expected)


def test_where_there_is_no_such_call_it_is_made_apart(called, monkeypatch, caplog):
    caplog.set_level("INFO")

    def refuses(*arguments):
        raise RuntimeError("no engine\nmany lines")

    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", refuses)
    one, maps, others = nn.Conv2d(4, 4, 3, padding=1).requires_grad_(False), *torch.randn(2, 3, 4, 8, 8)
    both = FusedConvolution(one)
    for _ in range(2):
        expected = passed(lambda maps, others: (one(maps) + others).relu(), maps, others)
        torch.testing.assert_close(passed(both, maps, others), expected)
    assert caplog.text.count("its ReLU is taken in a call of its own: no engine") == 1
    assert "many lines" not in caplog.text


def test_exhausted_memory_is_no_lack_of_a_call(called, monkeypatch):
    def exhausted(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", exhausted)
    both = FusedConvolution(nn.Conv2d(4, 4, 3))
    with pytest.raises(torch.OutOfMemoryError):
        both(torch.randn(1, 4, 8, 8))
    assert not both.unsupported
