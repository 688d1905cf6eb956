"""Checks that a record belongs to its study, its path and its images, before its numbers get into a table.

A file may be intact and still be the wrong one: copied over another, or made with another seed or other images. So each
record is compared with what is known of the study, and its accuracies with its own predictions and the labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelstitch import records
from modelstitch.accuracy import accuracy
from modelstitch.analysis.networks import read_about
from modelstitch.config.stitches import IMAGE, chosen_layers
from modelstitch.data import datasets
from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import NetworkId, place_of
from modelstitch.records import PairRecord

ROUNDING = 1e-9  # less than one image of a million
MISSING = "nothing"  # the value of a missing key, for errors
AGAIN = "run the study again with --forcerun and this file"


@dataclass(frozen=True)
class Evidence:
    """What is known of a study, against which its records are checked.

    Attributes:
        labels: labels of the test images, int64 (N,).
        classes: names of the classes.
        digest: the data set's digest.
        study, seed: name and seed of the study; None: not checked.
        networks: what is known of each network, by its id; not checked for networks that are missing.
        settings: settings of the stitches, as records keep them, by objective; None: not checked.
        layers: names of the layers of each architecture, by its name; not checked for architectures that are missing.
    """

    labels: np.ndarray
    classes: tuple[str, ...]
    digest: str
    study: str | None = None
    seed: int | None = None
    networks: Mapping[str, Mapping[str, Any]] | None = None
    settings: Mapping[str, Mapping[str, Any]] | None = None
    layers: Mapping[str, Sequence[str]] | None = None

    @classmethod
    def of(
        cls,
        dataset: Path | str,
        study: str | None = None,
        seed: int | None = None,
        networks: Sequence[Path | str] = (),
        **known: Any,
    ) -> "Evidence":
        """Evidence from a study's files: its data set, and the JSON files of its networks.

        Args:
            dataset: the data set's file.
            study, seed: as in `Evidence`.
            networks: the networks' JSON files.
            known: other attributes: `settings`, `layers`.

        Raises:
            ModelstitchError: if a file is missing or damaged.
        """
        about = {Path(path).stem: read_about(path) for path in networks}
        return cls(*datasets.read_test_labels(dataset), study, seed, about, **known)

    def read(self, path: Path | str, folders: int = 0, settings: Mapping[str, Any] | None = None) -> PairRecord:
        """Read and check the record of a pair, `.../<objective>/<sender>/<receiver>.h5`.

        Args:
            path: the record's file.
            folders: number of folders between those of the objective and the sender.
            settings: settings that it must have; by default those known for its objective.

        Raises:
            ModelstitchError: if it is missing or damaged, or disagrees with its path, the study or the test images.
        """
        record = records.read(path)
        about = record.attributes
        check_place(path, record, folders)
        expected = {"dataset_digest": self.digest, "study": self.study, "seed": self.seed}
        expected = {name: value for name, value in expected.items() if value is not None}
        for role in ("sender", "receiver"):
            network = (self.networks or {}).get(about[role])
            if network is not None:
                expected[f"{role}_digest"] = network.get("weights")
                measured = network.get(f"accuracy_{about['precision']}", network.get("accuracy"))
                expected[f"{role}_accuracy"] = measured
        for name, value in expected.items():
            agree(path, name, about[name], value)
        settings = settings or (self.settings or {}).get(about["objective"])
        if settings is not None:
            agree(path, "settings", about["settings"], settings)
            _check_cells(path, record, settings)
        self._check_layers(path, record)
        for column in record.columns:
            self._check(path, column)
        return record

    def _check_layers(self, path: Path | str, record: PairRecord) -> None:
        for role in ("sender", "receiver"):
            own, network = getattr(record, role), record.attributes[role]
            names = (self.layers or {}).get(NetworkId.parse(network).architecture)
            if names is not None:
                agree(path, f"{role}/names", list(own.names), list(names))
            known = (self.networks or {}).get(network, {})
            if known.get("layers") == list(own.names) and known.get("versions") == record.attributes["versions"]:
                operations = np.diff(own.operations, prepend=0, append=own.total_operations)
                agree(path, f"operations of {role}", operations.tolist(), known.get("operations"), "by its network")

    def _check(self, path: Path | str, column: records.Column) -> None:
        agree(path, "test_images", column.test_images, len(self.labels))
        failed = np.isnan(column.test_accuracy)
        highest, last = column.predictions[~failed].max(initial=0), len(self.classes) - 1
        if highest > last:
            place = f"predictions into layer {column.receiver_layer}"
            raise ModelstitchError(f"{path}: {place}: {highest}: expected a class, 0 to {last}: {AGAIN}")
        counted = accuracy(column.predictions, self.labels)
        for row in np.flatnonzero(~failed & (np.abs(counted - column.test_accuracy) > ROUNDING)):
            found, expected = (values[row].item() for values in (column.test_accuracy, counted))
            cell = (column.sender_layers[row], column.receiver_layer)
            agree(path, f"test_accuracy of cell {cell}", found, expected, "by its predictions")


def check_place(path: Path | str, record: PairRecord, folders: int = 0) -> None:
    """Check that a record has the objective, sender and receiver that its path names; arguments as for `read`.

    Raises:
        ModelstitchError: if it does not.
    """
    for name, value in place_of(path, folders).items():
        agree(path, name, record.attributes[name], value)


def _check_cells(path: Path | str, record: PairRecord, settings: Mapping[str, Any]) -> None:
    """Refuse a record whose cells are not those of the layers in its settings."""
    rows = chosen_layers(settings["sender_layers"], len(record.sender))
    columns = chosen_layers(settings["receiver_layers"], len(record.receiver))
    rows = [-1] if record.attributes["objective"] == IMAGE else rows
    agree(path, "sender_layers", list(record.columns[0].sender_layers), rows, "by its settings")
    agree(path, "receiver_layers", [column.receiver_layer for column in record.columns], columns, "by its settings")


def agree(path: Path | str, name: str, found: Any, expected: Any, by: str = "by its path, study or data") -> None:
    """Check that a field of a record has the expected value; mappings are compared key by key.

    Args:
        path: the record's file.
        name: the field.
        found, expected: its value, and the value that it must have.
        by: what the expected value follows from, for errors.

    Raises:
        ModelstitchError: if the value is another, naming the field and the first key that differs.
    """
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for key in sorted(found.keys() | expected.keys()):
            agree(path, f"{name}.{key}", found.get(key, MISSING), expected.get(key, MISSING), by)
    elif found != expected:
        raise ModelstitchError(f"{path}: {name}: {found!r}: expected {expected!r}, {by}: {AGAIN}")
