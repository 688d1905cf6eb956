import copy

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from modelstitch.errors import ModelstitchError
from modelstitch.networks import graphs
from modelstitch.networks.network import Network
from modelstitch.networks.tracing import trace
from tests.networks.modules import CLASSES, KINDS, Plain, made

IMAGE = (1, 32, 32)


class Doubtful(nn.Module):
    """Its steps depend on the image."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(32 * 32, CLASSES)

    def forward(self, x):
        if x.sum() > 0:
            x = -x
        return self.linear(x.flatten(1))


class Two(nn.Module):
    """Logits, and what a detector wants beside them."""

    def __init__(self, gather):
        super().__init__()
        self.linear, self.gather = nn.Linear(32 * 32, CLASSES), gather

    def forward(self, x):
        logits = self.linear(x.flatten(1))
        return self.gather(logits)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prefix_and_a_suffix_are_the_network_at_every_cut_for_any_number_of_images(kind):
    module = made(kind)
    graph = trace(module, IMAGE)
    root = graph.root
    assert len(graph.cuts()) > 3
    for images in (torch.rand(1, *IMAGE), torch.rand(5, *IMAGE)):
        with torch.no_grad():
            expected = module(images)
            for node in graph.cuts():
                values = graph.piece(graph.images, node, root)(images)
                assert values.shape == (len(images), *graph.values[node].image_shape)
                kept = values.clone()
                logits = graph.piece(node, graph.logits, root)(values)
                assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max()
                assert torch.equal(values, kept)  # it may be given to several suffixes


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_through_a_piece_are_the_networks(kind):
    module = made(kind)
    graph = trace(module, IMAGE)
    images = torch.rand(3, *IMAGE)
    whole, cut = (images.clone().requires_grad_() for _ in range(2))
    module(whole).square().sum().backward()
    node = graph.cuts()[len(graph.cuts()) // 2]
    values = graph.piece(graph.images, node, graph.root)(cut)
    graph.piece(node, graph.logits, graph.root)(values).square().sum().backward()
    assert (whole.grad - cut.grad).abs().max() <= 1e-5 * whole.grad.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_tracing_leaves_the_network_as_it_was(kind):
    module = made(kind)
    module.train()
    before = copy.deepcopy(module.state_dict())
    inplace = [getattr(part, "inplace", None) for part in module.modules()]
    trace(module, IMAGE)
    assert all(part.training for part in module.modules())
    assert [getattr(part, "inplace", None) for part in module.modules()] == inplace
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())


def test_only_what_carries_everything_that_follows_is_a_cut():
    """Between the first block and the product that needs it again there is none."""
    graph = trace(made("skipping"), IMAGE)
    paths = [".".join(graphs.path_of(node)[-1:]) for node in graph.cuts()]
    assert "blocks.0" in paths and any(path.startswith("blocks.3") for path in paths)
    assert not any(path.startswith(("blocks.1", "blocks.2")) for path in paths)


def test_a_network_that_decides_by_an_images_values_is_refused_by_the_line_that_does():
    with pytest.raises(ModelstitchError, match=r"test_graphs\.py:\d+: if x\.sum\(\) > 0:") as error:
        trace(Doubtful().eval(), IMAGE)
    assert str(error.value).startswith("Doubtful can't be traced")


@pytest.mark.parametrize(
    ("gather", "expected"),
    [
        (lambda logits: (logits, logits), "gives a tuple: expected logits"),
        (lambda logits: {"logits": logits}, "gives a dict: expected logits"),
        (lambda logits: logits[:, :, None], r"gives a tensor \(2, 10, 1\): expected logits \(N, classes\)"),
    ],
)
def test_a_network_that_gives_anything_but_logits_is_refused(gather, expected):
    with pytest.raises(ModelstitchError, match=f"Two {expected}"):
        trace(Two(gather).eval(), IMAGE)


@pytest.mark.parametrize("image", [(3, 32, 32), (1, 28, 28)])
def test_images_that_a_network_can_not_take_are_refused_by_their_size(image):
    size = " x ".join(map(str, image))
    with pytest.raises(ModelstitchError, match=f"Plain takes no images of {size}"):
        trace(Plain().eval(), image)


def test_the_largest_tensor_and_all_activations_are_counted_from_the_shapes():
    graph = trace(made("plain"), IMAGE)
    named = {node.name: node for node in graph.data}
    assert graph.largest(graph.images, graph.logits) == 6 * 32 * 32  # the first convolution's
    assert graph.largest(named["network_fc1"], graph.logits) == 12
    first, second = 6 * 32 * 32 * 3 + 6 * 16 * 16, 8 * 16 * 16 * 3 + 8 * 8 * 8
    assert graph.activations == 32 * 32 + first + second + 512 + 3 * 12 + CLASSES


def test_operations_are_those_of_convolutions_and_products():
    network = Network(made("plain"), image=IMAGE)
    convolutions = 2 * 9 * 6 * 32 * 32, 2 * 9 * 6 * 8 * 16 * 16
    assert network.operations == [*convolutions, 2 * 512 * 12, 2 * 12 * CLASSES]


@pytest.mark.parametrize("side", [32, 96])
def test_attention_is_counted_among_the_operations(side):
    """Whichever kernel would run it, on whatever device its shapes are found."""
    sizes = {"patch_size": 8, "num_layers": 1, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32}
    network = Network(VisionTransformer(image_size=side, num_classes=10, **sizes), image=(3, side, side))
    tokens = (side // 8) ** 2 + 1
    linear = 2 * tokens * (16 * 48 + 16 * 16 + 2 * 16 * 32)
    assert network.operations[1] == linear + 2 * 2 * tokens**2 * 16
