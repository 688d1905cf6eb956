"""A network's description, from its graph on the `meta` device."""

from modelstitch.config.networks import Architecture
from modelstitch.engine.profile import kept_numbers
from modelstitch.errors import ModelstitchError
from modelstitch.networks.building import Blueprint, build, input_channels, size_of
from modelstitch.networks.description import Description
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Network
from modelstitch.networks.winograd import WinogradConvolution


def described(network: Network) -> Description:
    """The description of a network whose images are known.

    Raises:
        ModelstitchError: if it can't be cut.
    """
    frozen, kept = _on_meta(network)
    state = network.module.state_dict()
    wide = [part for part in frozen.modules() if WinogradConvolution.suits(part)]
    return Description(
        image=network.image,
        names=tuple(layer.name for layer in network.layers),
        layers=tuple(layer.representation for layer in network.layers),
        operations=tuple(network.operations),
        largest=tuple(frozen.largest),
        kept=tuple(kept),
        activations=network.graph.activations,
        parameters=sum(value.numel() for value in state.values()),
        tensors=len(state),
        winograd=sum(part.in_channels * part.out_channels for part in wide),
    )


def _on_meta(network: Network) -> tuple[FrozenNetwork, list[int]]:
    """The frozen network and the tensors it keeps, on `meta`, or on the CPU if `meta` lacks one of its operations."""
    try:
        frozen = FrozenNetwork(network, device="meta")
        return frozen, kept_numbers(frozen)
    except (RuntimeError, NotImplementedError):
        frozen = FrozenNetwork(network)
        return frozen, kept_numbers(frozen)


def description_of(architecture: Architecture, image: tuple[int, int, int], classes: int) -> Description:
    """The description of an architecture for images (C, H, W) of a number of classes.

    Raises:
        ModelstitchError: if it can't be built or cut, or takes no such images.
    """
    channels, *size = image
    blueprint = Blueprint(architecture.model, classes, channels, architecture.arguments, architecture.stem)
    module = build(blueprint, seed=0)
    shape = (input_channels(module, channels), *size_of(architecture, size))
    normalisation = {"mean": architecture.mean, "std": architecture.std}
    network = Network(module, architecture.name, image=shape, layer_names=architecture.layers, **normalisation)
    network.check_images(image)
    if network.outputs != classes:
        raise ModelstitchError(f"{network.name} gives {network.outputs} logits: expected {classes}, one per class")
    return described(network)
