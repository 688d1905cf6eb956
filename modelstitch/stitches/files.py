"""The stitches of a pair as one file: safetensors, whose header says of which pair, and family and geometry of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from modelstitch import tensors
from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import to_json
from modelstitch.headers import read_json
from modelstitch.stitches.families import family_of
from modelstitch.stitches.geometry import Cell, Geometry

# Attributes of the pair's record that are in the header.
PAIR = (
    "study",
    "objective",
    "sender",
    "receiver",
    "sender_digest",
    "receiver_digest",
    "dataset_digest",
    "seed",
)
WHAT, AGAIN = "file of stitches", "run the study again with --forcerun and this file"


def write(path: Path | str, stitches: Mapping[Cell, Any], family: str, about: Mapping[str, Any]) -> None:
    """Write stitches: tensors `<sender layer>.<receiver layer>.<name>`, and each cell's geometry in the header.

    Args:
        path: of the file.
        stitches: by cell.
        family: of all of them.
        about: attributes of the pair's record, of which the header has `PAIR`.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    named = {
        f"{i}.{j}.{name}": tensor for (i, j), stitch in stitches.items() for name, tensor in stitch.tensors.items()
    }
    cells = {
        f"{i}.{j}": {"family": family, "geometry": stitch.geometry.as_json()} for (i, j), stitch in stitches.items()
    }
    _write(path, named, cells, {name: about[name] for name in PAIR})


def _write(path: Path | str, named: Mapping[str, Tensor], cells: Mapping[str, Any], pair: Mapping[str, Any]) -> None:
    tensors.write(path, named, {"stitches": to_json(cells), "pair": to_json(pair)})


def read(path: Path | str, expected: Mapping[str, Any] = MappingProxyType({})) -> dict[Cell, Any]:
    """The stitches of a file that `write` wrote, by cell.

    Args:
        path: of the file.
        expected: those of `PAIR` that are known.

    Raises:
        ModelstitchError: if the file is missing, damaged, of another kind, or of another pair.
    """
    named, cells, pair = _read(path)
    for name, value in expected.items():
        if pair.get(name) != value:
            raise ModelstitchError(f"{path}: pair.{name}: {pair.get(name)!r}: expected {value!r}: {AGAIN}")
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


def _read(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    named, texts = tensors.read(path, WHAT, AGAIN)
    return named, read_json(path, texts, "stitches"), read_json(path, texts, "pair")


def join(paths: Sequence[Path | str], path: Path | str) -> None:
    """Write the stitches of several files, of other cells of one pair each, as one file.

    Raises:
        ModelstitchError: as `read` and `write`.
    """
    named, cells, pair = _read(paths[0])
    for block in paths[1:]:
        more_named, more_cells, other = _read(block)
        if other != pair:
            raise ModelstitchError(f"{block}: pair: {other}: expected {pair} as in {paths[0]}: {AGAIN}")
        named |= more_named
        cells |= more_cells
    _write(path, named, cells, pair)
