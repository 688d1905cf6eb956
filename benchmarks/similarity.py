"""Do stitches trained for similarity alone carry no task information (arXiv 2303.11277), or was it their training?

    python benchmarks/similarity.py --results results/paper-laptop --pair R1111_trained_s0 R1112_trained_s0

Ways to the stitch of least mean squared error, on the networks and images of a finished study:

- `closed form`: normal equations over all training images, with next to no ridge;
- `closed form, decay D`: with the ridge that weight decay amounts to. The loss is a mean over the receiver's C channels
  too, so its gradient is 2/C (W S - X), S the covariance of what a stitch sees and X that with what it should give; a
  decay of d adds d W. The two are in balance at W = X (S + d C/2)^-1: a ridge of d C/2, whatever the variances are:
  at a quarter of the width, four times the decay does what it does at full width;
- `steps D E W`: the paper's protocol with weight decay D for E epochs, of which W of warm-up (10 of 4: never left it).

Test accuracy, and the mean squared error over the expected representation's variance, by how much later the sender's
layer stands than the receiver's, in relative depth. One line per way as soon as it is done; the last line is JSON.
"""

import argparse
import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
import torch
from protocols import COMMON
from studied import StudiedPair, parser, task_of

from modelstitch.analysis.depth import corresponding, relative_depth
from modelstitch.config.stitches import PaperStitches
from modelstitch.fitting.beginning import moments_of
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.objectives import similarity
from modelstitch.fitting.protocols.least_squares import BATCH
from modelstitch.stitches.families.linear import LinearMap, Stitch, solve
from modelstitch.stitches.geometry import Cell
from modelstitch.stitches.normal_equations import RIDGE, Moments


def main() -> None:
    arguments = parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    pair = StudiedPair(arguments)
    augmentation = task_of(arguments.results).augmentation
    frozen = pair.sender, pair.receiver
    moments, test = (
        moments_of(*frozen, pair.geometries, (batch for batch, _ in images.in_order(BATCH)), torch.float64)
        for images in (pair.train, pair.test)
    )
    ways = {
        "closed form": {cell: solve(moments, cell, RIDGE) for cell in pair.cells},
        **{
            f"closed form, decay {decay:g}": {cell: decayed(moments, cell, decay) for cell in pair.cells}
            for decay in arguments.decays
        },
    }
    rows = [report(name, pair, test, stitches) for name, stitches in ways.items()]
    for text in arguments.steps:
        decay, epochs, warmup = map(float, text.split(":"))
        settings = PaperStitches(
            protocol="paper",
            epochs=epochs,
            batch=256,
            learning_rate=0.01,
            momentum=0.9,
            weight_decay=decay,
            warmup_epochs=warmup,
            augmentation=augmentation,
            **COMMON,
        )
        name = f"steps {decay:g} {epochs:g} {warmup:g}"
        fit = similarity.fit(FitInputs(*frozen, pair.geometries, pair.train, settings, ("benchmark",), name))
        rows.append(report(name, pair, test, fit.stitches))
    print(pd.DataFrame(rows).drop(columns=["accuracies", "errors"]).to_string(index=False))
    print(json.dumps({"pair": arguments.pair, "cells": pair.cells, "rows": rows}))


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument(
        "--steps", nargs="*", default=["0.01:4:10", "0.01:30:10", "0:30:10"], help="DECAY:EPOCHS:WARMUP of the protocol"
    )
    options.add_argument(
        "--decays", nargs="*", type=float, default=[0.01, 0.04, 0.08], help="of the closed form; 0.01 in the paper"
    )
    options.add_argument("--threads", type=int)
    return options.parse_args()


def decayed(moments: Moments, cell: Cell, decay: float) -> Stitch:
    """The stitch of a cell with a weight decay, as a ridge for each part by its share of the loss.

    A part that gives so many places of a representation of n numbers has as many of n of them in the mean, so that the
    decay is multiplied by n over twice the places: C/2 of a map.
    """
    geometry, maps = moments.geometries[cell], []
    for index, part in enumerate(geometry.parts):
        places = part.places if index else part.places * math.prod(geometry.scale)
        variance = moments.statistics(cell, index).covariance.diagonal().mean().item()
        ridge = decay * geometry.target.size / (2 * places) / variance
        maps.append(LinearMap(*moments.solve(cell, index, ridge)))
    return Stitch(geometry, tuple(maps))


def report(name: str, pair: StudiedPair, test: Moments, stitches: dict[Cell, Stitch]) -> dict:
    """Accuracies of the stitched networks and errors of the stitches on the test set, all and by distance."""
    accuracies = pair.accuracies(stitches)
    errors = np.array(
        [test.mean_squared_error(cell, stitches[cell].maps) / variance(test, cell) for cell in pair.cells]
    )
    sender, receiver = pair.depths
    later = np.array([relative_depth(i, sender) - relative_depth(j, receiver) for i, j in pair.cells])
    alike = np.array([corresponding(i, sender, receiver) == j for i, j in pair.cells])
    groups = {"corresponding": alike, "later": ~alike & (later > 0), "earlier": ~alike & (later < 0)}
    row = {"way": name}
    for group, chosen in groups.items():
        row |= {
            f"{group} accuracy": round(float(accuracies[chosen].mean()), 3),
            f"{group} error": round(float(errors[chosen].mean()), 3),
        }
    print(row, flush=True)
    return row | {"accuracies": accuracies.round(4).tolist(), "errors": errors.round(5).tolist()}


def variance(moments: Moments, cell: Cell) -> float:
    """Mean over channels of the expected representation's variance about the channel's mean."""
    maps = []
    for index, part in enumerate(moments.geometries[cell].parts):
        mean = moments.statistics(cell, index).target_mean.float()
        maps.append((torch.zeros(part.outputs, part.inputs).to(mean), mean))
    return moments.mean_squared_error(cell, maps)


if __name__ == "__main__":
    main()
