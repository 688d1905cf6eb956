"""A pair of networks of a finished study, on its images: what protocols are compared on."""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import yaml

from modelstitch import hardware
from modelstitch.accuracy import accuracy
from modelstitch.config.stitches import TaskStitches, TrainedStitches
from modelstitch.config.study import load_study
from modelstitch.data import datasets
from modelstitch.data.images import DeviceImages
from modelstitch.engine.evaluation import predict
from modelstitch.engine.pair import StitchedPair, Stitches
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.objectives import task
from modelstitch.networks.frozen import freeze
from modelstitch.networks.network import Network
from modelstitch.stitches.geometry import geometries


class Difference(NamedTuple):
    """Of test accuracies to those of a reference, over cells: mean and largest absolute value, and the mean itself."""

    mean: float
    largest: float
    bias: float


def difference(accuracies: np.ndarray, reference: np.ndarray) -> Difference:
    """Of accuracies (cells,) to a reference (cells,)."""
    each = accuracies - reference
    return Difference(*(round(float(one), 4) for one in (np.abs(each).mean(), np.abs(each).max(), each.mean())))


def parser(text: str) -> argparse.ArgumentParser:
    """Of a script with this docstring: which pair of which study, and which cells."""
    options = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--results", type=Path, required=True, help="results folder of a study that was run")
    options.add_argument("--pair", nargs=2, required=True, metavar=("SENDER", "RECEIVER"), help="two of its networks")
    options.add_argument("--sender-layers", nargs="*", type=int, help="rows; all by default")
    options.add_argument("--receiver-layers", nargs="*", type=int, help="columns; all by default")
    return options


def task_of(results: Path) -> TaskStitches:
    """How a study trains stitches for the task.

    Args:
        results: the study's results folder.
    """
    path = results / "study/config.yaml"
    return load_study(yaml.safe_load(path.read_text()), str(path)).stitches.task


class StudiedPair:
    """Two networks of a study and the cells that are compared.

    Args:
        arguments: of `parser`.
        device: as a study names it.
        precision: likewise.
    """

    def __init__(self, arguments: argparse.Namespace, device: str = "auto", precision: str = "auto") -> None:
        device = hardware.choose_device(device)
        hardware.prepare(device, hardware.choose_precision(precision, device))
        dataset = datasets.read(arguments.results / "data/dataset.h5")
        self.device = device
        self.train, self.test = (DeviceImages(dataset, split, device) for split in (dataset.train, dataset.test))
        files = [arguments.results / f"networks/{network}.safetensors" for network in arguments.pair]
        self.networks = [Network.load(file) for file in files]
        self.sender, self.receiver = (freeze(network, precision, device) for network in self.networks)
        self.precision = str(self.sender.dtype).removeprefix("torch.")
        self.depths = [len(network.layers) for network in self.networks]
        rows, columns = (
            chosen or range(depth)
            for chosen, depth in zip((arguments.sender_layers, arguments.receiver_layers), self.depths, strict=True)
        )
        self.geometries = geometries(self.sender.shapes, self.receiver.shapes, rows, columns)
        self.cells = list(self.geometries)

    def inputs(self, settings: TrainedStitches, seed: int = 0) -> FitInputs:
        """What is trained, by these settings."""
        label = f"{settings.protocol} {settings.epochs:g}"
        return FitInputs(self.sender, self.receiver, self.geometries, self.train, settings, ("benchmark", seed), label)

    def trained(self, settings: TrainedStitches, seed: int = 0) -> tuple[np.ndarray, float]:
        """Test accuracy of every cell (cells,), and the seconds of processor time that training took."""
        began = time.process_time()
        fit = task.fit(self.inputs(settings, seed))
        seconds = time.process_time() - began
        return self.accuracies(fit.stitches), seconds

    def accuracies(self, stitches: Stitches) -> np.ndarray:
        """Test accuracy of every cell, (cells,)."""
        predictions = predict(StitchedPair(self.sender, self.receiver, stitches), self.test)
        return accuracy(predictions.classes, self.test.labels.cpu().numpy())
