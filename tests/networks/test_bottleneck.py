"""The network with a bottleneck: where it is, and that no more goes through it than it has channels."""

import pytest
import torch

from modelstitch.networks.building import Blueprint, build
from modelstitch.networks.network import Network
from tests.settings import architecture


def bottleneck_network(**arguments):
    blueprint = Blueprint("nets/bottleneck.py:BottleneckResNet", 10, 3, {"width": 4} | arguments)
    return Network(build(blueprint, seed=0).eval(), "bottleneck", image=(3, 32, 32), blueprint=blueprint)


def rank_of(maps):
    """Of the channels of maps (N, C, H, W), over all places of all images."""
    values = maps.transpose(0, 1).flatten(1)
    return torch.linalg.matrix_rank(values @ values.T, hermitian=True, rtol=1e-5).item()


@pytest.mark.parametrize("bottleneck", [1, 2, 3])
def test_what_leaves_a_bottleneck_has_its_rank(bottleneck):
    network = bottleneck_network(bottleneck=bottleneck)
    kept = {}
    layer = network.module.layers[3]
    layer.widen.register_forward_hook(lambda module, inputs, output: kept.update(widened=output, narrow=inputs[0]))
    with torch.no_grad():
        network.logits(torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert kept["narrow"].shape == (20, bottleneck, 16, 16) and kept["widened"].shape == (20, 8, 16, 16)
    assert rank_of(kept["widened"]) == bottleneck


def test_it_is_a_small_resnet_with_one_more_layer():
    shapes = [layer.representation.shape for layer in bottleneck_network(bottleneck=2).layers]
    expected = [(4, 32, 32), (4, 32, 32), (8, 16, 16), (8, 16, 16), (16, 8, 8), (32, 4, 4)]
    assert shapes == expected
    shapes = [layer.representation.shape for layer in bottleneck_network(bottleneck=2, after=0).layers]
    assert shapes == [(4, 32, 32), *expected[:3], *expected[4:]]
    deep = bottleneck_network(bottleneck=2, architecture="R1211", after=4)
    assert [layer.representation.shape for layer in deep.layers][4:6] == 2 * [(16, 8, 8)]


def test_a_study_names_it_as_any_network_of_ones_own():
    own = architecture("nets/bottleneck.py:BottleneckResNet", None, arguments={"bottleneck": 2})
    assert (own.name, own.is_small_resnet) == ("BottleneckResNet", False)
