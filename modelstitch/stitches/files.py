"""The stitches of a pair as one file: safetensors, with the family and geometry of every cell in the header."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from modelstitch.errors import ModelstitchError
from modelstitch.files import readable, replacing
from modelstitch.stitches.families import family_of
from modelstitch.stitches.geometry import Cell, Geometry


def write(path: Path | str, stitches: Mapping[Cell, Any], family: str) -> None:
    """Write stitches: tensors `<sender layer>.<receiver layer>.<name>`, and each cell's geometry in the header.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    tensors = {
        f"{i}.{j}.{name}": tensor.detach().cpu().contiguous()
        for (i, j), stitch in stitches.items()
        for name, tensor in stitch.tensors.items()
    }
    cells = {
        f"{i}.{j}": {"family": family, "geometry": stitch.geometry.as_json()} for (i, j), stitch in stitches.items()
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"stitches": json.dumps(cells)})


def read(path: Path | str) -> dict[Cell, Any]:
    """The stitches of a file that `write` wrote, by cell.

    Raises:
        ModelstitchError: if the file is missing, damaged or of another kind.
    """
    try:
        with readable(path), safe_open(path, framework="pt") as file:
            cells = json.loads((file.metadata() or {})["stitches"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = {}
        for name, about in cells.items():
            i, j = map(int, name.split("."))
            own = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
            stitch = family_of(about["family"]).Stitch
            found[i, j] = stitch.of(Geometry.from_json(about["geometry"]), own)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, ImportError) as error:
        raise ModelstitchError(
            f"{path}: is not a file of stitches, or damaged ({error}): run the study again"
        ) from error
    return found


def join(paths: Sequence[Path | str], path: Path | str) -> None:
    """Write the stitches of several files, of other cells each, as one file.

    Raises:
        ModelstitchError: as `read` and `write`.
    """
    tensors: dict[str, torch.Tensor] = {}
    cells: dict[str, Any] = {}
    for block in paths:
        try:
            with readable(block), safe_open(block, framework="pt") as file:
                cells |= json.loads((file.metadata() or {})["stitches"])
                tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise ModelstitchError(f"{block}: is not a file of stitches, or damaged ({error})") from error
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"stitches": json.dumps(cells)})
