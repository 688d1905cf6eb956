"""Weights that others trained: from a file, or published with a library."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import opened

# Where a checkpoint of a training keeps the weights among other things.
NESTED = ("state_dict", "model_state_dict", "model", "net")
LISTED = 3
OTHERS = "these weights are of another network, or its arguments differ"


class Published(NamedTuple):
    """A library's weights, and what they were trained for.

    Attributes:
        weights: a state dict.
        arguments: arguments of the model without which the weights mean something else, beside those of a study.
        mean, std: normalisation of the images.
        classes: names of the classes; None if the library does not name them.
    """

    weights: Mapping[str, Tensor]
    arguments: Mapping[str, Any]
    mean: Sequence[float]
    std: Sequence[float]
    classes: Sequence[str] | None


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The state dict of a file: safetensors, or torch's format, from any device; nothing but tensors is unpickled.

    The weights may be one entry of a checkpoint (`state_dict`, `model`, ...), and those of a `DataParallel` module.

    Raises:
        ModelstitchError: if the file is missing, or holds anything but named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelstitchError(f"{path}: no such file: expected weights, as safetensors or a state dict of torch")
    try:
        with opened(path, "file of weights"):
            if path.suffix == ".safetensors":
                found = load_file(path)
            else:
                found = torch.load(path, weights_only=True, map_location="cpu")
    except ModelstitchError:
        raise
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelstitchError(f"{path}: can't be read as weights: {first_line(error)}") from error
    except Exception as error:  # what weights_only refuses
        raise ModelstitchError(
            f"{path}: holds more than tensors, and a pickle can run code, so only tensors are read: save it again by "
            f"torch.save(module.state_dict(), ...) ({first_line(error)})"
        ) from error
    for name in NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelstitchError(f"{path}: expected a state dict, names of parameters with their tensors")
    prefix = "module." if all(name.startswith("module.") for name in found) else ""
    return {name.removeprefix(prefix): value for name, value in found.items()}


def load_weights(module: nn.Module, path: Path | str) -> None:
    """Put the weights of a file into a module.

    Raises:
        ModelstitchError: as `read_weights` and `load_state`.
    """
    load_state(module, read_weights(path), path)


def load_state(module: nn.Module, weights: Mapping[str, Tensor], source: Path | str) -> None:
    """Put weights into a module.

    Args:
        module: the module.
        weights: a state dict.
        source: where the weights come from, for errors.

    Raises:
        ModelstitchError: if names or shapes are not the module's.
    """
    own = module.state_dict()
    for name, value in own.items():
        if name in weights and weights[name].shape != value.shape:
            shapes = tuple(weights[name].shape), tuple(value.shape)
            raise ModelstitchError(f"{source}: {name} is {shapes[0]}, expected {shapes[1]}: {OTHERS}")
    # What only counts batches may be missing: older files have none.
    missing = [name for name in own if name not in weights and not name.endswith("num_batches_tracked")]
    unknown = [name for name in weights if name not in own]
    for names, words in ((missing, "lacks"), (unknown, "has what the network lacks")):
        if names:
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            raise ModelstitchError(f"{source}: {words}: {', '.join(names[:LISTED])}{more}: {OTHERS}")
    module.load_state_dict(weights, strict=False)


def check_classes(classes: Sequence[str] | None, expected: Sequence[str], name: str) -> None:
    """Refuse a network whose logits stand for other classes than the data set's, or for the same in another order.

    Raises:
        ModelstitchError: if they do, or if their classes are not known.
    """
    if classes is None:
        raise ModelstitchError(f"{name}: its classes are not known: state them, in the order of its logits, as classes")
    if list(classes) == list(expected):
        return
    if sorted(classes) == sorted(expected):
        place = next(index for index, pair in enumerate(zip(classes, expected, strict=True)) if pair[0] != pair[1])
        raise ModelstitchError(
            f"{name}: class {place} is {classes[place]!r}, of the data set {expected[place]!r}: the same classes in "
            "another order, expected the data set's"
        )
    raise ModelstitchError(
        f"{name}: its {len(classes)} classes ({classes[0]}, ...) are not the {len(expected)} of the data set "
        f"({expected[0]}, ...)"
    )
