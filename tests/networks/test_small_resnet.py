import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from modelstitch.errors import ModelstitchError
from modelstitch.networks import small_resnet
from modelstitch.networks.architectures import ARCHITECTURES
from modelstitch.networks.small_resnet import build, subsampled

NARROW = """
import sys
import torch
from pathlib import Path
from modelstitch.data import datasets
from modelstitch.fitting import pairs
from modelstitch.networks import training
from modelstitch.identifiers import NetworkId
from tests.settings import initialised, stitch_settings, training_settings

torch.set_num_threads(1)
dataset = datasets.read(sys.argv[1])
for width in range(1, 9):
    settings = training_settings(epochs=1, warmup_epochs=0, batch=100, learning_rate=0.01)
    checkpoint = Path(sys.argv[2], f"{width}.safetensors")
    network, network.about = training.train(NetworkId("R1211", "trained", 0), settings, width, dataset, 0, checkpoint)
    other = initialised(NetworkId("R1111", "calibrated", 0), dataset, width)
    columns, _, _ = pairs.train_pair(
        network, other, dataset, stitch_settings(epochs=0.2), study_seed=0,
        sender_layers=range(5), receiver_layers=range(5),
    )
    assert not any(column.diverged.any() for column in columns), width
print("trained and stitched")
"""


def test_a_loaded_network_computes_what_the_saved_one_did(trained, tmp_path):
    small_resnet.save(tmp_path / "network.safetensors", trained, trained.about)
    loaded = small_resnet.load(tmp_path / "network.safetensors")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in trained.state_dict().items())
    images = torch.randn(5, 1, 32, 32)
    torch.testing.assert_close(loaded(images), trained.eval()(images))
    assert loaded.about == trained.about
    assert not loaded.training


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "other tensors", "other file"])
def test_a_damaged_file_is_refused_by_name(trained, tmp_path, damage):
    path = tmp_path / "network.safetensors"
    if damage != "missing":
        small_resnet.save(path, trained, {})
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other tensors":
        save_file({"weight": torch.zeros(3)}, path)
    elif damage == "other file":
        path.write_text("not safetensors at all, but long enough to have a header")
    with pytest.raises(ModelstitchError) as error:
        small_resnet.load(path)
    assert str(path) in str(error.value)


def test_the_seed_alone_determines_the_initial_weights():
    state = torch.random.get_rng_state()
    first, second, other = (build("R1122", 3, 1, 10, seed).state_dict() for seed in (4, 4, 5))
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
    assert sum(parameter.numel() for parameter in build(architecture, 8, 3, 10, 0).parameters()) == expected


def test_subsampling_first_is_the_strided_convolution():
    convolution = torch.nn.Conv2d(8, 16, 1, bias=False).double()
    maps = torch.randn(2, 8, 7, 10, dtype=torch.float64)
    strided = torch.nn.functional.conv2d(maps, convolution.weight, stride=2)
    torch.testing.assert_close(convolution(subsampled(maps, 2)), strided, rtol=1e-12, atol=1e-12)


def test_networks_of_any_narrow_width_train_and_stitch(few_digits_path, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", NARROW, few_digits_path, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert run.stdout == "trained and stitched\n", (run.returncode, run.stderr)
