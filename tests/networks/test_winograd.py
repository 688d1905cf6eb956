from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.winograd import WinogradConvolution, cook_toom, correlate, transform_weights
from tests.settings import small_resnet


def test_the_matrices_correlate_six_inputs_with_three_taps():
    outputs, taps, inputs = cook_toom()
    generator = torch.Generator().manual_seed(0)
    signal, kernel = (torch.randn(size, dtype=torch.float64, generator=generator) for size in (6, 3))
    expected = F.conv1d(signal[None, None], kernel[None, None])[0, 0]
    torch.testing.assert_close(outputs @ ((taps @ kernel) * (inputs @ signal)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("height", "width", "images"), [(4, 4, 300), (8, 12, 5), (32, 32, 3)])
def test_a_correlation_equals_torchs(height, width, images):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(images, 5, height, width, generator=generator)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64, generator=generator)
    bias = torch.randn(7, generator=generator)
    expected = F.conv2d(maps.double(), weight, bias.double(), padding=1)
    result = correlate(maps, transform_weights(weight), bias).double()
    assert (result - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("size", [8, 7])
def test_result_and_gradient_are_those_of_the_convolution(size):
    torch.manual_seed(0)
    convolution = nn.Conv2d(128, 128, 3, padding=1).double().requires_grad_(False)
    maps = torch.randn(2, 128, size, size, dtype=torch.float64, requires_grad=True)
    single = maps.detach().float().requires_grad_()
    expected, upstream = convolution(maps), torch.randn(2, 128, size, size, dtype=torch.float64)
    result = WinogradConvolution(deepcopy(convolution)).float()(single)
    expected.backward(upstream)
    result.backward(upstream.float())
    for exact, value in ((expected, result), (maps.grad, single.grad)):
        assert (value.double() - exact).abs().max() < 1e-5 * exact.abs().max()


def test_a_wide_suffix_gives_the_logits_and_gradients_of_the_network_itself():
    torch.manual_seed(0)
    network = small_resnet("R1122", 64, 3)
    frozen = FrozenNetwork(network)
    assert sum(isinstance(module, WinogradConvolution) for module in frozen.modules()) == 7
    maps = torch.rand(3, 64, 32, 32, requires_grad=True)
    same = maps.detach().clone().requires_grad_()
    expected, result = maps, frozen.suffix(0, same)
    for layer in network.module.layers[1:]:
        expected = layer(expected)
    expected = network.module.head(expected.mean(dim=(2, 3)))
    for logits in (expected, result):
        logits.square().sum().backward()
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)
    assert (same.grad - maps.grad).abs().max() < 1e-4 * maps.grad.abs().max()
