"""Every kind of figure, drawn from small invented tables: to look at, to choose from, and to test.

The tables look like those of a study that shows the paper's triangle, but nothing in them was measured.

    python -m modelstitch.figures.gallery docs/gallery --width column
"""

import argparse
import itertools
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from modelstitch.analysis.agreement import INDICES, calibrated_column
from modelstitch.analysis.controls import OVER_REMAPPED, with_excess
from modelstitch.analysis.verdicts import ALIKE, DEPTHS
from modelstitch.figures import (
    capacity,
    clustered_noise,
    depth,
    generated_images,
    hacking,
    matrices,
    objectives,
    pair,
    predictors,
    rank_sensitivity,
    statistical_similarity,
    stitch_spectra,
    training_budget,
    verdicts,
)
from modelstitch.figures.paper import WIDTHS, Page, Paper, save
from modelstitch.identifiers import NetworkId
from modelstitch.measures import training_budget as budget_measure
from modelstitch.measures.predictors import ALL, MODELS, PREDICTORS
from modelstitch.records import images

ARCHITECTURES = {"R1111": 5, "R1112": 6, "R1122": 7}  # and their layers
PAIR = ("R1111_trained_s0", "R1112_trained_s0")
TASK = ("task", "trained", "trained")
CAPACITIES = {
    "bias": 64,
    "permutation": 90,
    "orthogonal": 2016,
    "low-rank-4": 496,
    "linear": 4160,
    "convolution-3": 36928,
}
CONTROLS = ("random sender", "calibrated sender", "remapped labels", "deranged images", "noise 1", "another seed")
MEASURES = ("accuracy", "agreement", OVER_REMAPPED, *INDICES, "mahalanobis", "precision", "recall", "kappa_receiver")


def networks() -> pd.DataFrame:
    """The networks table: three architectures, trained and untrained."""
    ids = [NetworkId(*one, 0) for one in itertools.product(ARCHITECTURES, ("trained", "random"))]
    own = [0.93 - 0.01 * place if one.recipe == "trained" else 0.1 for place, one in enumerate(ids)]
    table = pd.DataFrame([(str(one), *one) for one in ids], columns=["network", "architecture", "recipe", "seed"])
    return table.assign(accuracy=own, classes=10)


@cache
def cells() -> pd.DataFrame:
    """The cells table: three objectives between trained networks, and the task also with untrained ones."""
    ids = [NetworkId.parse(name) for name in networks().network]
    rows = []
    for objective, sender, receiver in itertools.product(("task", "remapped", "similarity"), ids, ids):
        recipes = sender.recipe, receiver.recipe
        if objective != "task" and recipes != ("trained", "trained"):
            continue
        deep, wide = ARCHITECTURES[sender.architecture], ARCHITECTURES[receiver.architecture]
        for i, j in itertools.product(range(deep), range(wide)):
            depths = i / (deep - 1), j / (wide - 1)
            names = (i, f"layers.{i}", deep, j, f"layers.{j}", wide)
            ids_and_layers = (str(sender), *sender, str(receiver), *receiver, *names)
            rows.append((objective, *ids_and_layers, depths[1], _accuracy(objective, recipes, *depths), False))
    sides = [f"{role}{part}" for role in ("sender", "receiver") for part in ("", "_architecture", "_recipe", "_seed")]
    layers = [f"{role}_layer{part}" for role in ("sender", "receiver") for part in ("", "_name", "_count")]
    table = pd.DataFrame(rows, columns=["objective", *sides, *layers, "receiver_depth", "accuracy", "diverged"])
    noise = np.random.default_rng(0).normal(0, 0.015, len(table))
    table["accuracy"] = (table.accuracy + noise).clip(0.05, 0.99)
    table["agreement"] = table.accuracy * 0.95
    table["relative_accuracy"] = np.nan
    key = ["sender", "receiver", "sender_layer", "receiver_layer"]
    remapped = table[table.objective == "remapped"].set_index(key).accuracy
    own = table.accuracy - remapped.reindex(pd.MultiIndex.from_frame(table[key])).to_numpy()
    return table.assign(excess_over_remapped=own.where(table.objective == "task"))


def _accuracy(objective: str, recipes: tuple[str, str], i: float, j: float) -> float:
    """Accuracy of a cell at these depths: a triangle, flatter if untrained; high only at the end if remapped."""
    if objective == "remapped":
        return 0.1 + 0.8 * max(0.0, j - 0.3) ** 2 * (1 - 0.6 * i)
    falls = 0.75 * max(0.0, j - i) + 0.06 * max(0.0, i - j)
    whole = {("trained", "trained"): 0.92, ("random", "trained"): 0.7, ("trained", "random"): 0.55}.get(recipes, 0.3)
    return whole * (1 - falls) * (1 - (0.15 * (1 - j) if objective == "similarity" else 0))


def triangles() -> pd.DataFrame:
    """The triangle's numbers of all pairs of trained networks."""
    ends = {"difference_images_low": 0.22, "difference_images_high": 0.26}
    numbers = {"below": 0.89, "above": 0.65, "difference": 0.24, "depth_slope": 0.5, "depth_explained": 0.7}
    slopes = {"depth_diagonal_explained": 0.61, "index_diagonal_explained": 0.52}
    keys = dict(zip(("objective", "sender_recipe", "receiver_recipe"), TASK, strict=True)) | {"sender": "all"}
    return pd.DataFrame([keys | numbers | slopes | ends])


def comparisons() -> pd.DataFrame:
    """Cells of the pair without a significant difference from the corresponding layers'."""
    rows = [
        ("task", *PAIR, i, j, "corresponding", round(j * 4 / 5), "undecided" if i in (3, 4) and j < 3 else "lower")
        for i, j in itertools.product(range(5), range(6))
        if i != round(j * 4 / 5)
    ]
    names = ["objective", "sender", "receiver", "sender_layer", "receiver_layer"]
    return pd.DataFrame(rows, columns=[*names, "comparison", "other_sender_layer", "verdict"])


def capacities() -> pd.DataFrame:
    """Accuracy by the capacity of a stitch, for one pair."""
    rows = [
        (objective, *PAIR, family, size, (0.3 if objective == "task" else 0.1) + rise * np.log(size / 60))
        for objective, rise in (("task", 0.08), ("remapped", 0.05))
        for family, size in CAPACITIES.items()
    ]
    return pd.DataFrame(rows, columns=["objective", "sender", "receiver", "family", "capacity", "accuracy"])


def budgets() -> pd.DataFrame:
    """The cells of one pair after more and more epochs, from two starts."""
    one = cells()
    one = one[(one.objective == "task") & (one.sender == PAIR[0]) & (one.receiver == PAIR[1])]
    parts = [
        one.assign(epochs=epochs, start=start, accuracy=one.accuracy * (1 - loss / (1 + 8 * epochs)))
        for epochs in (0.25, 1.0, 4.0, 16.0)
        for start, loss in (("least-squares", 0.3), ("random", 0.9))
    ]
    return pd.concat(parts, ignore_index=True)


def hacked() -> pd.DataFrame:
    """The measures of hacking for each cell."""
    table = cells()
    table = table[table.objective == "task"].reset_index(drop=True)
    numbers = np.random.default_rng(1).random((len(table), 9))
    unlike = 1 - table.accuracy.to_numpy() + 0.1 * numbers[:, 0]
    return table.assign(
        mahalanobis=np.exp(3 * unlike), mahalanobis_expected=1.0,
        neighbour_distance=1 + unlike, neighbour_distance_expected=1.0,
        precision=1 - unlike * numbers[:, 1], precision_expected=0.95,
        recall=1 - unlike * numbers[:, 2], recall_expected=0.95,
        detection=0.5 + 0.5 * unlike.clip(0, 1), readout_accuracy=table.accuracy, readout_accuracy_expected=0.93,
        relative_error=0.05 + unlike * numbers[:, 3], amplification=0.02 + numbers[:, 4], random_amplification=0.5,
        kappa_receiver=1 - unlike * numbers[:, 5], kappa_sender=0.5 * numbers[:, 6],
    )  # fmt: skip


def noises() -> pd.DataFrame:
    """Stitches from noise into each trained network."""
    rows = [
        (f"{name}_trained_s0", layer, sigma, min(0.93, 0.2 + 0.14 * layer / sigma))
        for name, layers in ARCHITECTURES.items()
        for layer, sigma in itertools.product(range(layers), (0.5, 1.0, 2.0))
    ]
    table = pd.DataFrame(rows, columns=["receiver", "receiver_layer", "sigma", "accuracy"])
    return table.assign(remapped_accuracy=table.accuracy - 0.02)


def ranks() -> pd.DataFrame:
    """Accuracy of stitch and probe by the rank to which the sender's layer is reduced."""
    rows = [
        (*PAIR, layer, layer + layer // 3, rank, 0.9 * rank / (rank + 2), 0.92 * rank / (rank + 0.6))
        for layer, rank in itertools.product(range(5), (1, 2, 4, 8, 16))
    ]
    sides = ["sender", "receiver", "sender_layer", "receiver_layer"]
    return pd.DataFrame(rows, columns=[*sides, "rank", "probe_accuracy", "accuracy"])


def similarities() -> pd.DataFrame:
    """Seven indices of every cell of the task."""
    table = cells()
    table = table[table.objective == "task"].drop(columns="objective").reset_index(drop=True)
    random = np.random.default_rng(2)
    for place, index in enumerate(INDICES):
        near = table.accuracy + random.normal(0, 0.05 * (1 + place), len(table))
        table[index] = table[calibrated_column(index)] = near.clip(0, 1)
    return table


def spectra() -> pd.DataFrame:
    """What the task's stitches learned."""
    table = cells()
    table = table[(table.objective == "task") & (table.receiver_recipe == "trained")].reset_index(drop=True)
    near = 1 - (table.sender_layer / table.sender_layer_count - table.receiver_depth).abs()
    return table.assign(
        effective_rank=16 * near, full_rank=16, orthogonal_distance=0.9 - 0.6 * near,
        permutation_distance=1 - 0.4 * near, sensitive_energy=0.8 * table.receiver_depth,
        sensitive_energy_expected=0.5, task_output_correlation=near,
    )  # fmt: skip


def predicted() -> pd.DataFrame:
    """How much each predictor explains of the accuracy and of its excess."""
    rows = []
    for outcome, model in itertools.product(("accuracy", OVER_REMAPPED), MODELS):
        whole = {"accuracy": 0.8, OVER_REMAPPED: 0.55}[outcome] + (0.05 if model == "trees" else 0)
        about = (ALL, ALL, outcome, model)
        rows.append((*about, "all", "", whole, 0.04, np.nan, np.nan))
        for place, predictor in enumerate(PREDICTORS):
            alone, drop = 0.6 - 0.1 * place, 0.2 / (1 + place)
            rows.append((*about, "alone", predictor, alone, 0.05, np.nan, np.nan))
            rows.append((*about, "without", predictor, whole - drop, 0.05, drop, 0.03))
    names = ["sender_recipe", "receiver_recipe", "outcome", "model", "predictors", "predictor"]
    table = pd.DataFrame(rows, columns=[*names, "r2", "r2_std", "drop", "drop_std"])
    return table.assign(cells=324, pairs=9, folds=9)


def areas() -> pd.DataFrame:
    """The table of verdicts: how well each measure tells each control from the real thing."""
    areas = np.random.default_rng(3).uniform(0.35, 1, (len(CONTROLS), len(MEASURES)))
    rows = [
        (measure, control, depth, area, "tells apart" if area > 0.6 else "the wrong way" if area < 0.4 else "does not")
        for (control, measure), area in zip(itertools.product(CONTROLS, MEASURES), areas.ravel(), strict=True)
        for depth in DEPTHS
    ]
    table = pd.DataFrame(rows, columns=["measure", "control", "depth", "matched_auc", "verdict"])
    return table.assign(expected=np.where(table.control == "another seed", ALIKE, "tells apart"))


def generated() -> pd.DataFrame:
    """Measures of the images that stitches from each sender layer into the receiver's input generate."""
    recipes = {"sender_recipe": "trained", "receiver_recipe": "trained"}
    own = {"receiver_accuracy": 0.93, "sender_accuracy": 0.92, "images": 200}
    rows = [
        {"objective": objective, "sender": PAIR[0], "receiver": PAIR[1], "sender_layer": layer}
        | {"sender_layer_name": f"layers.{layer}", "sender_layer_count": 5, "psnr": 30 / (1 + layer) + 5}
        | {"ssim": 0.95 / (1 + 0.4 * layer), "read_by_receiver": 0.9 - 0.1 * layer, "read_by_sender": 0.8 - 0.1 * layer}
        for objective, layer in itertools.product(("task", "similarity"), range(5))
    ]
    return pd.DataFrame(rows).assign(**recipes, **own)


def write_images(path: Path | str, objective: str) -> Path:
    """Write a file of images as `measures.generated_images` does: stripes, the noisier the deeper the layer."""
    across = np.linspace(0, 1, 32)
    waves = [np.sin(2 * np.pi * (k % 4 + 1) * (across[:, None] * (k % 3) + across * (1 + k % 2))) for k in range(10)]
    originals = np.stack([127.5 * (1 + np.stack([wave, wave.T, -wave])) for wave in waves])
    noise = np.random.default_rng(4).uniform(0, 255, originals.shape)
    made = np.stack([originals * (1 - layer / 5) + noise * layer / 5 for layer in range(5)])
    images.write(
        path, images.Shown((objective, *PAIR), tuple(range(5)), originals.astype(np.uint8), made.astype(np.uint8))
    )
    return Path(path)


def _draw_images(colormap: str, **paper: object) -> Page:
    with tempfile.TemporaryDirectory() as folder:
        files = {one: write_images(Path(folder, f"{one}.h5"), one) for one in ("task", "similarity")}
        return generated_images.draw_images(generated(), files, *PAIR, **paper)


# What a study calls the figure's file, and how it is drawn, of a colormap and a paper.
KINDS: dict[str, Callable[..., Page]] = {
    "pair": lambda colormap, **paper: pair.draw_pair(
        cells(), networks(), "task", *PAIR, colormap, comparisons(), **paper
    ),
    "overview": lambda colormap, **paper: matrices.draw_overview(cells(), networks(), *TASK, colormap, **paper),
    "controls": lambda colormap, **paper: matrices.draw_controls(cells(), networks(), "task", colormap, **paper),
    "depth": lambda colormap, **paper: depth.draw(
        with_excess(cells()), networks(), triangles(), *TASK, colormap, **paper
    ),
    "objectives": lambda colormap, **paper: objectives.draw(cells(), networks(), colormap, **paper),
    "capacity": lambda colormap, **paper: capacity.draw(capacities(), networks(), **paper),
    "training_budget": lambda colormap, **paper: training_budget.draw(
        budgets(), budget_measure.measure(budgets()), networks(), colormap, **paper
    ),
    "hacking": lambda colormap, **paper: hacking.draw(hacked(), "task", **paper),
    "clustered_noise": lambda colormap, **paper: clustered_noise.draw(noises(), networks(), **paper),
    "rank_sensitivity": lambda colormap, **paper: rank_sensitivity.draw(ranks(), networks(), **paper),
    "statistical_similarity": lambda colormap, **paper: statistical_similarity.draw(
        similarities(), cells(), "task", colormap, **paper
    ),
    "stitch_spectra": lambda colormap, **paper: stitch_spectra.draw(spectra(), "task", colormap, **paper),
    "predictors": lambda colormap, **paper: predictors.draw(predicted(), **paper),
    "verdicts": lambda colormap, **paper: verdicts.draw(areas(), **paper),
    "generated_images_pair": _draw_images,
    "generated_images": lambda colormap, **paper: generated_images.draw_metrics(generated(), networks(), **paper),
}


def main() -> None:
    """Draw every kind of figure into a folder, as `<kind>.png`, and write the start of its caption as `<kind>.txt`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--colormap", default="viridis")
    parser.add_argument("--width", choices=WIDTHS, default="natural")
    parser.add_argument("--no-titles", dest="titles", action="store_false")
    parser.add_argument("--formats", nargs="+", default=["png", "txt"], choices=["png", "pdf", "svg", "txt"])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    options = parser.parse_args()
    for kind in options.kinds:
        figure = KINDS[kind](options.colormap, paper=Paper(options.width, options.titles))
        save(figure, [options.folder / f"{kind}.{suffix}" for suffix in options.formats])


if __name__ == "__main__":
    main()
