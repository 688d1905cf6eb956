"""The numbers printed in arXiv 2303.11277, compared with those of a study.

The README.md in this folder says how they were evaluated.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from modelstitch.analysis.matrices import rank_correlation
from modelstitch.config.networks import ALIASES

ACCURACIES = Path(__file__).with_name("accuracies.csv")
SQUARED_ERRORS = ACCURACIES.with_name("squared_errors.csv")
STITCHES = {"diagonal": "corresponding", "all": "all"}  # the paper's word, and that of a distance summary
TEST_IMAGES = 1808  # that the paper's evaluation counted
ROUNDING = 0.01**2 / 12  # variance that printing two digits adds
ROLES = ("sender", "receiver")
CELL = [f"{role}_{key}" for role in ROLES for key in ("architecture", "recipe", "layer")]
COLUMNS = (
    "sender",
    "receiver",
    "dataset",
    "width",
    "cells",
    "spearman",
    "difference",
    "absolute_difference",
    "expected_absolute_difference",
    "largest_difference",
    "largest_sender_layer",
    "largest_receiver_layer",
)


def accuracies() -> pd.DataFrame:
    """The printed cells: the columns `CELL` of the cells table, and `published`, the accuracy."""
    table = pd.read_csv(ACCURACIES)
    for role in ROLES:
        table[f"{role}_architecture"] = table.pop(role).map(lambda name: ALIASES.get(name, name))
        table[f"{role}_recipe"] = table.pop(f"{role}_state")
    return table.rename(columns={"accuracy": "published"})[[*CELL, "published"]]


def squared_errors() -> pd.DataFrame:
    """The printed minimum, mean, maximum and standard deviation over cells of EV, ES and SV, as `published_<number>`.

    The key columns are those of a distance summary: `stitches`, `sender_recipe`, `receiver_recipe` and `distance`.
    """
    table = pd.read_csv(SQUARED_ERRORS)
    names = {"sender_state": "sender_recipe", "receiver_state": "receiver_recipe", "pair": "distance"}
    numbers = {name: f"published_{name}" for name in ("min", "mean", "max", "std")}
    return table.assign(stitches=table.stitches.map(STITCHES)).rename(columns=names | numbers)


def beside_summary(summary: pd.DataFrame) -> pd.DataFrame:
    """A distance summary joined with the printed numbers; NaN where the paper prints none."""
    return summary.merge(squared_errors(), how="left", on=["stitches", "sender_recipe", "receiver_recipe", "distance"])


def printed(cells: pd.DataFrame) -> pd.Series:
    """Cells that `beside` may keep: those for the task, between two architectures that the paper prints."""
    known = accuracies()
    of_known = [cells[name].isin(known[name]) for name in ("sender_architecture", "receiver_architecture")]
    return (cells.objective == "task") & of_known[0] & of_known[1]


def beside(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with a result that the paper prints too, of every seed, with the paper's accuracy as `published`.

    Only stitches for the task are kept, as the paper's are. Rows are in the order of the cells table. The paper's pairs
    of one architecture are networks with themselves, so two seeds of one architecture are left out.
    """
    own = cells[(cells.objective == "task") & cells.accuracy.notna()]
    of_one_kind = (own.sender_architecture == own.receiver_architecture) & (own.sender_recipe == own.receiver_recipe)
    own = own[~of_one_kind | (own.sender == own.receiver)]
    return own.merge(accuracies(), on=CELL)


def side_by_side(cells: pd.DataFrame) -> pd.DataFrame:
    """The printed matrices cell by cell: layers, `accuracy`, `published` and their `difference`."""
    own = beside(cells)
    columns = ["sender", "receiver", "sender_layer", "receiver_layer", "accuracy", "published"]
    return own[columns].assign(difference=own.accuracy - own.published)


def compare(cells: pd.DataFrame, networks: pd.DataFrame) -> pd.DataFrame:
    """How close a study comes to the paper: one row for each of its pairs that the paper prints.

    `difference` is the mean over cells of the study's accuracy less the paper's, `absolute_difference` the mean of its
    absolute value. `expected_absolute_difference` is what the latter would be if the accuracies differed only by the
    number of test images and the paper's rounding to two digits. `spearman` is their rank correlation, NaN if either is
    constant. It alone is meaningful if width or data set differ from the paper's (64 and CIFAR-10).

    Returns:
        `COLUMNS`; no row where the study has no such pair.
    """
    about = networks.set_index("network")
    rows = []
    for (sender, receiver), pair in beside(cells).groupby(["sender", "receiver"], sort=False):
        difference = pair.accuracy - pair.published
        variance = _variance(pair.accuracy, pair.test_images) + _variance(pair.published, TEST_IMAGES) + ROUNDING
        largest = pair.loc[difference.abs().idxmax()]
        rows.append(
            {
                "sender": sender,
                "receiver": receiver,
                "dataset": about.dataset[receiver],
                "width": about.width[receiver],
                "cells": len(pair),
                "spearman": rank_correlation(pair.accuracy, pair.published),
                "difference": difference.mean(),
                "absolute_difference": difference.abs().mean(),
                "expected_absolute_difference": np.sqrt(2 / np.pi * variance).mean(),
                "largest_difference": largest.accuracy - largest.published,
                "largest_sender_layer": largest.sender_layer,
                "largest_receiver_layer": largest.receiver_layer,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _variance(accuracy: pd.Series, images: pd.Series | int) -> pd.Series:
    return accuracy * (1 - accuracy) / images
