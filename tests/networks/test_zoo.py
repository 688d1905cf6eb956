"""Every classification family of torchvision, and some of timm: cut at their blocks, and whole again at every layer."""

import pytest
import timm
import torch
import torchvision

from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Network

# The smallest of each family: how many layers it has, the first and the last.
TORCHVISION = {
    "alexnet": (7, "features.2", "classifier.5"),
    "convnext_tiny": (22, "features.0", "features.7.2"),
    "densenet121": (8, "features.pool0", "features.denseblock4"),
    "efficientnet_b0": (18, "features.0", "features.8"),
    "efficientnet_v2_s": (42, "features.0", "features.7"),
    "googlenet": (12, "conv1", "inception5b"),
    "inception_v3": (16, "Conv2d_1a_3x3", "Mixed_7c"),
    "maxvit_t": (36, "stem.0", "classifier.4"),
    "mnasnet0_5": (20, "layers.2", "layers.16"),
    "mobilenet_v2": (19, "features.0", "features.18"),
    "mobilenet_v3_small": (14, "features.0", "classifier.2"),
    "regnet_x_400mf": (23, "stem", "trunk_output.block4.block4-11"),
    "regnet_y_400mf": (17, "stem", "trunk_output.block4.block4-5"),
    "resnet18": (9, "maxpool", "layer4.1"),
    "resnet50": (17, "maxpool", "layer4.2"),
    "resnext50_32x4d": (17, "maxpool", "layer4.2"),
    "shufflenet_v2_x0_5": (18, "maxpool", "conv5"),
    "squeezenet1_1": (9, "features.2", "features.12"),
    "swin_t": (16, "features.0", "features.7.1"),
    "swin_v2_t": (16, "features.0", "features.7.1"),
    "vgg11": (10, "features.2", "classifier.5"),
    "vgg11_bn": (10, "features.3", "classifier.5"),
    "vit_b_32": (13, "encoder.dropout", "encoder.layers.encoder_layer_11"),
}
WITHOUT_HEADS_BESIDE = {"aux_logits": False, "init_weights": False}
ARGUMENTS = {"googlenet": WITHOUT_HEADS_BESIDE, "inception_v3": WITHOUT_HEADS_BESIDE}
# timm's test models, and small ones whose stages have one block or several, or blocks of several kinds.
TIMM = {
    "edgenext_xx_small": (16, "stages.0.downsample", "stages.3.blocks.1"),
    "hgnetv2_b0": (11, "stem.stem1", "stages.3.blocks"),
    "test_byobnet": (5, "stem", "final_conv"),
    "test_coatnet": (6, "stem", "stages.3"),
    "test_convnext": (13, "stages.0.downsample", "stages.3.blocks.1"),
    "test_convnext2": (5, "stem", "stages.3"),
    "test_convnext3": (5, "stem", "stages.3"),
    "test_efficientnet": (7, "bn1", "bn2"),
    "test_efficientnet_evos": (7, "bn1", "bn2"),
    "test_efficientnet_gn": (7, "bn1", "bn2"),
    "test_efficientnet_ln": (7, "bn1", "bn2"),
    "test_mambaout": (10, "stages.0.downsample", "stages.3.blocks"),
    "test_maxvit": (13, "stem", "stages.3.blocks.0.attn_grid"),
    "test_nfnet": (9, "stem.act2", "final_act"),
    "test_resnet": (7, "conv1.2", "layer4"),
    "test_vit": (7, "pos_drop", "blocks.5"),
    "test_vit2": (9, "pos_drop", "blocks.7"),
    "test_vit3": (13, "norm_pre", "attn_pool.add"),
    "test_vit4": (10, "pos_drop", "blocks.8"),
    "test_vit_relpos": (10, "patch_embed", "blocks.8"),
    "vovnet39a": (9, "stem.0", "stages.3.blocks.1"),
}


def networks_of(module, name, image):
    """The network, with statistics and weights that no initialisation sets to zero."""
    torch.manual_seed(0)
    for part in module.modules():
        for value in part.parameters(recurse=False):
            if not value.any():
                torch.nn.init.normal_(value, std=0.02)
    return Network(module.eval(), name, image=image)


def assert_whole_at_every_layer(network):
    frozen = FrozenNetwork(network)
    images = torch.rand(2, *network.image, generator=torch.Generator().manual_seed(1))
    expected = network.logits(images)
    representations = frozen.representations(images)
    assert expected.std() > 0
    with torch.no_grad():
        for layer in network.layers:
            values = representations[layer.index]
            assert values.shape[1:] == layer.representation.shape
            logits = frozen.suffix(layer.index, values)
            assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max(), layer.name


def test_the_families_are_all_that_torchvision_has():
    families = {name.split("_")[0].rstrip("0123456789") for name in TORCHVISION}
    known = torchvision.models.list_models(module=torchvision.models)
    others = {name for name in known if name.split("_")[0].rstrip("0123456789") not in families}
    assert others == {"wide_resnet50_2", "wide_resnet101_2"}  # ResNets


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_family_of_torchvision_is_cut_at_its_blocks(name):
    module = torchvision.models.get_model(name, weights=None, num_classes=10, **ARGUMENTS.get(name, {}))
    side = 299 if name == "inception_v3" else 224
    network = networks_of(module, name, (3, side, side))
    layers = network.layers
    assert (len(layers), layers[0].name, layers[-1].name) == TORCHVISION[name]
    assert_whole_at_every_layer(network)


def test_the_small_models_of_timm_are_all_that_it_tests_itself_with():
    assert {name for name in TIMM if name.startswith("test_")} == set(timm.list_models("test_*"))


@pytest.mark.parametrize("name", TIMM)
def test_a_small_model_of_timm_is_cut_at_its_blocks(name):
    module = timm.create_model(name, num_classes=10)
    network = networks_of(module, name, tuple(module.pretrained_cfg["input_size"]))
    layers = network.layers
    assert (len(layers), layers[0].name, layers[-1].name) == TIMM[name]
    assert_whole_at_every_layer(network)
