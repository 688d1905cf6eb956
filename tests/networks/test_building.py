"""Modules by name, of every source."""

import re

import pytest
import torch
import torchvision.models
from torch import nn

from modelstitch.errors import ModelstitchError
from modelstitch.networks.building import Blueprint, build, input_channels
from modelstitch.networks.small_resnet import SmallResNet
from modelstitch.networks.sources import source_of
from modelstitch.networks.sources import torchvision as source

MINE = '''
from torch import nn

from beside import WIDTH


class Net(nn.Module):
    """Takes what a study knows by either name."""

    def __init__(self, in_chans, num_classes, depth=1):
        super().__init__()
        self.body = nn.Sequential(*(nn.Conv2d(in_chans if i == 0 else WIDTH, WIDTH, 3) for i in range(depth)))
        self.head = nn.Linear(WIDTH, num_classes)

    def forward(self, images):
        return self.head(self.body(images).mean((2, 3)))


def wide(channels):
    return Net(channels, 3)


def failing():
    raise RuntimeError("no such depth")


number = 3.0


def text():
    return "a text"
'''


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "beside.py").write_text("WIDTH = 7\n")
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("R1122", ("small_resnet", "R1122")),
        ("torchvision:vgg11_bn", ("torchvision", "vgg11_bn")),
        ("timm:vit_tiny_patch16_224.augreg_in21k", ("timm", "vit_tiny_patch16_224.augreg_in21k")),
        ("nets/mine.py:SmallViT", ("file", "nets/mine.py:SmallViT")),
    ],
)
def test_a_name_says_where_a_module_comes_from(model, expected):
    assert source_of(model) == expected


@pytest.mark.parametrize(
    "model", ["resnet18", "R1", "timm:", "keras:vgg", "nets/mine.py", "nets/mine.py:", "mine.txt:A"]
)
def test_another_name_is_refused_by_name(model):
    with pytest.raises(ModelstitchError, match=re.escape(f"{model!r} is no model: expected a Small ResNet")):
        source_of(model)


def test_modules_are_built_for_the_images_and_classes_at_hand(mine):
    assert isinstance(build(Blueprint("R1111", 4, 1, {"width": 3}), 0), SmallResNet)
    own = build(Blueprint(f"{mine}:Net", 4, 2, {"depth": 2}), 0)
    assert own(torch.rand(3, 2, 9, 9)).shape == (3, 4) and len(own.body) == 2
    assert build(Blueprint(f"{mine}:wide", 4, 2), 0)(torch.rand(3, 2, 9, 9)).shape == (3, 3)
    vgg = build(Blueprint("torchvision:vgg11_bn", 4, 3), 0)
    assert vgg.classifier[-1].out_features == 4
    assert build(Blueprint("torchvision:googlenet", 4, 3), 0).aux1 is None
    vit = Blueprint(
        "torchvision:VisionTransformer",
        5,
        3,
        {"image_size": 16, "patch_size": 4, "num_layers": 1, "num_heads": 1, "hidden_dim": 8, "mlp_dim": 8},
    )
    assert build(vit, 0)(torch.rand(2, 3, 16, 16)).shape == (2, 5)
    assert build(Blueprint("timm:test_resnet", 4, 3, {"in_chans": 1}), 0)(torch.rand(2, 1, 64, 64)).shape == (2, 4)


@pytest.mark.parametrize("model", ["torchvision:squeezenet1_1", "timm:test_resnet", "R1111"])
def test_the_seed_alone_determines_the_weights(model):
    arguments = {"width": 3} if model == "R1111" else {}
    state = torch.random.get_rng_state()
    first, again, other = (build(Blueprint(model, 4, 3, arguments), seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


@pytest.mark.parametrize(
    ("blueprint", "expected"),
    [
        (Blueprint("torchvision:vgg11bn", 4), r"no classification model 'vgg11bn' \(did you mean 'vgg11_bn'"),
        (Blueprint("torchvision:fcn_resnet50", 4), "no classification model"),
        (Blueprint("timm:test_resnett", 4), r"timm has no model 'test_resnett' \(did you mean 'test_resnet"),
        (Blueprint("torchvision:vgg11_bn", 4, 3, {"depth": 3}), r"vgg11_bn can't be built of {'depth': 3}: .*'depth'"),
        (Blueprint("R1111", 4, 3, {"width": 3, "depth": 1}), r"R1111 can't be built of .*'depth'"),
        (Blueprint("{mine}:Nett", 4), r"mine\.py has no 'Nett' \(did you mean 'Net'"),
        (Blueprint("{mine}:failing", 4), r"mine\.py:failing can't be built of {}: no such depth \(.*mine\.py:24\)"),
        (Blueprint("{mine}:text", 4), r"gives a str: expected a torch\.nn\.Module"),
        (Blueprint("nowhere.py:Net", 4), r"nowhere\.py: no such file"),
    ],
)
def test_what_can_not_be_built_is_refused_by_what_is_wrong(mine, blueprint, expected):
    blueprint = Blueprint(blueprint.model.format(mine=mine), blueprint.outputs, 3, blueprint.arguments)
    with pytest.raises(ModelstitchError, match=expected):
        build(blueprint, 0)


def test_a_file_that_can_not_be_run_is_refused_by_its_line(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import torch\n\nraise ValueError('not today')\n")
    with pytest.raises(ModelstitchError, match=r"not today \(.*broken\.py:3\)"):
        build(Blueprint(f"{path}:Net", 4), 0)


def test_a_small_stem_is_that_of_cifars_resnets():
    module = build(Blueprint("torchvision:resnet18", 10, 3, stem="small"), 0)
    assert (module.conv1.kernel_size, module.conv1.stride, module.conv1.padding) == ((3, 3), (1, 1), (1, 1))
    assert isinstance(module.maxpool, nn.Identity)
    with torch.no_grad():
        maps = module.layer1(module.maxpool(module.relu(module.bn1(module.conv1(torch.rand(1, 3, 32, 32))))))
    assert maps.shape == (1, 64, 32, 32)
    own = torchvision.models.resnet18()
    parameters = [sum(each.numel() for each in network.parameters()) for network in (module, own)]
    assert parameters[0] == parameters[1] - 64 * 3 * (49 - 9) - 990 * 513


@pytest.mark.parametrize("model", ["torchvision:vit_b_32", "torchvision:convnext_tiny"])
def test_a_stem_of_patches_has_no_small_one(model):
    with pytest.raises(ModelstitchError, match="stem: small is for a first convolution whose patches overlap"):
        build(Blueprint(model, 10, 3, stem="small"), 0)


def test_channels_are_those_of_the_first_convolution():
    assert input_channels(build(Blueprint("torchvision:resnet18", 10), 0), 1) == 3
    assert input_channels(nn.Linear(3, 2), 1) == 1


def published(tmp_path, monkeypatch, module):
    """Torch's cache with a module's weights in the place of SqueezeNet's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = torchvision.models.get_model_weights("squeezenet1_1")["DEFAULT"]
    path = tmp_path / "hub" / "checkpoints" / weights.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(module.state_dict(), path)


def test_published_weights_come_with_their_images_and_classes(tmp_path, monkeypatch):
    expected = torchvision.models.squeezenet1_1().eval()
    published(tmp_path, monkeypatch, expected)
    found = source.published("squeezenet1_1", {})
    assert all(torch.equal(value, expected.state_dict()[name]) for name, value in found.weights.items())
    assert source.published_size("squeezenet1_1") == (224, 224)
    assert len(found.classes) == 1000 and found.classes[1] == "goldfish"
    assert found.mean == [0.485, 0.456, 0.406]


def test_weights_that_can_not_be_downloaded_are_told_where_to_put(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # where nobody answers
    with pytest.raises(ModelstitchError, match=r"can\'t be downloaded.*fetch https://.*squeezenet1_1") as error:
        source.published("squeezenet1_1", {})
    assert str(tmp_path / "hub" / "checkpoints" / "squeezenet1_1") in str(error.value)


def test_a_model_without_published_weights_is_refused():
    with pytest.raises(ModelstitchError, match="no weights of 'VisionTransformer': give a file as weights"):
        source.published("VisionTransformer", {})
