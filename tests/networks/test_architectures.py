import dataclasses

import pytest
import torch

from modelstitch.data.datasets import Split
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.errors import ModelstitchError
from modelstitch.fitting import pairs
from modelstitch.identifiers import NetworkId
from modelstitch.networks.architectures import ARCHITECTURES, block_counts, blocks, count_layers, shapes_from_image
from modelstitch.networks.small_resnet import build
from tests.settings import initialised, stitch_settings


def test_the_family_is_16_networks_of_5_to_9_layers():
    assert len(set(ARCHITECTURES)) == 16
    assert sorted(map(count_layers, ARCHITECTURES)) == [5, *[6] * 4, *[7] * 6, *[8] * 4, 9]


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "R3463", "R1191"])
def test_shapes_are_those_of_the_representations(architecture):
    network = FrozenNetwork(build(architecture, width=3, channels=2, classes=5, seed=0))
    for height, width in ((32, 32), (28, 33), (33, 17), (1, 8)):
        representations = network.representations(torch.zeros(1, 2, height, width))
        shapes = shapes_from_image(architecture, 3, (2, height, width))
        assert {layer: tuple(maps.shape[1:]) for layer, maps in representations.items()} == shapes
        assert list(shapes) == list(range(-1, count_layers(architecture)))


def test_only_the_first_block_of_a_stage_strides_and_widens():
    assert blocks("R2111", 64)[:3] == [(64, 64, 1), (64, 64, 1), (64, 128, 2)]
    assert [block.channels for block in blocks("R1212", 64)] == [64, 128, 128, 256, 512, 512]


@pytest.mark.parametrize("name", ["R111", "R11111", "R111a", "r1111", "R1111\n", "", "R0111", "R111²"])
def test_another_name_is_refused_by_name(name):
    with pytest.raises(ModelstitchError) as error:
        block_counts(name)
    assert repr(name) in str(error.value)


def test_resnet34_is_the_published_one_but_for_its_stem():
    weights = sum(tensor.numel() for tensor in build("R3463", width=64, channels=3, classes=1000, seed=0).parameters())
    assert count_layers("R3463") == 17
    assert weights == 21_797_672 - 64 * 3 * (7**2 - 3**2)  # torchvision.models.resnet34


@pytest.mark.parametrize("names", [("R2222", "R3463"), ("R3463", "R2222")])
def test_resnet18_and_resnet34_are_stitched_layer_by_layer(few_digits, names):
    few = [Split(split.images[:8], split.labels[:8]) for split in (few_digits.train, few_digits.test)]
    dataset = dataclasses.replace(few_digits, train=few[0], test=few[1])
    pair = [initialised(NetworkId(name, "random", 0), dataset, width=1) for name in names]
    rows, columns = map(count_layers, names)
    matrix, stitches, _ = pairs.train_pair(
        *pair,
        dataset,
        stitch_settings(batch=8),
        study_seed=0,
        sender_layers=range(rows),
        receiver_layers=range(columns),
    )
    assert [column.test_accuracy.shape for column in matrix] == [(rows,)] * columns
    assert not any(column.diverged.any() for column in matrix)
    assert len(stitches) == 2 * 9 * 17
