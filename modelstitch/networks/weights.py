"""Networks as files: safetensors with a header that says how to build the module."""

from pathlib import Path
from typing import Any

from modelstitch import tensors
from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import to_json
from modelstitch.headers import read_json
from modelstitch.networks.about import OTHER, WHAT
from modelstitch.networks.building import Blueprint, build
from modelstitch.networks.network import Network


def save(path: Path | str, network: Network) -> None:
    """Write a network.

    Raises:
        ValueError: if it has no blueprint, without which it can't be built from a file.
        ModelstitchError: if the file can't be written.
    """
    if network.blueprint is None:
        raise ValueError(f"{network.name}: is a module of your own: keep its state dict, and build it yourself")
    header = {
        "name": network.name,
        "blueprint": network.blueprint.as_json(),
        "image": network.image,
        "mean": network.mean,
        "std": network.std,
        "classes": network.classes,
    }
    texts = {"network": to_json(header), "about": to_json(dict(network.about))}
    tensors.write(path, network.module.state_dict(), texts)


def load(path: Path | str) -> Network:
    """The network of a file that `save` wrote, in evaluation mode on the CPU.

    Raises:
        ModelstitchError: if the file is missing, damaged or of another kind.
    """
    weights, texts = tensors.read(path, WHAT, OTHER)
    header, known = read_json(path, texts, "network"), read_json(path, texts, "about")
    try:
        blueprint = Blueprint(**header["blueprint"])
        module = build(blueprint, seed=0)
        module.load_state_dict(weights)
        network = Network(
            module.eval(),
            header["name"],
            image=tuple(header["image"]),
            mean=header["mean"],
            std=header["std"],
            classes=header["classes"],
            about=known,
            blueprint=blueprint,
        )
    except (ModelstitchError, KeyError, TypeError, ValueError, RuntimeError, MemoryError, OverflowError) as error:
        reason = first_line(error)
        raise ModelstitchError(f"{path}: its header and its weights do not fit together ({reason})") from error
    _check(path, network)
    return network


def _check(path: Path | str, network: Network) -> None:
    """Refuse a header with fields of wrong types."""

    def numbers(values: Any) -> bool:
        return all(isinstance(value, int | float) for value in values) if isinstance(values, list) else values is None

    names = network.classes if network.classes is not None else []
    kinds = {
        "name": isinstance(network.name, str),
        "image": len(network.image) == 3 and all(isinstance(size, int) and size > 0 for size in network.image),
        "mean": numbers(network.mean),
        "std": numbers(network.std),
        "classes": isinstance(names, list) and all(isinstance(name, str) for name in names),
    }
    for name, good in kinds.items():
        if not good:
            raise ModelstitchError(f"{path}: network.{name}: {getattr(network, name)!r}: not what a study writes")
