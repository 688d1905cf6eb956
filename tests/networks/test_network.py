import copy

import pytest
import torch
from torch import nn

from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import NetworkId
from modelstitch.networks import training
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Network
from tests.networks.modules import Mixer, made
from tests.settings import architecture, small_resnet, training_settings


def test_images_are_prepared_as_the_network_takes_them():
    network = Network(Mixer(3), image=(3, 32, 32), mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    images = torch.rand(4, 3, 32, 32)
    expected = (images - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor([0.5, 1.0, 2.0])[:, None, None]
    torch.testing.assert_close(network.prepared(images), expected)
    torch.testing.assert_close(network.restored(network.prepared(images)), images)
    assert network.prepared(images, torch.bfloat16).dtype == torch.bfloat16
    by_numbers = Network(Mixer(3), image=(3, 32, 32), mean=0.5, std=0.25)
    torch.testing.assert_close(by_numbers.prepared(images), (images - 0.5) / 0.25)


def test_grey_images_become_three_equal_channels_and_other_sizes_are_resized():
    network = Network(Mixer(3), image=(3, 32, 32))
    grey = torch.rand(2, 1, 16, 64)
    prepared = network.prepared(grey)
    expected = nn.functional.interpolate(grey, (32, 32), mode="bilinear", antialias=True)
    for channel in range(3):
        torch.testing.assert_close(prepared[:, channel], expected[:, 0])
    flat = torch.full((1, 1, 7, 9), 0.25)
    torch.testing.assert_close(network.prepared(flat), torch.full((1, 3, 32, 32), 0.25))


def test_images_of_other_channels_are_refused():
    network = Network(Mixer(3), "mixer", image=(3, 32, 32))
    assert network.with_images((1, 8, 8)) is network
    with pytest.raises(ModelstitchError, match=r"^mixer takes images of 3 channels, not of 2$"):
        network.with_images((2, 32, 32))
    assert Network(Mixer(1)).with_images((1, 32, 32)).image == (1, 32, 32)
    with pytest.raises(ModelstitchError, match=r"the shape of its images is not known: write Network\(module, image="):
        _ = Network(Mixer(1)).layers


def test_a_network_is_a_module():
    with pytest.raises(ModelstitchError, match=r"a network is a torch\.nn\.Module, not a str"):
        Network("resnet18")
    assert Network(Mixer(1)).name == "Mixer"


def test_logits_are_of_evaluation_mode_and_leave_the_mode_as_it_was():
    module = made("plain").train()
    module.norm1.eval()
    network = Network(module, image=(1, 32, 32))
    images, before = torch.rand(4, 1, 32, 32), copy.deepcopy(module.state_dict())
    with torch.no_grad():
        expected = copy.deepcopy(module).eval()(images)
    for _ in range(2):
        torch.testing.assert_close(network.logits(images), expected)
    assert module.training and module.norm2.training and not module.norm1.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_weights_that_change_later_are_those_of_the_next_frozen_network():
    network = small_resnet()
    images = torch.rand(2, 1, 32, 32)
    before = FrozenNetwork(network)(images)
    with torch.no_grad():
        network.module.head.bias += 1
    torch.testing.assert_close(FrozenNetwork(network)(images), before + 1)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_network_that_takes_views_is_trained_and_cut(few_digits, tmp_path, channels_last):
    """`x.view(x.size(0), -1)` needs tensors that lie in memory in their order."""
    path = tmp_path / "mine.py"
    path.write_text("from tests.networks.modules import Plain\n")
    own = architecture(f"{path}:Plain", None, mean=(0.0,), std=(1.0,), training=training_settings(epochs=2))
    network = training.train(NetworkId("Plain", "trained", 0), own, few_digits, 0, tmp_path / "checkpoint")
    assert network.memory_format == torch.contiguous_format
    assert small_resnet().memory_format == torch.channels_last
    images = next(DeviceImages(few_digits, few_digits.test).in_order(5))[0]
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(FrozenNetwork(network)(images), network.logits(images), rtol=1e-4, atol=1e-5)


def test_a_network_in_float64_stays_so():
    network = Network(made("mixer").double(), image=(1, 32, 32))
    logits = network.logits(torch.rand(2, 1, 32, 32))
    assert logits.dtype == torch.float64
    frozen = FrozenNetwork(network, torch.float64)
    assert frozen(torch.rand(2, 1, 32, 32)).dtype == torch.float64


def test_a_network_that_can_not_be_copied_is_refused_with_what_to_write():
    module = made("plain")
    nn.utils.weight_norm(module.conv1)
    module(torch.rand(2, 1, 32, 32))
    with pytest.raises(ModelstitchError, match=r"Plain can't be copied: .*parametrizations in place of"):
        _ = Network(module, image=(1, 32, 32)).layers
