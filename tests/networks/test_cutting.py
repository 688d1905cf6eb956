import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from modelstitch.data.images import DeviceImages
from modelstitch.engine.evaluation import predict
from modelstitch.engine.pair import StitchedPair
from modelstitch.errors import ModelstitchError
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Network
from modelstitch.networks.representations import Representation
from modelstitch.stitches.geometry import Geometry
from tests.networks.modules import KINDS, Encoder, Mixer, Residual, made
from tests.stitches.made import identity

IMAGE = (1, 32, 32)
LAYERS = {
    "plain": {"relu.max_pool2d": (6, 16, 16), "relu@1.max_pool2d": (8, 8, 8), "dropout": (12,)},
    "shared": {"stem": (4, 8, 8), "block": (4, 8, 8), "block@1": (4, 8, 8), "block@2": (4, 8, 8)},
    "skipping": {"stem": (4, 8, 8), "blocks.0": (4, 8, 8), "blocks.3": (4, 8, 8)},
    "mixer": {"embed.transpose": (16, 6), "blocks.0": (16, 6), "blocks.1": (16, 6), "blocks.2": (16, 6)},
    "last": {"norm": (8, 8, 5), "mix.0.tanh": (8, 8, 5), "mix.1.tanh": (8, 8, 5)},
    "branching": {"norm.add_1": (4, 4, 4), "blocks.0": (4, 4, 4), "blocks.1": (4, 4, 4)},
    "writing": {"embed.transpose": (16, 6)} | {f"blocks.{i}.slice_scatter_3": (16, 6) for i in range(3)},
    "counting": dict.fromkeys(("embed.cat", "blocks.0", "blocks.1", "block", "block@1"), (17, 6)),
    "encoder": dict.fromkeys(("embed.cat", "enc.layers.0", "enc.layers.1", "enc.layers.2"), (17, 8)),
    "counting encoder": dict.fromkeys(("embed.cat", "enc.layers.0", "enc.layers.1", "enc.layers.2"), (17, 8)),
    "vision transformer": {
        "network.encoder.dropout": (17, 8),
        "network.encoder.layers.encoder_layer_0": (17, 8),
        "network.encoder.layers.encoder_layer_1": (17, 8),
        "network.encoder.layers.encoder_layer_2": (17, 8),
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_the_blocks_and_what_stands_alone(kind):
    network = Network(made(kind), image=IMAGE)
    found = {layer.name: layer.representation.shape for layer in network.layers}
    assert found == LAYERS[kind]
    assert network.cut_at(list(found)).layers == network.layers


@pytest.mark.parametrize("kind", KINDS)
def test_the_identity_at_any_layer_gives_the_networks_own_predictions(few_digits, kind):
    network = Network(made(kind), image=IMAGE)
    frozen = FrozenNetwork(network)
    stitches = {(i, i): identity(Geometry.between(shape, shape)) for i, shape in frozen.shapes.items()}
    images = DeviceImages(few_digits, few_digits.test)
    classes = predict(StitchedPair(frozen, frozen, stitches), images).classes
    with torch.no_grad():
        own = network.logits(images.scaled(slice(None))).argmax(dim=1)
    assert len(classes) == 1 + len(network.layers)
    assert (classes == own.numpy()).all()


def representations(network):
    return {layer.name: layer.representation for layer in network.layers}


def test_grids_and_extra_tokens_are_found_behind_their_tensors():
    found = representations(Network(made("vision transformer"), image=IMAGE))
    assert {(one.layout, one.grid, one.extra) for one in found.values()} == {("tokens", (4, 4), 1)}
    found = representations(Network(made("mixer"), image=IMAGE))
    assert {(one.layout, one.grid, one.extra) for one in found.values()} == {("tokens", (4, 4), 0)}
    found = representations(Network(made("last"), image=IMAGE))
    assert {(one.layout, one.grid, one.channels) for one in found.values()} == {("map-last", (8, 8), 5)}
    found = representations(Network(made("plain"), image=IMAGE))
    assert [one.layout for one in found.values()] == ["map", "map", "vector"]


@pytest.mark.parametrize("size", [(32, 64), (24, 40)])
def test_grids_follow_the_images_proportions(size):
    """Channels last or first is told by the grid, even where there are as many channels as rows."""

    class Proportioned(nn.Module):
        def __init__(self, last):
            super().__init__()
            self.last = last
            self.embed, self.mix = nn.Conv2d(1, size[0] // 8, 8, stride=8), nn.ReLU()
            self.head = nn.Linear(size[0] // 8, 10)

        def forward(self, x):
            x = self.mix(self.embed(x))
            if self.last:
                x = torch.tanh(x.permute(0, 2, 3, 1))
                return self.head(x.mean((1, 2)))
            return self.head(x.mean((2, 3)))

    grid = (size[0] // 8, size[1] // 8)
    for last, layout in ((False, "map"), (True, "map-last")):
        (layer,) = Network(Proportioned(last).eval(), image=(1, *size)).layers
        assert (layer.representation.layout, layer.representation.grid) == (layout, grid)


class Gated(Residual):
    """A block of another kind."""


class Stage(nn.Module):
    """Blocks of the kinds given."""

    def __init__(self, kinds):
        super().__init__()
        self.blocks = nn.ModuleList(kind(4) for kind in kinds)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Part(nn.Module):
    """A convolution and its activation."""

    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()

    def forward(self, x):
        return self.act(self.conv(x))


class Shortcut(nn.Module):
    """Two parts, with or without a shortcut over them, as MobileNets' blocks are."""

    def __init__(self, shortcut):
        super().__init__()
        self.part1, self.part2, self.shortcut = Part(), Part(), shortcut

    def forward(self, x):
        y = self.part2(self.part1(x))
        return x + y if self.shortcut else y


def layers_of(*stages):
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    network = Network(nn.Sequential(nn.Conv2d(1, 4, 4, stride=4), *stages, *head).eval(), image=IMAGE)
    return [layer.name for layer in network.layers]


@pytest.mark.parametrize("first", [[Residual], [Gated], [Residual, Gated]])
def test_blocks_are_layers_though_a_stage_has_only_one_of_a_kind(first):
    blocks = [f"1.blocks.{i}" for i in range(2)] if len(first) > 1 else ["1"]
    assert layers_of(Stage(first), Stage([Residual] * 3)) == ["0", *blocks, *(f"2.blocks.{i}" for i in range(3))]


def test_a_block_with_cuts_inside_only_where_it_has_no_shortcut_is_one_layer():
    assert layers_of(Shortcut(False), Shortcut(True), Shortcut(False)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("settings", [{}, {"norm_first": True}, {"norm": False}, {"masks": (None, None)}])
def test_the_layers_of_torchs_encoder_are_places_and_give_what_they_give_in_it(settings):
    module = Encoder(**settings).eval()
    network, images = Network(module, image=IMAGE), torch.rand(3, *IMAGE)
    names = [f"enc.layers.{i}" for i in range(3)]
    assert [layer.name for layer in network.layers] == ["embed.cat", *names] and {*names} < {*network.places}
    found, given = FrozenNetwork(network).representations(images), []
    for layer in module.enc.layers:
        layer.register_forward_hook(lambda layer, given_to, output: given.append(output))
    network.logits(images)
    assert len(given) == 3
    torch.testing.assert_close([found[1], found[2], found[3]], given, rtol=1e-5, atol=1e-5)


def test_torchs_encoder_with_a_mask_is_one_layer():
    mask = torch.zeros(17, 17).masked_fill(torch.ones(17, 17).triu(1) > 0, float("-inf"))
    network = Network(Encoder(masks=(mask,)).eval(), image=IMAGE)
    assert [layer.name for layer in network.layers] == ["embed.cat", "enc"]
    images = torch.rand(3, *IMAGE)
    with torch.no_grad():
        torch.testing.assert_close(FrozenNetwork(network)(images), network.logits(images))


def test_named_layers_are_cut_in_the_networks_order():
    network = Network(made("plain"), image=IMAGE, layer_names=["relu@1", "conv1", "flatten", "dropout"])
    with pytest.raises(ModelstitchError, match=r"^Plain: 'flatten' is no place to cut"):
        _ = network.layers
    network = network.cut_at(["relu@1", "conv1", "relu@1.reshape", "dropout"])
    assert [layer.name for layer in network.layers] == ["conv1", "relu@1", "relu@1.reshape", "dropout"]
    assert [layer.representation.shape for layer in network.layers] == [(6, 32, 32), (8, 16, 16), (512,), (12,)]
    assert [layer.index for layer in network.layers] == [0, 1, 2, 3]
    assert {"conv1", "relu@1", "relu@1.reshape", "dropout"} < set(network.places)
    own = Network(made("plain"), image=IMAGE).layers
    assert network.cut_at(None).layers == own


def test_a_module_stands_for_the_last_place_in_it():
    network = Network(made("vision transformer"), image=IMAGE, layer_names=["network.encoder"])
    ((layer),) = network.layers
    assert layer.name == "network.encoder" and layer.representation.shape == (17, 8)
    images = torch.rand(2, *IMAGE)
    with torch.no_grad():
        tokens = FrozenNetwork(network).representations(images)[0]
        normalised = nn.functional.layer_norm(tokens, (8,))
    torch.testing.assert_close(tokens, normalised, rtol=1e-3, atol=1e-3)  # the norm behind the last block is in it


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["blocks.1"], r"'blocks\.1' is no place to cut \(did you mean '"),
        (["block.0"], r"'block\.0' is no place to cut \(did you mean 'blocks\.0"),
        (["blocks.0", "blocks.0.add_1"], r"'blocks\.0\.add_1' is the same place as 'blocks\.0'"),
    ],
)
def test_a_name_of_no_place_is_refused(names, expected):
    with pytest.raises(ModelstitchError, match=expected):
        _ = Network(made("skipping"), image=IMAGE, layer_names=names).layers


def test_a_network_with_nothing_to_cut_is_refused():
    with pytest.raises(ModelstitchError, match=r"^Sequential: no layer to cut after"):
        _ = Network(nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)).eval(), image=IMAGE).layers


def test_a_grid_flattened_behind_its_channels_is_no_place_to_cut():
    """A transformer's patches after its `reshape` are 24 channels by 16 tokens: no 24 tokens of 16 channels."""
    sizes = {"patch_size": 8, "num_layers": 1, "num_heads": 2, "hidden_dim": 24, "mlp_dim": 32}
    network = Network(VisionTransformer(32, num_classes=10, **sizes).eval(), image=(3, 32, 32))
    assert {"conv_proj", "conv_proj.permute"} < set(network.places) and "conv_proj.reshape" not in network.places


def test_as_many_tokens_as_channels_are_tokens_behind_their_transposition():
    network = Network(Mixer(1, dimension=16).eval(), image=(1, 32, 32))
    assert [layer.name for layer in network.layers] == ["embed.transpose", *(f"blocks.{i}" for i in range(3))]
    assert {layer.representation for layer in network.layers} == {Representation(16, 4, 4, "tokens")}
    assert "embed.flatten" not in network.places


class OpenBlocks(nn.Module):
    """A Transformer as many write it: shortcuts around attention and perceptron lie outside of both."""

    def __init__(self, depth=3):
        super().__init__()
        self.embed = nn.Conv2d(1, 8, 8, stride=8)
        self.layers = nn.ModuleList(
            nn.ModuleList([nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8)) for _ in range(2)]) for _ in range(depth)
        )
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        for mix, mlp in self.layers:
            x = mix(x) + x
            x = mlp(x) + x
        return self.head(x.mean(1))


def test_a_shortcut_that_ends_behind_its_block_belongs_to_it():
    network = Network(OpenBlocks().eval(), image=(1, 32, 32))
    assert len(network.layers) == 1 + 2 * 3
    assert all("add" in layer.name for layer in network.layers[1:])
