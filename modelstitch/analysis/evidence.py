"""What a record must agree with before a number of it gets into a table: its study, its path, and its images.

A file may be whole and still be another's: copied over one, of another seed, or made of other images. So each record is
held against what the study knows, and its accuracies against its own predictions and the labels.
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

ROUNDING = 1e-9  # an image of a million is more
MISSING = "nothing"  # where a key is
AGAIN = "run the study again with --forcerun and this file"


@dataclass(frozen=True)
class Evidence:
    """What the records of a study have in common.

    Attributes:
        labels: of the test images, int64 (N,).
        classes: their names.
        digest: of the data set.
        study, seed: the study's; None where they are not known.
        networks: what is known of each network, by its id; of one that is missing nothing is checked.
        settings: of each objective's stitches, as records keep them; None where they are not known.
        layers: names of each architecture's layers, by its name; of one that is missing nothing is checked.
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
        """The evidence of a study's files, its data set and its networks' JSON, and what else is `known` of it.

        Raises:
            ModelstitchError: if one of them is missing or damaged.
        """
        about = {Path(path).stem: read_about(path) for path in networks}
        return cls(*datasets.read_test_labels(dataset), study, seed, about, **known)

    def read(self, path: Path | str, folders: int = 0, settings: Mapping[str, Any] | None = None) -> PairRecord:
        """The record of a pair, `.../<objective>/<sender>/<receiver>.h5`.

        Args:
            path: of the record.
            folders: how many there are between those of objective and sender.
            settings: that it must have; by default those of its objective, where they are known.

        Raises:
            ModelstitchError: if it is missing or damaged, or disagrees with its path, the study or its images.
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
    """Refuse a record that is not of the objective, sender and receiver that its path names; arguments as of `read`.

    Raises:
        ModelstitchError: if it isn't.
    """
    for name, value in place_of(path, folders).items():
        agree(path, name, record.attributes[name], value)


def _check_cells(path: Path | str, record: PairRecord, settings: Mapping[str, Any]) -> None:
    """Refuse a record of other cells than those of the layers that its settings name."""
    rows = chosen_layers(settings["sender_layers"], len(record.sender))
    columns = chosen_layers(settings["receiver_layers"], len(record.receiver))
    rows = [-1] if record.attributes["objective"] == IMAGE else rows
    agree(path, "sender_layers", list(record.columns[0].sender_layers), rows, "by its settings")
    agree(path, "receiver_layers", [column.receiver_layer for column in record.columns], columns, "by its settings")


def agree(path: Path | str, name: str, found: Any, expected: Any, by: str = "by its path, study or data") -> None:
    """Refuse a record of which a field is not what it must be, or of a mapping the first key that isn't.

    Raises:
        ModelstitchError: if it isn't.
    """
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for key in sorted(found.keys() | expected.keys()):
            agree(path, f"{name}.{key}", found.get(key, MISSING), expected.get(key, MISSING), by)
    elif found != expected:
        raise ModelstitchError(f"{path}: {name}: {found!r}: expected {expected!r}, {by}: {AGAIN}")
