"""Frozen networks give what the networks give, in pieces."""

import dataclasses
import operator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from modelstitch.errors import ModelstitchError
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Network
from modelstitch.networks.small_resnet import ARCHITECTURES, SmallResNet
from modelstitch.networks.winograd import WinogradConvolution


def livened(module):
    """The module with batch norms, statistics included, that are far from doing nothing."""
    generator = torch.Generator().manual_seed(2)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low in ((part.weight, 0.5), (part.bias, -0.5), (part.running_mean, -0.5)):
                tensor.data.uniform_(low, low + 1, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
    return module.eval()


def lively(architecture, width=3, classes=7):
    module = livened(SmallResNet(architecture, width, 2, classes)).double()
    return Network(module, architecture, image=(2, 17, 12))


class Plain(nn.Module):
    """Convolutions with bias and batch norm, a norm before a convolution, and one that two operations see."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
        self.norm2, self.conv2 = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
        self.norm3, self.head = nn.BatchNorm2d(4), nn.Linear(4, 7)

    def forward(self, images):
        maps = torch.relu(self.norm1(self.conv1(images)))
        maps = torch.relu(self.norm2(maps))
        maps = self.conv2(maps)
        return self.head((maps + self.norm3(maps)).relu_().mean(dim=(2, 3)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_folding_changes_nothing(architecture):
    network = lively(architecture)
    frozen = FrozenNetwork(network, torch.float64)
    images = torch.randn(3, 2, 17, 12, dtype=torch.float64)
    maps, representations = images, frozen.representations(images)
    for index, layer in enumerate(network.module.layers):
        maps = layer(maps)
        torch.testing.assert_close(representations[index], maps, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(frozen(images), network.module(images), rtol=1e-10, atol=1e-10)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in frozen.modules())


def test_a_batch_norm_is_folded_only_where_nothing_else_sees_the_convolution():
    module = livened(Plain()).double()
    frozen = FrozenNetwork(Network(module, image=(2, 9, 9)), torch.float64)
    images = torch.randn(3, 2, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(frozen(images), module(images), rtol=1e-12, atol=1e-12)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in frozen.modules()) == 2


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet18"])
def test_batch_norms_of_timm_are_folded_whether_modules_or_functions(name):
    timm = pytest.importorskip("timm")
    module = livened(timm.create_model(name, num_classes=7))
    frozen = FrozenNetwork(Network(module, image=(3, 64, 64)))
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(frozen(images), module(images), rtol=1e-3, atol=1e-3)
    operations = {node.target for piece in frozen.pieces for node in piece.graph.nodes if node.op == "call_function"}
    assert nn.functional.batch_norm not in operations and torch.batch_norm not in operations
    assert not any(isinstance(part, nn.BatchNorm2d) for part in frozen.modules())


def test_every_suffix_on_its_own_representation_gives_the_networks_logits():
    frozen = FrozenNetwork(lively("R1212"), torch.float64)
    images = torch.randn(3, 2, 17, 12, dtype=torch.float64)
    representations = frozen.representations(images)
    for layer in range(-1, 7):
        torch.testing.assert_close(frozen.suffix(layer, representations[layer]), frozen(images), rtol=0, atol=0)
        assert all(torch.equal(*both) for both in zip(frozen.stages(layer, representations[layer]), [
            *list(representations.values())[layer + 1 :], frozen(images)
        ], strict=True))  # fmt: skip


def test_representations_stop_at_the_last_layer_asked_for():
    frozen = FrozenNetwork(lively("R1111"), torch.float64)
    images = torch.randn(1, 2, 17, 12, dtype=torch.float64)
    assert list(frozen.representations(images, last=2)) == [-1, 0, 1, 2]
    assert torch.equal(frozen.representations(images, last=2)[2], frozen.representations(images)[2])


def test_a_suffix_leaves_what_it_is_given_and_its_representations_as_they_are():
    frozen = FrozenNetwork(lively("R1111"), torch.float64)
    images = torch.randn(2, 2, 17, 12, dtype=torch.float64)
    representations = frozen.representations(images)
    before = {layer: values.clone() for layer, values in representations.items()}
    for layer, values in representations.items():
        frozen.suffix(layer, values)
    assert all(torch.equal(before[layer], values) for layer, values in representations.items())


def test_a_layer_before_an_activation_that_writes_into_its_input_keeps_its_values():
    """ReLUs of torchvision's networks write into their input; cut before one, that is a representation."""
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(3 * 7 * 7, 5)).eval()
    network = Network(module, image=(2, 9, 9), layer_names=["0", "1"])
    frozen, images = FrozenNetwork(network), torch.rand(2, 2, 9, 9)
    representations = frozen.representations(images)
    torch.testing.assert_close(representations[0], module[0](images))
    assert (representations[0] < 0).any() and (representations[1] >= 0).all()


class Written(nn.Module):
    """A convolution whose output a function writes into."""

    def __init__(self, write):
        super().__init__()
        self.conv, self.head, self.write = nn.Conv2d(2, 3, 3), nn.Linear(3, 5), write

    def forward(self, x):
        return self.head(self.write(self.conv(x)).mean((2, 3)))


WRITING = [torch.relu_, F.elu_, torch.sigmoid_, lambda x: x.tanh_(), lambda x: operator.iadd(x, 1)]


@pytest.mark.parametrize("write", WRITING)
def test_a_layer_before_a_function_that_writes_into_its_input_keeps_its_values(write):
    module, images = Written(write).eval(), torch.rand(2, 2, 9, 9)
    frozen = FrozenNetwork(Network(module, image=(2, 9, 9), layer_names=["conv"]))
    with torch.no_grad():
        expected, logits = module.conv(images), module(images)
    for _ in range(2):
        torch.testing.assert_close(frozen.representations(images)[0], expected)
        torch.testing.assert_close(frozen.suffix(0, expected), logits)


def test_the_suffix_after_the_last_layer_is_linear_in_the_maps():
    frozen = FrozenNetwork(lively("R1111"), torch.float64)
    one, other = torch.randn(2, 3, 24, 2, 2, dtype=torch.float64)
    average = frozen.suffix(4, (one + other) / 2)
    torch.testing.assert_close(average, (frozen.suffix(4, one) + frozen.suffix(4, other)) / 2, rtol=1e-12, atol=1e-12)
    early, late = torch.randn(2, 3, 12, 4, 4, dtype=torch.float64)
    bent = frozen.suffix(3, (early + late) / 2) - (frozen.suffix(3, early) + frozen.suffix(3, late)) / 2
    assert bent.abs().max() > 1e-3


def test_freezing_leaves_the_network_as_it_is():
    network = lively("R1111")
    network.module.float().train()
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    for dtype in (torch.float32, torch.bfloat16):
        frozen = FrozenNetwork(network, dtype)
    assert all(torch.equal(before[name], value) for name, value in network.module.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.module.parameters()) and network.module.training
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert {parameter.dtype for parameter in frozen.parameters()} == {torch.bfloat16}


def test_weights_that_change_after_a_network_was_traced_count():
    network = dataclasses.replace(lively("R1111"))
    images = torch.randn(2, 2, 17, 12, dtype=torch.float64)
    before = FrozenNetwork(network, torch.float64)(images)
    with torch.no_grad():
        network.module.layers[2].conv1.weight.mul_(2)
    after = FrozenNetwork(network, torch.float64)(images)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, network.module(images))


def test_weights_of_an_exported_network_that_change_count():
    class Branching(nn.Module):
        """Cannot be traced symbolically: its way depends on a shape."""

        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 7)

        def forward(self, images):
            maps = self.norm(self.conv(images)).relu()
            if maps.shape[2] > 3:
                maps = maps[:, :, 1:]
            return self.head(maps.mean(dim=(2, 3)))

    network, images = Network(livened(Branching()), image=(2, 9, 9)), torch.rand(3, 2, 9, 9)
    torch.testing.assert_close(FrozenNetwork(network)(images), network.module(images))
    with torch.no_grad():
        network.module.conv.weight.mul_(-2)
    frozen = FrozenNetwork(network)
    torch.testing.assert_close(frozen(images), network.module(images))
    nodes = [node for piece in frozen.pieces for node in piece.graph.nodes]
    assert not any("aten.batch_norm" in str(node.target) for node in nodes)
    assert any("aten.conv2d" in str(node.target) for node in nodes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_network_that_writes_into_what_it_needs_again_is_refused(dtype):
    class Writing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4, 7)

        def forward(self, images):
            maps = self.conv(images)
            maps.add_(5)  # and not used as a result
            return self.head(maps.mean(dim=(2, 3)))

    with pytest.raises(ModelstitchError, match="Writing: its pieces give other logits than the whole"):
        FrozenNetwork(Network(Writing().eval(), image=(2, 9, 9)), dtype)


def test_a_relu_may_be_called_by_name():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.head = nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Linear(4, 7)

        def forward(self, images):
            return self.head(self.relu(input=self.conv(images)).mean(dim=(2, 3)))

    network, images = Network(Named().eval(), image=(2, 9, 9)), torch.rand(3, 2, 9, 9)
    torch.testing.assert_close(FrozenNetwork(network)(images), network.module(images))


class Wide(nn.Module):
    """Three convolutions that Winograd's way suits (two modules and a function), and some that it doesn't."""

    def __init__(self, checks):
        super().__init__()
        self.checks, self.stem = checks, nn.Conv2d(3, 128, 3, padding=1)
        self.conv1, self.norm = nn.Conv2d(128, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128)
        self.conv2 = nn.Conv2d(128, 128, 3, padding=1)
        self.grouped = nn.Conv2d(128, 128, 3, padding=1, groups=2)
        self.strided = nn.Conv2d(128, 128, 3, padding=1, stride=2)
        self.dilated = nn.Conv2d(128, 128, 3, padding=2, dilation=2)
        self.register_buffer("kernel", torch.randn(128, 128, 3, 3) / 30)
        self.head = nn.Linear(128, 7)

    def forward(self, x):
        if self.checks and x.shape[1] != 3:  # torch.fx can't follow this
            raise ValueError("expected colour images")
        x = self.norm(self.conv1(self.stem(x))).relu()
        x = x + self.conv2(x)
        x = self.dilated(self.strided(self.grouped(x)))
        x = F.conv2d(x, self.kernel, padding=1)
        x = x + F.conv2d(x, self.conv2.weight / 2, padding=1)  # weights that are computed
        return self.head(x.mean((2, 3)))


def test_an_exported_network_has_the_wide_convolutions_of_a_traced_one():
    frozen = []
    for checks in (False, True):
        torch.manual_seed(0)
        frozen.append(FrozenNetwork(Network(livened(Wide(checks)), image=(3, 16, 16))))
    for one in frozen:
        assert sum(isinstance(part, WinogradConvolution) for part in one.modules()) == 3
    nodes = [node for piece in frozen[1].pieces for node in piece.graph.nodes]
    assert any("aten.conv2d" in str(node.target) for node in nodes)  # the others
    results, gradients = [], []
    for one in frozen:
        images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
        results.append(one.suffix(-1, images))
        results[-1].square().sum().backward()
        gradients.append(images.grad)
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[1], frozen[1].source.module(images), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-4)
