"""A convolution, a sum and a ReLU become one call where nothing else sees between; tests/test_gpu.py has the call."""

import torch
from torch import nn

from modelstitch.networks.frozen import FrozenNetwork, fuse
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
