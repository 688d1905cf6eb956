"""Run a measure of an ordered pair, found by its name, from the files of a study to its tables."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from modelstitch.analysis import tables
from modelstitch.analysis.evidence import Evidence
from modelstitch.config.measures import section_of
from modelstitch.config.section import read as read_section
from modelstitch.data import datasets
from modelstitch.data.datasets import Dataset
from modelstitch.identifiers import place_of
from modelstitch.networks.network import Network
from modelstitch.stitches import files

NETWORKS = ("sender", "receiver")


def measure_pair(
    measure: str,
    networks: tuple[Network, Network],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    settings: Mapping[str, Any] | None,
    study_seed: int | None,
    precision: str,
    device: str,
) -> None:
    """Take a measure, and write its tables.

    Args:
        measure: name of the measure's module.
        networks: sender and receiver, cut.
        inputs: paths of `dataset` and of the records and stitches that the measure takes, by the names of its
            arguments.
        outputs: paths of its tables, by their names; a measure with one table calls it `cells`.
        settings: its section of the study file; None for a measure without one.
        study_seed: seed of the study; None for a measure that draws nothing.
        precision: precision of the stitches, as a study names it.
        device: device of the computation.

    Raises:
        ModelstitchError: if a file can't be read or written, or the measure can't be taken.
    """
    dataset = datasets.read(inputs["dataset"])
    read_made = reader(networks, dataset)
    arguments = {name: read_made(path) for name, path in inputs.items() if name not in ("dataset", *NETWORKS)}
    if settings is not None:
        arguments["settings"] = read_section(section_of(measure), settings)
    if study_seed is not None:
        arguments["study_seed"] = study_seed
    module = importlib.import_module(f"modelstitch.measures.{measure}")
    found = module.measure_pair(*networks, dataset, **arguments, precision=precision, device=device)
    made = {"cells": found} if isinstance(found, pd.DataFrame) else found._asdict()
    for name, table in made.items():
        tables.write_csv(table, outputs[name])


def reader(networks: tuple[Network, Network], dataset: Dataset) -> Callable[[Path | str], Any]:
    """A reader of records and stitches of a pair, which refuses those of another, by path, networks or images."""
    digests = {network.name: network.digest for network in networks}
    abouts = {network.name: {**network.about, "weights": digests[network.name]} for network in networks}
    evidence = Evidence(dataset.test.labels, dataset.classes, dataset.digest, networks=abouts)
    made_of = {f"{role}_digest": digests[network.name] for role, network in zip(NETWORKS, networks, strict=True)}
    made_of["dataset_digest"] = dataset.digest

    def read_made(path: Path | str) -> Any:
        if Path(path).suffix == ".h5":
            return evidence.read(path)
        return files.read(path, place_of(path) | made_of)

    return read_made
