"""Reads and writes records as HDF5 files, and joins the records of a pair's blocks of receiver layers into one."""

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

CLASSES = (np.uint8, np.uint16)
AGAIN = "if a study made it, run the study again with --forcerun and this file"


def write(path: Path | str, record: PairRecord) -> None:
    """Write the record of one pair: arrays over all its cells, one group per network, and attributes at the root.

    The attributes `settings` and `versions` are dicts, the others numbers or text; those in `IDENTITY` are required.

    Raises:
        ValueError: if an attribute is missing, two columns have the same receiver layer, or columns differ in their
            sender layers or number of epochs.
        ModelstitchError: if the file can't be written.
    """
    if missing := [name for name in IDENTITY if name not in record.attributes]:
        raise ValueError(f"{path}: attributes {missing} are missing")
    layers = [column.receiver_layer for column in record.columns]
    if len(set(layers)) < len(layers):
        raise ValueError(f"{path}: receiver layers {layers}: expected each once")
    for column in record.columns:
        if _extent(column) != _extent(record.columns[0]):
            raise ValueError(f"{path}: {_extent(column)} and {_extent(record.columns[0])}: expected columns alike")

    def fill(file: h5py.File) -> None:
        file.attrs["format_version"] = FORMAT_VERSION
        for name, value in record.attributes.items():
            file.attrs[name] = to_json(value, sort_keys=True) if name in JSON_ATTRIBUTES else value
        for role in ("sender", "receiver"):
            _write_layers(file.create_group(role), getattr(record, role))
        _write_cells(file, record.columns)

    hdf5.write(path, fill)


def _extent(column: Column) -> str:
    """What must be the same for all columns of a record, in words."""
    return f"sender layers {list(column.sender_layers)}, epochs {column.epochs}"


def _write_layers(group: h5py.Group, layers: Layers) -> None:
    group.attrs["operations"] = layers.total_operations
    group["names"], group["layouts"] = hdf5.texts(layers.names), hdf5.texts(layers.layouts)
    group["shapes"] = np.asarray(layers.shapes, np.int64)
    group["operations"] = np.asarray(layers.operations, np.int64)


def _write_cells(file: h5py.File, columns: Sequence[Column]) -> None:
    """Write arrays (sender layers, receiver layers, ...): few large ones are read twice as fast as many small ones."""
    file.attrs["test_images"] = columns[0].test_images
    file["sender_layers"] = np.array(columns[0].sender_layers, np.int64)
    file["receiver_layers"] = np.array([column.receiver_layer for column in columns], np.int64)
    failed = np.isnan(np.stack([column.test_accuracy for column in columns], axis=1))
    for name, (_, dtype, *_) in ARRAYS.items():
        values = np.stack([getattr(column, name) for column in columns], axis=1)
        if dtype == "text":
            file[name] = hdf5.texts(values.ravel()).reshape(values.shape)
        elif dtype == "classes":
            values[failed] = np.iinfo(values.dtype).max
            file.create_dataset(name, data=values, chunks=(1, 1, values.shape[2]), compression="gzip")
        else:
            file[name] = values.astype(dtype)


def read(path: Path | str) -> PairRecord:
    """Read the record of one pair.

    Raises:
        ModelstitchError: if the file is missing, damaged or of another format version, or a field has an impossible
            value.
    """
    with hdf5.opened(path, "record of modelstitch", AGAIN) as file:
        version = file.attribute("format_version", int)
        if version != FORMAT_VERSION:
            raise ModelstitchError(
                f"{path}: format_version {version}: this version of modelstitch reads {FORMAT_VERSION}: "
                "run the study again by this version, or read it by the one that wrote it"
            )
        names = [name for name in file.attributes() if name not in ("format_version", "test_images")]
        attributes = {name: _read_attribute(file, name) for name in names}
        if missing := [name for name in IDENTITY if name not in attributes]:
            raise file.error(missing[0], "is missing")
        networks = [_read_layers(file, role) for role in ("sender", "receiver")]
        return PairRecord(attributes, *networks, _read_columns(file))


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
    names = tuple(group.texts("names", (None,)))
    count = len(names)
    shapes = group.integers("shapes", (count, 4), 0, 2**40)
    total = group.attribute("operations", int)
    try:
        operations = group.array("operations", np.int64, (count,))
        return Layers(names, tuple(group.texts("layouts", (count,))), shapes, operations, total)
    except ValueError as error:
        raise file.error(role, first_line(error)) from error


def _read_columns(file: Fields) -> tuple[Column, ...]:
    """The columns, in the order of their receiver layers."""
    rows, columns = (file.integers(name, (None,), -1, 2**20).tolist() for name in ("sender_layers", "receiver_layers"))
    if len(set(columns)) < len(columns):
        raise file.error("receiver_layers", "two are the same")
    images = file.attribute("test_images", int)
    sizes = {"cells": (len(rows), len(columns)), "epochs": (None,), "images": (images,)}
    arrays = {}
    for name, (dimensions, dtype, *_) in ARRAYS.items():
        shape = [size for dimension in dimensions for size in sizes[dimension]]
        if dtype == "text":
            arrays[name] = file.texts(name, shape)
        else:
            arrays[name] = file.array(name, file.one_of(name, CLASSES) if dtype == "classes" else dtype, shape)
    found = []
    for place in np.argsort(columns).tolist():
        values = {name: array[:, place] for name, array in arrays.items()}
        values["reason"] = tuple(values["reason"])
        try:
            found.append(Column(columns[place], tuple(rows), images, **values))
        except ValueError as error:
            raise file.error(f"receiver layer {columns[place]}", first_line(error)) from error
    return tuple(found)


def join(paths: Sequence[Path | str], path: Path | str) -> None:
    """Write the record of a pair, joined from the records of its blocks of receiver layers.

    Seconds are summed, and `images_per_second` is the mean weighted by seconds. Other attributes outside `IDENTITY`,
    such as the device, list all values if blocks differ.

    Raises:
        ModelstitchError: if the blocks differ in `IDENTITY`, in their networks' layers, in sender layers or in epochs,
            or a receiver layer is in two of them.
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
            if field := getattr(block, role).difference(getattr(first, role)):
                raise ModelstitchError(
                    f"{source}: {role}/{field}: the layers are not those in {paths[0]}: expected blocks of one run: "
                    "delete both and run the study again"
                )
        for column in block.columns:
            if column.receiver_layer in origin:
                raise ModelstitchError(
                    f"{source}: receiver layer {column.receiver_layer} is also in {origin[column.receiver_layer]}: "
                    "expected blocks that don't overlap: delete both and run the study again"
                )
            if _extent(column) != _extent(first.columns[0]):
                raise ModelstitchError(
                    f"{source}: {_extent(column)}: expected {_extent(first.columns[0])} as in {paths[0]}: delete both "
                    "and run the study again"
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
