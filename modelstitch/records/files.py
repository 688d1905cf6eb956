"""Records as HDF5 files, and the record of a pair from those of its blocks of receiver layers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import readable, replacing
from modelstitch.records.layout import (
    ARRAYS,
    FORMAT_VERSION,
    IDENTITY,
    JSON_ATTRIBUTES,
    Column,
    Layers,
    PairRecord,
)

COLUMN = "layer_{:02d}"
SHAPES = ("channels", "height", "width", "extra")


def write(path: Path | str, record: PairRecord) -> None:
    """Write the record of one pair: one group per column and one for each network's layers, attributes at the root.

    `settings` and `versions` are dicts, the other attributes numbers or text; those of `IDENTITY` are required. The
    file is made in memory and written whole, since HDF5 can't be trusted to survive a full disk.

    Raises:
        ValueError: if an attribute is missing, or two columns are of the same receiver layer.
        ModelstitchError: if the file can't be written.
    """
    if missing := [name for name in IDENTITY if name not in record.attributes]:
        raise ValueError(f"{path}: attributes {missing} are missing")
    layers = [column.receiver_layer for column in record.columns]
    if len(set(layers)) < len(layers):
        raise ValueError(f"{path}: receiver layers {layers}: expected each once")
    with h5py.File(Path(path).name, "w", driver="core", backing_store=False) as file:
        file.attrs["format_version"] = FORMAT_VERSION
        for name, value in record.attributes.items():
            file.attrs[name] = json.dumps(value, sort_keys=True) if name in JSON_ATTRIBUTES else value
        for role in ("sender", "receiver"):
            _write_layers(file.create_group(role), getattr(record, role))
        for column in record.columns:
            _write_column(file.create_group(COLUMN.format(column.receiver_layer)), column)
        file.flush()
        image = file.id.get_file_image()
    with replacing(path) as temporary:
        temporary.write_bytes(image)


def _write_layers(group: h5py.Group, layers: Layers) -> None:
    group.attrs["operations"] = layers.total_operations
    for name in ("names", "layouts"):
        group[name] = np.array(getattr(layers, name), h5py.string_dtype())
    for place, name in enumerate(SHAPES):
        group[name] = np.asarray(layers.shapes, np.int64)[:, place]
    group["operations"] = np.asarray(layers.operations, np.int64)


def _write_column(group: h5py.Group, column: Column) -> None:
    group.attrs["receiver_layer"] = column.receiver_layer
    group.attrs["test_images"] = column.test_images
    group["sender_layers"] = np.array(column.sender_layers, np.int64)
    failed = np.isnan(column.test_accuracy)
    for name, (_, dtype) in ARRAYS.items():
        values = getattr(column, name)
        if dtype == "text":
            group[name] = np.array(values, h5py.string_dtype())
        elif dtype == "classes":
            marked = np.where(failed[:, None], np.iinfo(values.dtype).max, values).astype(values.dtype)
            group.create_dataset(name, data=marked, chunks=(1, marked.shape[1]), compression="gzip")
        else:
            group[name] = np.asarray(values, dtype)


def read(path: Path | str) -> PairRecord:
    """Read the record of one pair.

    Raises:
        ModelstitchError: if the file is missing, damaged, or of another format version, naming it.
    """
    try:
        with readable(path), h5py.File(path, "r") as file:
            attributes = {name: _plain(value) for name, value in file.attrs.items()}
            version = attributes.pop("format_version", None)
            if version is None:
                raise ModelstitchError(f"{path}: is no record of modelstitch")
            if version != FORMAT_VERSION:
                raise ModelstitchError(
                    f"{path}: format_version {version}: this version of modelstitch reads {FORMAT_VERSION}: "
                    "run the study again by this version, or read it by the one that wrote it"
                )
            for name in JSON_ATTRIBUTES:
                attributes[name] = json.loads(attributes[name])
            networks = [_read_layers(file[role]) for role in ("sender", "receiver")]
            columns = [_read_column(group) for name, group in file.items() if name not in ("sender", "receiver")]
    except FileNotFoundError as error:
        raise ModelstitchError(f"{path}: no such file: expected the record of a pair") from error
    except (OSError, RuntimeError, KeyError, ValueError, AttributeError) as error:
        raise ModelstitchError(
            f"{path}: is no record of modelstitch, or a damaged one ({first_line(error)}): if a study made it, run the "
            "study again with --forcerun and this file"
        ) from error
    return PairRecord(attributes, *networks, tuple(sorted(columns, key=lambda column: column.receiver_layer)))


def _read_layers(group: h5py.Group) -> Layers:
    names, layouts = (tuple(group[name].asstr()[()].tolist()) for name in ("names", "layouts"))
    shapes = np.stack([group[name][()] for name in SHAPES], axis=1)
    return Layers(names, layouts, shapes, group["operations"][()], int(group.attrs["operations"]))


def _read_column(group: h5py.Group) -> Column:
    values = {
        name: tuple(group[name].asstr()[()].tolist()) if declared.dtype == "text" else group[name][()]
        for name, declared in ARRAYS.items()
    }
    return Column(
        receiver_layer=int(group.attrs["receiver_layer"]),
        sender_layers=tuple(group["sender_layers"][()].tolist()),
        test_images=int(group.attrs["test_images"]),
        **values,
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def join(paths: Sequence[Path | str], path: Path | str) -> None:
    """Write the record of a pair from those of its blocks of receiver layers.

    Seconds add up, and `images_per_second` is their total's; what else tells how a block was run (its device) is
    listed where blocks differ.

    Raises:
        ModelstitchError: if the blocks disagree in `IDENTITY`, in their networks' layers or in sender layers, or hold a
            receiver layer twice.
    """
    blocks = [read(block) for block in paths]
    first = blocks[0]
    origin: dict[int, Path | str] = {}
    for source, block in zip(paths, blocks, strict=True):
        for name in IDENTITY:
            if block.attributes[name] != first.attributes[name]:
                raise ModelstitchError(
                    f"{source}: {name} {block.attributes[name]!r} differs from {first.attributes[name]!r} in "
                    f"{paths[0]}: expected blocks of one run: delete both and run the study again"
                )
        for role in ("sender", "receiver"):
            if not getattr(block, role).equals(getattr(first, role)):
                raise ModelstitchError(
                    f"{source}: the {role}'s layers are not those in {paths[0]}: expected blocks of one run: delete "
                    "both and run the study again"
                )
        for column in block.columns:
            if column.receiver_layer in origin:
                raise ModelstitchError(
                    f"{source}: receiver layer {column.receiver_layer} is also in {origin[column.receiver_layer]}: "
                    "expected blocks that don't overlap: delete both and run the study again"
                )
            if column.sender_layers != first.columns[0].sender_layers:
                raise ModelstitchError(
                    f"{source}: sender layers {list(column.sender_layers)} differ from "
                    f"{list(first.columns[0].sender_layers)} in {paths[0]}: delete both and run the study again"
                )
            origin[column.receiver_layer] = source
    columns = sorted((column for block in blocks for column in block.columns), key=lambda c: c.receiver_layer)
    attributes = _joined_attributes([block.attributes for block in blocks])
    write(path, PairRecord(attributes, first.sender, first.receiver, tuple(columns)))


def _joined_attributes(blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    joined = dict(blocks[0])
    for name in joined.keys() - set(IDENTITY):
        values = [block[name] for block in blocks]
        if name in ("seconds", "processor_seconds"):
            joined[name] = sum(values)
        elif name == "images_per_second":
            seconds = [block["seconds"] for block in blocks]
            joined[name] = sum(np.multiply(values, seconds).tolist()) / sum(seconds)
        elif len(set(values)) > 1:
            joined[name] = "; ".join(sorted({str(value) for value in values}))
    return joined
