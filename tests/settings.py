"""Settings that many tests share, and networks by them."""

from modelstitch.config import Augmentation, FastStitches, PaperStitches, Training
from modelstitch.networks import training

WIDTH = 4


def initialised(network_id, dataset, width=WIDTH):
    """A network that was never trained, with what is known of it."""
    network, network.about = training.initialise(network_id, width, dataset, 0)
    return network


TRAINING = Training(
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
FAST = FastStitches(protocol="fast", learning_rate=0.1, statistics_images=150, **COMMON)


def training_settings(**changes):
    """How the tests train a network, but for `changes`."""
    return TRAINING.model_copy(update=changes)


def stitch_settings(**changes):
    """How the tests train stitches, but for `changes`."""
    return STITCHES.model_copy(update=changes)
