import pytest
import torch

from modelstitch.architectures import ARCHITECTURES, block_counts, blocks, count_layers, layer_shapes
from modelstitch.errors import ModelstitchError
from modelstitch.frozen import FrozenNetwork
from modelstitch.networks import build


def test_the_family_is_16_networks_of_5_to_9_layers():
    assert len(set(ARCHITECTURES)) == 16
    assert sorted(map(count_layers, ARCHITECTURES)) == [5, *[6] * 4, *[7] * 6, *[8] * 4, 9]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shapes_are_those_of_the_representations(architecture):
    network = FrozenNetwork(build(architecture, width=3, channels=2, classes=5, seed=0))
    for height, width in ((32, 32), (28, 33), (33, 17), (1, 8)):
        representations = network.representations(torch.zeros(1, 2, height, width))
        shapes = layer_shapes(architecture, 3, (2, height, width))
        assert [tuple(maps.shape[1:]) for maps in representations] == shapes
        assert len(shapes) == count_layers(architecture)


def test_only_the_first_block_of_a_stage_strides_and_widens():
    assert blocks("R2111", 64)[:3] == [(64, 64, 1), (64, 64, 1), (64, 128, 2)]
    assert [block.channels for block in blocks("R1212", 64)] == [64, 128, 128, 256, 512, 512]


@pytest.mark.parametrize("name", ["R111", "R11111", "R1113", "r1111", "R1111\n", "", "R0111"])
def test_another_name_is_refused_by_name(name):
    with pytest.raises(ModelstitchError) as error:
        block_counts(name)
    assert repr(name) in str(error.value)
