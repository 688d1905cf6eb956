"""What measures are taken on: networks that are no Small ResNets, and a network stitched to itself by identities."""

import dataclasses

import numpy as np
import torch
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer

from modelstitch.config.stitches import LeastSquares
from modelstitch.data.images import DeviceImages
from modelstitch.fitting.beginning import Fit
from modelstitch.fitting.pair import column, layers_of
from modelstitch.networks.evaluation import evaluate, predict
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Network
from modelstitch.records import PairRecord
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import identity

CLOSED = LeastSquares(
    protocol="least-squares",
    ridge=1e-6,
    precision="float32",
    sender_layers="all",
    receiver_layers="all",
    keep_stitches=False,
)


def vision_transformer():
    """Of colours, without normalisation: three layers of a class token and 4 x 4 others, of 16 channels.

    Its head has random weights, for which torchvision has zeros.
    """
    torch.manual_seed(0)
    sizes = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32}
    module = VisionTransformer(**sizes, num_classes=10)
    nn.init.normal_(module.heads.head.weight)
    return Network(module.eval(), "vit_random_s0", image=(3, 32, 32))


def swin_transformer():
    """Of colours, 24 x 24: five layers of maps whose channels come last, from 12 x 12 places to 6 x 6."""
    torch.manual_seed(0)
    sizes = {"patch_size": [2, 2], "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "window_size": [4, 4]}
    module = SwinTransformer(**sizes, num_classes=10)
    return Network(module.eval(), "swin_random_s0", image=(3, 24, 24), mean=[0.4, 0.5, 0.6], std=0.3)


def perceptron():
    """Of grey images: two layers of vectors."""
    torch.manual_seed(0)
    hidden = [nn.Linear(1024, 24), nn.ReLU(), nn.Linear(24, 20), nn.ReLU()]
    module = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(20, 10))
    return Network(module.eval(), "mlp_random_s0", image=(1, 32, 32))


def measured(network, dataset):
    """The network with its own accuracy."""
    own = evaluate(FrozenNetwork(network), DeviceImages(dataset, dataset.test))
    return dataclasses.replace(network, about={"accuracy": own.accuracy})


def identities(network, layers):
    """Stitches of cells (i, i)."""
    shapes = {layer: network.layers[layer].representation for layer in layers}
    return {(layer, layer): identity(Geometry.between(shape, shape)) for layer, shape in shapes.items()}


def own_classes(frozen, dataset):
    """What a network takes the test images for."""
    return predict(frozen, DeviceImages(dataset, dataset.test)).argmax(dim=1).numpy()


def record_of(network, dataset, predictions, stitches):
    """A record of a network and itself with the same predictions in every cell (i, i) that has a stitch."""
    cells = len(stitches)
    fit = Fit(stitches, np.ones((1, cells)), np.ones((1, cells)), 1)
    classes = np.stack([predictions] * cells)
    columns = [column(j, fit, np.ones(cells), classes, predictions, dataset) for _, j in stitches]
    about = {"objective": "task"}
    for role in ("sender", "receiver"):
        about |= {role: network.name, f"{role}_accuracy": network.about["accuracy"]}
    return PairRecord(about, layers_of(network), layers_of(network), tuple(columns))
