"""Networks as files: safetensors, with what it takes to build the module again in the header."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import readable, replacing
from modelstitch.networks.building import Blueprint, build
from modelstitch.networks.network import Network


def save(path: Path | str, network: Network) -> None:
    """Write a network.

    Raises:
        ValueError: if it has no blueprint, so that no file could bring it back.
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
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.module.state_dict().items()}
    metadata = {"network": json.dumps(header), "about": json.dumps(dict(network.about))}
    with replacing(path) as temporary:
        save_file(_apart(tensors), temporary, metadata=metadata)


def _apart(tensors: dict) -> dict:
    """Weights that two names share as two tensors: safetensors wants each to have its own memory."""
    seen: set[int] = set()
    found = {}
    for name, value in tensors.items():
        place = value.untyped_storage().data_ptr()
        found[name] = value.clone() if place in seen else value
        seen.add(place)
    return found


def load(path: Path | str) -> Network:
    """The network of a file that `save` wrote, in evaluation mode on the CPU.

    Raises:
        ModelstitchError: if the file is missing, damaged or of another kind.
    """
    try:
        with readable(path), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelstitchError(f"{path}: can't be read as safetensors ({error}): a damaged or another file") from error
    if not {"network", "about"} <= metadata.keys():
        raise ModelstitchError(
            f"{path}: is not a network that a study saved: of a checkpoint of your own, load the weights into its "
            "module, and give that to Network(module), or name the file as weights in a study (recipe pretrained)"
        )
    try:
        header = json.loads(metadata["network"])
        module = build(Blueprint(**header["blueprint"]), seed=0)
        module.load_state_dict(weights)
        return Network(
            module.eval(),
            header["name"],
            image=tuple(header["image"]),
            mean=header["mean"],
            std=header["std"],
            classes=header["classes"],
            about=json.loads(metadata["about"]),
            blueprint=Blueprint(**header["blueprint"]),
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = first_line(error)
        raise ModelstitchError(f"{path}: its header and its weights do not fit together ({reason})") from error
