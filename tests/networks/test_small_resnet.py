import dataclasses
import subprocess
import sys

import pytest
import torch
from torch import nn

from modelstitch.data.datasets import Split
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.pair import train_pair
from modelstitch.identifiers import NetworkId
from modelstitch.networks.building import Blueprint, build
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.small_resnet import ARCHITECTURES, SmallResNet, Subsampling, blocks
from tests.settings import initialised, small_resnet, stitch_settings

NARROW = """
import sys
import torch
from pathlib import Path
from modelstitch.data import datasets
from modelstitch.fitting.pair import train_pair
from modelstitch.networks import training
from modelstitch.identifiers import NetworkId
from tests.settings import architecture, initialised, stitch_settings, training_settings

torch.set_num_threads(1)
dataset = datasets.read(sys.argv[1])
for width in range(1, 9):
    settings = training_settings(epochs=1, warmup_epochs=0, batch=100, learning_rate=0.01)
    checkpoint = Path(sys.argv[2], f"{width}.safetensors")
    own = architecture("R1211", width, training=settings)
    network = training.train(NetworkId("R1211", "trained", 0), own, dataset, 0, checkpoint)
    other = initialised(NetworkId("R1111", "calibrated", 0), dataset, width)
    record, _ = train_pair(
        network, other, dataset, stitch_settings(epochs=0.2), study_seed=0,
        sender_layers=range(5), receiver_layers=range(5),
    )
    assert not any(column.diverged.any() for column in record.columns), width
print("trained and stitched")
"""


def test_the_family_is_16_networks_of_5_to_9_layers():
    assert len(set(ARCHITECTURES)) == 16
    depths = sorted(len(small_resnet(architecture, 1).layers) for architecture in ARCHITECTURES)
    assert depths == [5, *[6] * 4, *[7] * 6, *[8] * 4, 9]


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "R3463", "R1191"])
def test_layers_are_the_stem_and_the_blocks(architecture):
    network = small_resnet(architecture, width=3, channels=2, size=(28, 33))
    assert [layer.name for layer in network.layers] == [f"layers.{i}" for i in range(len(network.module.layers))]
    images = torch.rand(2, 2, 28, 33)
    representations = FrozenNetwork(network).representations(images)
    maps = images
    for layer, module in zip(network.layers, network.module.layers, strict=True):
        maps = module(maps)
        assert layer.representation.shape == maps.shape[1:]
        assert (representations[layer.index] - maps).abs().max() < 1e-5 * maps.abs().max()


def test_only_the_first_block_of_a_stage_strides_and_widens():
    assert blocks("R2111", 64)[:3] == [(64, 64, 1), (64, 64, 1), (64, 128, 2)]
    assert [block.channels for block in blocks("R1212", 64)] == [64, 128, 128, 256, 512, 512]


@pytest.mark.parametrize("name", ["R111", "R11111", "R111a", "r1111", "R1111\n", "", "R0111", "R111²"])
def test_another_name_is_refused_by_name(name):
    with pytest.raises(ModelstitchError) as error:
        blocks(name, 64)
    assert repr(name) in str(error.value)


def test_resnet34_is_the_published_one_but_for_its_stem():
    network = SmallResNet("R3463", width=64, channels=3, classes=1000)
    weights = sum(tensor.numel() for tensor in network.parameters())
    assert len(network.layers) == 17
    assert weights == 21_797_672 - 64 * 3 * (7**2 - 3**2)  # torchvision.models.resnet34


@pytest.mark.parametrize("names", [("R2222", "R3463"), ("R3463", "R2222")])
def test_resnet18_and_resnet34_are_stitched_layer_by_layer(few_digits, names):
    few = [Split(split.images[:8], split.labels[:8]) for split in (few_digits.train, few_digits.test)]
    dataset = dataclasses.replace(few_digits, train=few[0], test=few[1])
    pair = [initialised(NetworkId(name, "random", 0), dataset, width=1) for name in names]
    rows, columns = (len(network.layers) for network in pair)
    record, stitches = train_pair(*pair, dataset, stitch_settings(batch=8), study_seed=0)
    assert [column.test_accuracy.shape for column in record.columns] == [(rows,)] * columns
    assert not any(column.diverged.any() for column in record.columns)
    assert len(stitches) == 9 * 17


def test_the_seed_alone_determines_the_initial_weights():
    state = torch.random.get_rng_state()
    blueprint = Blueprint("R1122", outputs=10, channels=1, arguments={"width": 3})
    first, second, other = (build(blueprint, seed).state_dict() for seed in (4, 4, 5))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["layers.3.conv2.weight"], other["layers.3.conv2.weight"])
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_are_those_of_the_formula(architecture):
    width, inputs, expected = 8, 8, 8 * 3 * 9 + 2 * 8
    for stage, count in enumerate(map(int, architecture[1:])):
        outputs = width * 2**stage
        for _ in range(count):
            expected += 9 * outputs * (inputs + outputs) + 4 * outputs
            expected += inputs * outputs + 2 * outputs if inputs != outputs else 0
            inputs = outputs
    expected += inputs * 10 + 10
    assert sum(parameter.numel() for parameter in SmallResNet(architecture, 8, 3, 10).parameters()) == expected


def test_subsampling_first_is_the_strided_convolution():
    convolution = Subsampling(8, 16, 1, stride=2, bias=False).double()
    maps = torch.randn(2, 8, 7, 10, dtype=torch.float64)
    strided = nn.functional.conv2d(maps, convolution.weight, stride=2)
    torch.testing.assert_close(convolution(maps), strided, rtol=1e-12, atol=1e-12)


def test_networks_of_any_narrow_width_train_and_stitch(few_digits_path, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", NARROW, few_digits_path, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert run.stdout == "trained and stitched\n", (run.returncode, run.stderr)
