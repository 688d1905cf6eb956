"""Settings that many tests share, and networks by them."""

from modelstitch.config.networks import Architecture, Training
from modelstitch.config.section import Augmentation
from modelstitch.config.stitches import AdamStitches, FastStitches, PaperStitches
from modelstitch.identifiers import NetworkId
from modelstitch.networks import making
from modelstitch.networks.network import Network
from modelstitch.networks.small_resnet import SmallResNet
from modelstitch.seeds import drawing

WIDTH = 4
TRAINING = Training(
    optimiser="sgd",
    epochs=3,
    batch=64,
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    warmup_epochs=1,
    augmentation=Augmentation(flip=False, shift=2, cutout=4),
    precision="float32",
)
COMMON = {
    "epochs": 1,
    "batch": 29,
    "augmentation": Augmentation(flip=False, shift=2, cutout=4),
    "precision": "float32",
    "sender_layers": "all",
    "receiver_layers": "all",
    "keep_stitches": False,
}
AUGMENTATION = Augmentation(flip=True, shift=2, cutout=4)
STITCHES = PaperStitches(
    protocol="paper", learning_rate=0.01, momentum=0.9, weight_decay=0.01, warmup_epochs=0.5, **COMMON
)
ADAM = AdamStitches(protocol="adam", learning_rate=0.001, weight_decay=0.0, statistics_images=203, **COMMON)
FAST = FastStitches(protocol="fast", learning_rate=0.1, statistics_images=150, **COMMON)


def architecture(model="R1111", width=WIDTH, **changes):
    """An architecture of the tests: a Small ResNet of some width, trained as the tests train, but for `changes`."""
    arguments = {"width": width} if width else {}
    return Architecture(**({"model": model, "arguments": arguments, "training": TRAINING} | changes))


def initialised(network_id, dataset, width=WIDTH):
    """A Small ResNet that was never trained."""
    network_id = NetworkId(*network_id)
    return making.initialise(network_id, architecture(network_id.architecture, width), dataset, 0)


def small_resnet(name="R1111", width=WIDTH, channels=1, classes=10, size=(32, 32)):
    """A Small ResNet of random weights, always the same, that takes its images as they are."""
    with drawing(0):
        module = SmallResNet(name, width, channels, classes)
    return Network(module.eval(), name, image=(channels, *size))


def training_settings(**changes):
    """How the tests train a network, but for `changes`."""
    return TRAINING.model_copy(update=changes)


def stitch_settings(**changes):
    """How the tests train stitches, but for `changes`."""
    return STITCHES.model_copy(update=changes)
