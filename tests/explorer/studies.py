"""Studies for the explorer's page: a small one with everything that may go wrong, and one of 1,024 pairs."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from modelstitch.analysis import networks, tables
from modelstitch.analysis.cells import COLUMNS
from modelstitch.analysis.evidence import Evidence
from modelstitch.analysis.self_consistency import measure as self_consistency
from modelstitch.analysis.uncertainty import uncertainty
from modelstitch.data import datasets
from modelstitch.data.datasets import Split
from modelstitch.explorer import write
from modelstitch.explorer.details import FIRST
from modelstitch.explorer.study import gather
from modelstitch.explorer.writing import assemble, packed
from tests.analysis.written import cells, write_network
from tests.records import made

HOSTILE = ("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "<b>bold</b> & 'quoted'")
IMAGES = 90
ABOUT = {
    "study": "small",
    "sender_accuracy": 0.9,
    "receiver_accuracy": 0.8,
    "settings": {"protocol": "paper", "epochs": 3},
    "versions": {"modelstitch": "0.1.0"},
    "train_images": 300,
}


def labels():
    return np.arange(IMAGES) % len(HOSTILE)


def write_small(folder: Path, limit: int | None = None, **more: pd.DataFrame) -> Path:
    """The page of two trained networks and an untrained one, of five and six layers; one cell has diverged.

    `more` are other tables of the study.
    """
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (IMAGES, 1, 4, 4), dtype=np.uint8)
    split = Split(images, labels())
    datasets.write(folder / "dataset.h5", "hostile", split, split, HOSTILE)
    evidence = Evidence.of(folder / "dataset.h5", "small", 0)
    names = ("R1111_trained_s0", "R1112_trained_s0", "R1111_random_s0")
    (folder / "networks").mkdir(parents=True)
    abouts = [write_network(folder / "networks", name, classes=3, test_images=IMAGES) for name in names]
    paths = []
    for objective, sender, receiver in product(("remapped", "task"), names, names[:2]):
        columns = []
        for layer in range(len(made.layers_of(receiver))):
            senders = len(made.layers_of(sender))
            right = generator.random((senders, IMAGES)) < 0.5
            predictions = np.where(right, labels(), (labels() + 1) % 3).astype(np.uint8)
            accuracy = (predictions == labels()).mean(axis=1)
            if (objective, sender, layer) == ("task", "R1112_trained_s0", 2):
                accuracy[1] = np.nan
            curve = np.linspace(0.2, 0.6, 3) * np.ones((senders, 1))
            columns.append(
                made.column(layer, accuracy, predictions=predictions, train_accuracy=curve, train_loss=1 - curve)
            )
        about = ABOUT | {"objective": objective, "dataset_digest": evidence.digest}
        paths.append(made.write(folder / "stitches", made.record(columns, sender, receiver, **about)))
    table = cells(paths, evidence)
    tables.write_parquet(table, folder / "tables/cells.parquet")
    tables.write_csv(networks.networks(abouts), folder / "tables/networks.csv")
    tables.write_csv(uncertainty(table), folder / "tables/uncertainty.csv")
    tables.write_csv(self_consistency(table), folder / "tables/self_consistency.csv")
    for name, values in more.items():
        tables.write_csv(values, folder / f"tables/{name}.csv")
    page = folder / "report/index.html"
    found = sorted((folder / "tables").iterdir())
    write(page, "small", found, paths, folder / "dataset.h5", "viridis", **({} if limit is None else {"limit": limit}))
    return page


def write_large(folder: Path) -> Path:
    """The page of the paper's 16 networks, trained and untrained, each with each: 1,024 pairs, 50,176 cells."""
    generator = np.random.default_rng(0)
    architectures = [f"R{''.join(blocks)}" for blocks in product("12", repeat=4)]
    ids = [(architecture, recipe) for recipe in ("trained", "random") for architecture in architectures]
    (folder / "networks").mkdir(parents=True)
    abouts = [write_network(folder / "networks", f"{name}_{recipe}_s0") for name, recipe in ids]
    rows, details = [], {}
    for sender, receiver in product(ids, ids):
        counts = [1 + sum(map(int, name[1:])) for name, _ in (sender, receiver)]
        pair = ["_".join((*one, "s0")) for one in (sender, receiver)]
        places = np.indices(counts).reshape(2, -1)
        frame = {"objective": "task", "sender_layer": places[0], "receiver_layer": places[1]}
        for role, one, count, layer in zip(("sender", "receiver"), (sender, receiver), counts, places, strict=True):
            frame |= {role: "_".join((*one, "s0")), f"{role}_architecture": one[0], f"{role}_recipe": one[1]}
            frame |= {f"{role}_seed": 0, f"{role}_layer_count": count, f"{role}_depth": layer / (count - 1)}
            frame |= {
                f"{role}_operations_depth": layer / count,
                f"{role}_layer_name": [f"layers.{one}" for one in layer],
            }
        rows.append(pd.DataFrame(frame))
        size = places.shape[1]
        counts = generator.poisson(np.where(np.eye(10).ravel(), 700, 33), (size, 100)) + FIRST
        details["task", *pair] = packed(
            {
                "train_accuracy": generator.random((size, 8)).round(4).tolist(),
                "train_loss": generator.random((size, 8)).round(4).tolist(),
                "confusion": ["".join(map(chr, cell)) for cell in counts.tolist()],
            }
        )
    table = pd.concat(rows, ignore_index=True)
    lower = np.minimum(0, table.sender_depth - table.receiver_depth)
    table["accuracy"] = (0.9 + 0.6 * lower + generator.normal(0, 0.01, len(table))).clip(0.1, 1).round(4)
    for name in sorted(COLUMNS.keys() - set(table)):
        filled = {"bool": False, "str": "", "int64": 10_000, "float64": generator.random(len(table)).round(4)}
        table[name] = filled[COLUMNS[name]]
    table = table[list(COLUMNS)]
    found = {"cells": table, "networks": networks.networks(abouts), "uncertainty": uncertainty(table)}
    page = folder / "report/index.html"
    assemble(page, gather("large", found, {"task": ABOUT}, list("0123456789"), "viridis"), details)
    return page
