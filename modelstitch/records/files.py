"""Records as HDF5 files, and the record of a pair from those of its blocks of receiver layers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from modelstitch import hdf5
from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import to_json
from modelstitch.hdf5 import Fields
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
CLASSES = (np.uint8, np.uint16)
AGAIN = "if a study made it, run the study again with --forcerun and this file"


def write(path: Path | str, record: PairRecord) -> None:
    """Write the record of one pair: one group per column and one for each network's layers, attributes at the root.

    `settings` and `versions` are dicts, the other attributes numbers or text; those of `IDENTITY` are required.

    Raises:
        ValueError: if an attribute is missing, or two columns are of the same receiver layer.
        ModelstitchError: if the file can't be written.
    """
    if missing := [name for name in IDENTITY if name not in record.attributes]:
        raise ValueError(f"{path}: attributes {missing} are missing")
    layers = [column.receiver_layer for column in record.columns]
    if len(set(layers)) < len(layers):
        raise ValueError(f"{path}: receiver layers {layers}: expected each once")

    def fill(file: h5py.File) -> None:
        file.attrs["format_version"] = FORMAT_VERSION
        for name, value in record.attributes.items():
            file.attrs[name] = to_json(value, sort_keys=True) if name in JSON_ATTRIBUTES else value
        for role in ("sender", "receiver"):
            _write_layers(file.create_group(role), getattr(record, role))
        for column in record.columns:
            _write_column(file.create_group(COLUMN.format(column.receiver_layer)), column)

    hdf5.write(path, fill)


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
    for name, (_, dtype, *_) in ARRAYS.items():
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
        ModelstitchError: if the file is missing, damaged, of another format version, or a field holds what can't be.
    """
    with hdf5.opened(path, "record of modelstitch", AGAIN) as file:
        version = file.attribute("format_version", int)
        if version != FORMAT_VERSION:
            raise ModelstitchError(
                f"{path}: format_version {version}: this version of modelstitch reads {FORMAT_VERSION}: "
                "run the study again by this version, or read it by the one that wrote it"
            )
        attributes = {name: _read_attribute(file, name) for name in file.attributes() if name != "format_version"}
        if missing := [name for name in IDENTITY if name not in attributes]:
            raise file.error(missing[0], "is missing")
        networks = [_read_layers(file, role) for role in ("sender", "receiver")]
        groups = [name for name in file.names() if name not in ("sender", "receiver")]
        columns = sorted((_read_column(file, name) for name in groups), key=lambda column: column.receiver_layer)
        if len({column.receiver_layer for column in columns}) < len(columns):
            raise file.error("receiver_layer", "two columns have the same")
        return PairRecord(attributes, *networks, tuple(columns))


def _read_attribute(file: Fields, name: str) -> Any:
    if name in JSON_ATTRIBUTES:
        return file.json(name)
    kinds = (int, float, str) if name not in IDENTITY else (int,) if name == "seed" else (str,)
    if name not in ("sender_accuracy", "receiver_accuracy"):
        return file.attribute(name, kinds)
    value = file.attribute(name, (int, float))
    if np.isnan(value):
        raise file.error(name, "nan: expected 0 to 1")
    file.check_range(name, np.array(value, float), 0, 1)
    return value


def _read_layers(file: Fields, role: str) -> Layers:
    group = file.group(role)
    names = group.texts("names", (None,))
    count = (len(names),)
    shapes = [group.integers(name, count, 0, 2**40) for name in SHAPES]
    total = group.attribute("operations", int)
    try:
        operations = group.array("operations", np.int64, count)
        return Layers(names, group.texts("layouts", count), np.stack(shapes, axis=1), operations, total)
    except ValueError as error:
        raise file.error(role, first_line(error)) from error


def _read_column(file: Fields, name: str) -> Column:
    group = file.group(name)
    cells = len(group.integers("sender_layers", (None,), -1, 2**20))
    sizes = {"cells": cells, "epochs": None, "images": group.attribute("test_images", int)}
    values: dict[str, Any] = {}
    for field, (dimensions, dtype, *_) in ARRAYS.items():
        shape = tuple(sizes[dimension] for dimension in dimensions)
        if dtype == "text":
            values[field] = group.texts(field, shape)
        elif dtype == "classes":
            values[field] = group.array(field, group.one_of(field, CLASSES), shape)
        else:
            values[field] = group.array(field, dtype, shape)
    try:
        return Column(
            receiver_layer=group.attribute("receiver_layer", int),
            sender_layers=tuple(group.array("sender_layers", np.int64, (cells,)).tolist()),
            test_images=sizes["images"],
            **values,
        )
    except ValueError as error:
        raise file.error(name, first_line(error)) from error


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
