import pytest
import torch

from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.networks.architectures import ARCHITECTURES, count_layers
from modelstitch.networks.small_resnet import build


def lively(architecture, width=3, classes=7):
    """A network whose batch norms, statistics included, are far from doing nothing."""
    network = build(architecture, width, 2, classes, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.bias, -0.5), (module.running_mean, -0.5)):
                tensor.data.uniform_(low, low + 1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return network.double()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_folding_changes_nothing(architecture):
    network = lively(architecture)
    frozen = FrozenNetwork(network, torch.float64)
    images = torch.randn(3, 2, 17, 12, dtype=torch.float64)
    maps, representations = images, frozen.representations(images)
    for index, layer in enumerate(network.layers):
        maps = layer(maps)
        torch.testing.assert_close(representations[index], maps, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(frozen(images), network(images), rtol=1e-10, atol=1e-10)


def test_every_suffix_on_its_own_representation_gives_the_networks_logits():
    frozen = FrozenNetwork(lively("R1212"), torch.float64)
    images = torch.randn(3, 2, 17, 12, dtype=torch.float64)
    representations = frozen.representations(images)
    for layer in range(-1, count_layers("R1212")):
        torch.testing.assert_close(frozen.suffix(layer, representations[layer]), frozen(images), rtol=0, atol=0)


def test_representations_stop_at_the_last_layer_asked_for():
    frozen = FrozenNetwork(lively("R1111"), torch.float64)
    images = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    assert list(frozen.representations(images, last=2)) == [-1, 0, 1, 2]
    assert torch.equal(frozen.representations(images, last=2)[2], frozen.representations(images)[2])


def test_the_suffix_after_the_last_layer_is_linear_in_the_maps():
    frozen = FrozenNetwork(lively("R1111"), torch.float64)
    one, other = torch.randn(2, 3, 24, 2, 2, dtype=torch.float64)
    average = frozen.suffix(4, (one + other) / 2)
    torch.testing.assert_close(average, (frozen.suffix(4, one) + frozen.suffix(4, other)) / 2, rtol=1e-12, atol=1e-12)
    early, late = torch.randn(2, 3, 12, 4, 4, dtype=torch.float64)
    bent = frozen.suffix(3, (early + late) / 2) - (frozen.suffix(3, early) + frozen.suffix(3, late)) / 2
    assert bent.abs().max() > 1e-3


def test_freezing_leaves_the_network_as_it_is():
    network = lively("R1111").float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    frozen = FrozenNetwork(network, torch.bfloat16)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert {parameter.dtype for parameter in frozen.parameters()} == {torch.bfloat16}
