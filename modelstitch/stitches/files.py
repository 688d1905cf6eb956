"""The stitches of a pair as one file: safetensors, with the family and geometry of every cell in the header."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from modelstitch import tensors
from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import to_json
from modelstitch.headers import read_json
from modelstitch.stitches.families import family_of
from modelstitch.stitches.geometry import Cell, Geometry

WHAT, AGAIN = "file of stitches", "run the study again with --forcerun and this file"


def write(path: Path | str, stitches: Mapping[Cell, Any], family: str) -> None:
    """Write stitches: tensors `<sender layer>.<receiver layer>.<name>`, and each cell's geometry in the header.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    named = {
        f"{i}.{j}.{name}": tensor for (i, j), stitch in stitches.items() for name, tensor in stitch.tensors.items()
    }
    cells = {
        f"{i}.{j}": {"family": family, "geometry": stitch.geometry.as_json()} for (i, j), stitch in stitches.items()
    }
    tensors.write(path, named, {"stitches": to_json(cells)})


def read(path: Path | str) -> dict[Cell, Any]:
    """The stitches of a file that `write` wrote, by cell.

    Raises:
        ModelstitchError: if the file is missing, damaged or of another kind.
    """
    named, cells = _read(path)
    found = {}
    for name, about in cells.items():
        try:
            i, j = map(int, name.split("."))
            own = {key.removeprefix(f"{name}."): value for key, value in named.items() if key.startswith(f"{name}.")}
            stitch = family_of(about["family"]).Stitch
            found[i, j] = stitch.of(Geometry.from_json(about["geometry"]), own)
        except (KeyError, ValueError, TypeError, ImportError, AttributeError, RuntimeError) as error:
            raise ModelstitchError(f"{path}: stitches.{name}: is no stitch ({first_line(error)}): {AGAIN}") from error
    return found


def _read(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    named, texts = tensors.read(path, WHAT, AGAIN)
    return named, read_json(path, texts, "stitches")


def join(paths: Sequence[Path | str], path: Path | str) -> None:
    """Write the stitches of several files, which have different cells, as one file.

    Raises:
        ModelstitchError: as `read` and `write`.
    """
    named: dict[str, Tensor] = {}
    cells: dict[str, Any] = {}
    for block in paths:
        more_named, more_cells = _read(block)
        named |= more_named
        cells |= more_cells
    tensors.write(path, named, {"stitches": to_json(cells)})
