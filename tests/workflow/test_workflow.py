"""The workflow on real runs: which jobs a change re-runs, and that a killed run goes on."""

import base64
import copy
import html
import json
import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from modelstitch.config.study import load_study
from modelstitch.planning import jobs as forecast_jobs
from modelstitch.planning.speed import Speed
from tests.checkout import copy_checkout
from tests.planning import plans

AUGMENTATION = {"flip": False, "shift": 2, "cutout": 4}
STUDY = {
    "study": "mini",
    "seed": 0,
    "dataset": {"source": "imagefolder", "path": "images"},
    "networks": {
        "architectures": ["R1111", "R1112"],
        "width": 2,
        "seeds": [0],
        "training": {
            "optimiser": "sgd",
            "epochs": 2,
            "batch": 20,
            "learning_rate": 0.05,
            "momentum": 0.9,
            "weight_decay": 0.0005,
            "warmup_epochs": 1,
            "augmentation": AUGMENTATION,
            "precision": "float32",
        },
    },
    "pairs": [{"sender": "trained", "receiver": "trained"}, {"sender": "random", "receiver": "trained"}],
    "stitches": {
        "task": {
            "protocol": "paper",
            "epochs": 1,
            "batch": 20,
            "learning_rate": 0.01,
            "momentum": 0.9,
            "weight_decay": 0.01,
            "warmup_epochs": 0.5,
            "augmentation": AUGMENTATION,
            "precision": "float32",
            "sender_layers": "all",
            "receiver_layers": "all",
            "keep_stitches": False,
        }
    },
    "measures": {},
    "figures": {"colormap": "viridis", "formats": ["png"]},
    "jobs": {"layers_per_job": None, "threads": 1, "device": "cpu"},
}
SIMILARITY = {
    "protocol": "least-squares",
    "ridge": 1e-6,
    "precision": "float32",
    "sender_layers": "all",
    "receiver_layers": "all",
    "keep_stitches": False,
}
FIGURES = {"draw_pairs": 1, "draw_overviews": 1, "draw_depths": 1, "write_explorer": 1}
TABLES = {
    "measure_triangle": 1,
    "measure_uncertainty": 1,
    "measure_self_consistency": 1,
    "compare_cells": 1,
    "make_tables": 1,
    "make_matrices": 1,
    "find_failures": 1,
    "compare_published": 1,
}
AFTER_STITCHES = {**TABLES, **FIGURES}
TRAINED = "R1111_trained_s0"
# Networks that the workflow described (`planning.describe`): kept for every test, in files whose names are digests.
DESCRIPTIONS = Path(tempfile.gettempdir()) / "modelstitch-descriptions-of-tests"


def checkout(folder: Path) -> Path:
    """The project's files in an empty folder, with a small folder of real images, and descriptions of networks."""
    copy_checkout(folder)
    DESCRIPTIONS.mkdir(exist_ok=True)
    (folder / ".snakemake").mkdir()
    (folder / ".snakemake/modelstitch").symlink_to(DESCRIPTIONS)
    digits = load_digits()
    for split, start, stop in (("train", 0, 12), ("test", 12, 17)):
        for label in range(10):
            place = folder / "images" / split / str(label)
            place.mkdir(parents=True)
            for index, pixels in enumerate(digits.images[digits.target == label][start:stop]):
                image = Image.fromarray((pixels * 15.9).astype(np.uint8)).resize((32, 32), Image.Resampling.BILINEAR)
                image.save(place / f"{index:02}.png")
    return folder


def snakemake(folder: Path, *arguments: str, study: dict | None = STUDY) -> subprocess.CompletedProcess:
    return subprocess.run(command(folder, *arguments, study=study), cwd=folder, capture_output=True, text=True)


def command(folder: Path, *arguments: str, study: dict | None = STUDY) -> list[str]:
    start = [sys.executable, "-m", "snakemake", "--cores", "2"]
    if study is None:
        return [*start, *arguments]
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return [*start, "--configfile", "study.yaml", *arguments]


def planned(folder: Path, study: dict | None = STUDY, *arguments: str) -> dict[str, int]:
    """Jobs that a run would do, by rule, the target `all` left out."""
    result = snakemake(folder, "-n", "--quiet", "rules", *arguments, study=study)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}
    return {name: count for name, count in jobs.items() if name not in ("all", "total")}


def asked(folder: Path, attempt: int) -> dict[str, set[tuple[int, int]]]:
    """Memory and minutes that the jobs of each rule would ask for at their n-th attempt."""
    result = snakemake(folder, "-n", "-p", "--forceall", "--attempt", str(attempt))
    assert result.returncode == 0, result.stderr
    resources: dict[str, set[tuple[int, int]]] = {}
    job = r"^rule (\w+):\n(?: +.*\n)*? +resources: .*\bruntime=(\d+), .*\bmem_mb=(\d+)"
    for rule, minutes, memory in re.findall(job, result.stdout, re.MULTILINE):
        resources.setdefault(rule, set()).add((int(memory), int(minutes)))
    return resources


def changed(**sections: object) -> dict:
    """The study with some keys changed: `changed(networks={"seeds": [0, 1]})`."""
    study = copy.deepcopy(STUDY)
    _update(study, sections)
    return study


def _update(values: dict, changes: dict) -> None:
    for key, value in changes.items():
        if isinstance(value, dict):
            _update(values.setdefault(key, {}), value)
        else:
            values[key] = value


@contextmanager
def mounted(folder: Path, *mount: str) -> Iterator[None]:
    """A file system on `folder`, for as long as the block runs."""
    done = subprocess.run(["mount", *mount, folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"file systems can't be mounted here, which needs root: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "results/mini/tables").iterdir())}


def copied(folder: Path, place: Path) -> Path:
    """A checkout with its results, times and all, to be damaged."""
    return shutil.copytree(folder, place / "copy", symlinks=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = checkout(tmp_path_factory.mktemp("finished"))
    result = snakemake(folder)
    assert result.returncode == 0, result.stderr
    assert "Open in a browser: results/mini/report/index.html" in result.stderr
    lines = [line for line in result.stderr.splitlines() if " | " in line]
    assert len(lines) == len(result.stderr.splitlines()) - 2  # which profile is used, and where to look
    assert re.match(rf"{len(lines)} of {len(lines)} jobs, (\d+) of \1 cells, 0 s left \| ", lines[-1])
    assert any(re.search(rf"cells.* \| stitch_pair task {TRAINED} {TRAINED}: \d+ s$", line) for line in lines)
    return folder


def test_a_finished_study_says_so_and_where_it_is(finished):
    result = snakemake(finished)
    assert result.returncode == 0
    told = "All results are there, and none is stale. Open in a browser: results/mini/report/index.html"
    assert result.stderr.splitlines()[1:] == [told]


def test_nothing_changed_runs_nothing(finished):
    assert planned(finished) == {}


@pytest.mark.parametrize("change", [{"colormap": "magma"}, {"width": "column"}, {"titles": False}])
def test_a_colour_or_a_width_redraws_figures_only(finished, change):
    page = {"write_explorer": 1} if "colormap" in change else {}  # which has its own widths and titles
    drawn = {name: count for name, count in FIGURES.items() if name != "write_explorer"}
    assert planned(finished, changed(figures=change)) == drawn | page


def test_more_epochs_retrain_stitches_and_no_network(finished):
    study = changed(stitches={"task": {"epochs": 2}})
    assert planned(finished, study) == {"stitch_pair": 8, **AFTER_STITCHES}


def test_other_networks_re_run_their_pairs(finished):
    made = {"train_network": 2, "initialise_network": 2, "describe_network": 4, "stitch_pair": 8, **AFTER_STITCHES}
    assert planned(finished, changed(networks={"width": 3})) == made


def test_another_architecture_runs_only_its_networks_and_pairs(finished):
    jobs = planned(finished, changed(networks={"architectures": ["R1111", "R1112", "R1121"]}))
    made = {"train_network": 1, "initialise_network": 1, "describe_network": 2}
    assert jobs == {**made, "stitch_pair": 2 * (9 - 4), **AFTER_STITCHES}


def test_another_seed_runs_only_its_networks_and_pairs(finished):
    jobs = planned(finished, changed(networks={"seeds": [0, 1]}))
    made = {"train_network": 2, "initialise_network": 2, "describe_network": 4}
    assert jobs == {**made, "stitch_pair": 2 * (16 - 4), **AFTER_STITCHES}


def test_a_lost_data_set_is_made_again_for_what_is_new_and_nothing_else_is(finished, tmp_path):
    folder = copied(finished, tmp_path)
    (folder / "results/mini/data/dataset.h5").unlink()
    assert planned(folder) == {}
    study = changed(networks={"architectures": ["R1111", "R1112", "R1121"]})
    made = {"prepare_dataset": 1, "train_network": 1, "initialise_network": 1, "describe_network": 2}
    assert planned(folder, study) == {**made, "stitch_pair": 2 * (9 - 4), **AFTER_STITCHES}
    result = snakemake(folder, study=study)
    assert result.returncode == 0, result.stderr
    assert planned(folder, study) == {}


def test_a_lost_network_is_made_again_for_new_pairs_and_its_own_stay(finished, tmp_path):
    folder = copied(finished, tmp_path)
    (folder / "results/mini/networks/R1111_trained_s0.safetensors").unlink()
    assert planned(folder) == {}
    study = changed(networks={"architectures": ["R1111", "R1112", "R1121"]})
    made = {"train_network": 2, "initialise_network": 1, "describe_network": 3}
    assert planned(folder, study) == {**made, "stitch_pair": 2 * (9 - 4), **AFTER_STITCHES}


def test_the_lost_json_of_a_network_is_written_from_its_file(finished, tmp_path):
    folder = copied(finished, tmp_path)
    about = folder / "results/mini/networks/R1112_trained_s0.json"
    content = about.read_bytes()
    about.unlink()
    assert planned(folder) == {}
    study = changed(networks={"architectures": ["R1112"]})
    assert planned(folder, study) == {"describe_network": 1, **AFTER_STITCHES}
    assert snakemake(folder, "--", str(about.relative_to(folder))).returncode == 0
    assert about.read_bytes() == content


@pytest.mark.parametrize("newest", ["data", "networks"])
def test_other_times_re_run_no_network_and_no_pair(finished, tmp_path, newest):
    """As a copy has, in whatever order its files were written."""
    folder = copied(finished, tmp_path)
    for path in (folder / f"results/mini/{newest}").iterdir():
        os.utime(path)
    assert not {"train_network", "initialise_network", "stitch_pair"} & planned(folder).keys()


def test_what_is_stale_and_lacks_its_images_says_what_to_do(finished, tmp_path):
    folder = copied(finished, tmp_path)
    (folder / "results/mini/data/dataset.h5").unlink()
    record = "results/mini/stitches/task/R1111_trained_s0/R1112_trained_s0.h5"
    study = changed(stitches={"task": {"epochs": 2}})
    result = snakemake(folder, "--", record, study=study)
    assert result.returncode == 1
    assert f"{record}: is made anew, but its dataset was lost: make that first" in result.stderr
    assert snakemake(folder, "--", "results/mini/data/dataset.h5", study=study).returncode == 0
    assert planned(folder, study) == {"stitch_pair": 8, **AFTER_STITCHES}


def test_an_architecture_taken_out_runs_tables_and_what_follows(finished):
    assert planned(finished, changed(networks={"architectures": ["R1112"]})) == AFTER_STITCHES


def test_another_objective_makes_its_stitches_and_those_that_it_is_compared_with(finished):
    """The stitches of the first objective were not kept."""
    study = changed()
    study["stitches"]["similarity"] = SIMILARITY
    more = {"stitch_pair": 2 * 8, "measure_distances": 8, "summarise_distances": 1}
    assert planned(finished, study) == more | AFTER_STITCHES | {"draw_objectives": 1}


def test_repeated_stitches_make_their_own_and_measure_nothing_more(finished):
    study = changed(stitches={"task": {"repeats": 2}})
    assert planned(finished, study) == {"stitch_pair": 8, "draw_objectives": 1} | AFTER_STITCHES


@pytest.fixture(scope="module")
def default(tmp_path_factory) -> tuple[Path, dict]:
    """The default study in miniature, run, with the objective `similarity` beside its own and everything measured."""
    folder = checkout(tmp_path_factory.mktemp("default"))
    study = yaml.safe_load((folder / "config/config.yaml").read_text())
    changes = {"networks": {"architectures": ["R1111"], "width": 2, "training": {"epochs": 2}}}
    _update(study, changes | {"stitches": {"task": {"epochs": 0.2}}})
    study["stitches"]["similarity"] = SIMILARITY
    study["measures"] = {
        "probes": {"images": 400},
        "hacking": {"images": 100, "neighbours": 3},
        "statistical_similarity": {"images": 100, "permutations": 5, "neighbours": 3},
        "generated_images": {"images": 20, "shown": 3},
        "stitch_spectra": {"images": 50},
        "predictors": {"folds": 2},
        "training_budget": {"epochs": [0.05, 0.1], "pairs": [{"sender": TRAINED, "receiver": TRAINED}]},
        "capacity": {
            "pairs": [{"sender": TRAINED, "receiver": TRAINED}],
            "families": [{"name": "permutation"}, {"name": "low-rank", "rank": 2}, {"name": "mlp", "hidden": 4}],
            "epochs": 0.1,
            "learning_rate": 0.001,
            "weight_decay": 0.0,
            "statistics_images": 200,
            "start": "least-squares",
        },
    }
    result = snakemake(folder, study=study)
    assert result.returncode == 0, result.stderr
    return folder, study


def test_the_default_study_ends_with_every_table_and_figure(default):
    folder, study = default
    assert planned(folder, study) == {}
    results = folder / "results/photo-digits"
    assert (results / "report/index.html").stat().st_size > 2_000_000
    cells = pd.read_csv(results / "tables/cells.csv")
    recipes = ["sender_recipe", "receiver_recipe", "objective"]
    assert (cells.groupby(recipes).size() == 25).all() and len(cells) == (3 * 2 + 1) * 25
    assert (cells.test_images == 720).all() and cells.accuracy.notna().all()
    matrix = pd.read_csv(
        results / "matrices/task/R1111_trained_s0/R1111_random_s0.csv", index_col=["sender_layer", "sender_layer_name"]
    )
    chosen = cells[
        (cells.sender_recipe == "trained") & (cells.receiver_recipe == "random") & (cells.objective == "task")
    ]
    for cell in chosen.itertuples():
        assert matrix.iloc[cell.sender_layer, cell.receiver_layer] == cell.accuracy
    for kind in ("png", "pdf"):
        figures = {path.stem for path in results.glob(f"figures/*.{kind}")}
        assert {"controls_task", "overview_task_trained_to_random", "depth_similarity_trained_to_trained"} <= figures
        assert "depth_excess_over_remapped_trained_to_trained" in figures
        # Of two objectives the pairs of three recipes; of one the task on remapped labels, and what is over it.
        assert len(list(results.glob(f"figures/pairs/*/*/*.{kind}"))) == 3 * 2 + 2


def test_the_controls_study_ends_with_a_verdict_on_each_control(tmp_path):
    """In miniature, on images with colours that need no file."""
    folder = checkout(tmp_path)
    study = yaml.safe_load((folder / "config/controls.yaml").read_text())
    kept = ("another-seed", "shuffled")
    architectures = [one for one in study["networks"]["architectures"] if one.get("name", "R1111") in ("R1111", *kept)]
    training = {"epochs": 1, "warmup_epochs": 0, "precision": "float32"}
    for one in architectures:
        one["training"] = training | {key: one["training"][key] for key in one.get("training", {}) if key == "changes"}
        one["training"] = study["networks"]["training"] | one["training"]
    study["networks"] |= {"architectures": architectures, "width": 2}
    study["dataset"] = {"source": "photo-digits"}
    study["pairs"] = study["pairs"][:1]
    study["stitches"]["remapped"]["pairs"] = study["stitches"]["deranged"]["pairs"]
    study["stitches"]["task"] |= {"epochs": 0.05, "batch": 32, "statistics_images": 200, "precision": "float32"}
    measures = study["measures"]
    measures["statistical_similarity"] |= {"images": 100, "permutations": 5}
    measures["clustered_noise"] |= {"train_images": 20, "test_images": 5, "epochs": 1, "batch": 32}
    measures["rank_sensitivity"]["images"] = 200
    measures["verdicts"]["alike"] = ["another-seed"]
    result = snakemake(folder, study=study)
    assert result.returncode == 0, result.stderr
    assert planned(folder, study) == {}
    tables = folder / "results/controls/tables"
    table = pd.read_csv(tables / "verdicts.csv")
    labels = {"remapped labels", "deranged images", "marked images", "image"}
    noise = {f"noise {sigma:g}" for sigma in measures["clustered_noise"]["sigmas"]}
    assert set(table.control) == {*kept, *labels, *noise}
    assert {"accuracy", "agreement", "linear_cka", "rsa_calibrated"} <= set(table.measure)
    assert table[table.control == "deranged images"].control_mean.max() < 0.2
    assert (table[table.control == "another-seed"].expected == "does not").all()
    assert len(pd.read_csv(tables / "rank_sensitivity.csv")) == 2 + 2 + 3 + 4 + 5  # ranks of 2, 2, 4, 8 and 16 channels
    for name in ("verdicts", "clustered_noise", "rank_sensitivity", "statistical_similarity_task"):
        assert (folder / f"results/controls/figures/{name}.png").stat().st_size > 10_000


def test_a_network_stitched_to_itself_for_similarity_is_itself(default):
    folder, _ = default
    distances, cells = (
        pd.read_csv(folder / f"results/photo-digits/tables/{name}.csv") for name in ("distances", "cells")
    )
    assert len(distances) == 3 * 25
    same = "sender == receiver and sender_layer == receiver_layer"
    diagonal = distances.query(same)
    assert diagonal.corresponding.all() and (diagonal.ES_over_variance < 1e-4).all()
    assert (diagonal.EV >= diagonal.ES).all()
    kept = cells.query(f"{same} and objective == 'similarity' and sender_recipe == 'trained'")
    assert len(kept) == 5 and (kept.relative_accuracy.sub(1).abs() < 0.05).all()


NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, channels, classes, width=3):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 4, stride=4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Linear(2 * width, classes)

    def forward(self, images):
        return self.head(self.body(self.stem(images)).mean(dim=(2, 3)))
"""
MINE = {
    "model": "own/nets.py:Net",
    "name": "mine",
    "weights": "own/weights{seed}.pt",
    "mean": [0.5],
    "std": [0.25],
    "classes": [str(label) for label in range(10)],
}
OWN = {
    "networks": {"architectures": ["R1111", MINE]},
    "pairs": [{"sender": "trained", "receiver": "pretrained"}, {"sender": "pretrained", "receiver": "trained"}],
}


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """A study with a network of one's own, trained here and with weights from elsewhere, beside a Small ResNet."""
    folder = checkout(tmp_path_factory.mktemp("own"))
    (folder / "own").mkdir()
    (folder / "own/nets.py").write_text(NET)
    torch.save(module_of_ones_own(folder).state_dict(), folder / "own/weights0.pt")
    result = snakemake(folder, study=changed(**OWN))
    assert result.returncode == 0, result.stderr
    return folder


def module_of_ones_own(folder: Path, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return runpy.run_path(str(folder / "own/nets.py"))["Net"](1, 10)


def test_networks_of_ones_own_and_from_elsewhere_are_stitched_as_any_other(own):
    assert planned(own, changed(**OWN)) == {}
    networks, cells = (pd.read_csv(own / f"results/mini/tables/{name}.csv") for name in ("networks", "cells"))
    assert set(networks.network) == {"R1111_trained_s0", "mine_trained_s0", "mine_pretrained_s0"}
    assert set(networks.model[networks.architecture == "mine"]) == {"own/nets.py:Net"}
    assert set(cells.receiver_layer_name[cells.receiver == "mine_pretrained_s0"]) == {"stem", "body"}
    assert len(cells) == 2 * (5 * 2 + 2 * 2) and cells.accuracy.notna().all()
    images, labels = zip(
        *((np.asarray(Image.open(path)), int(path.parent.name)) for path in own.glob("images/test/*/*.png")),
        strict=True,
    )
    prepared = (torch.from_numpy(np.stack(images))[:, None] / 255 - 0.5) / 0.25
    classes = module_of_ones_own(own)(prepared).argmax(dim=1)
    (accuracy,) = networks.accuracy[networks.network == "mine_pretrained_s0"]
    assert accuracy == pytest.approx((classes == torch.tensor(labels)).float().mean().item())


def test_other_weights_from_elsewhere_re_run_their_network_and_its_stitches(own):
    weights = own / "own/weights0.pt"
    times, content = weights.stat(), weights.read_bytes()
    torch.save(module_of_ones_own(own, seed=1).state_dict(), weights)
    jobs = planned(own, changed(**OWN))
    weights.write_bytes(content)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert jobs == {"import_network": 1, "describe_network": 1, "stitch_pair": 4, **AFTER_STITCHES}
    assert planned(own, changed(**OWN)) == {}


def test_a_changed_file_of_ones_own_re_runs_its_networks_and_their_stitches(own):
    with written(own / "own/nets.py", NET.replace("MaxPool2d", "AvgPool2d")):
        jobs = planned(own, changed(**OWN))
    networks = {"train_network": 1, "import_network": 1, "describe_network": 2}
    assert jobs == {**networks, "stitch_pair": 4, **AFTER_STITCHES}


def test_other_classes_of_weights_re_run_their_network_and_no_training(own):
    turned = MINE | {"classes": MINE["classes"][::-1]}
    study = changed(networks={"architectures": ["R1111", turned]}, pairs=OWN["pairs"])
    assert planned(own, study) == {"import_network": 1, "describe_network": 1, "stitch_pair": 4, **AFTER_STITCHES}


def test_weights_whose_classes_are_in_another_order_are_refused_in_one_line(own):
    turned = MINE | {"name": "turned", "classes": MINE["classes"][::-1]}
    study = changed(networks={"architectures": ["R1111", MINE, turned]}, pairs=OWN["pairs"])
    result = snakemake(own, "--", "results/mini/networks/turned_pretrained_s0.json", study=study)
    assert result.returncode == 1
    assert "the same classes in another order" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("jobs", [{"layers_per_job": 2}, {"threads": 2}, {"device": "auto"}])
def test_how_the_work_is_cut_and_run_re_runs_nothing(finished, jobs):
    assert planned(finished, changed(jobs=jobs)) == {}


def test_memory_and_cores_re_run_nothing(finished):
    assert planned(finished, STUDY, "--set-resources", "stitch_pair:mem_mb=9000", "--cores", "1") == {}


def test_jobs_ask_for_more_when_tried_again(finished):
    first, third = asked(finished, attempt=1), asked(finished, attempt=3)
    growing = {rule for rule in first if third[rule] != first[rule]}
    assert {"train_network", "stitch_pair", "make_tables", "draw_pairs", "prepare_dataset"} <= growing
    assert set(first) - growing == {"describe_network"}
    for rule in growing:
        assert third[rule] == {(3 * memory, 3 * minutes) for memory, minutes in first[rule]}


def test_jobs_that_take_a_gpu_run_one_at_a_time_unless_more_are_allowed(tmp_path):
    folder, study = checkout(tmp_path), changed(jobs={"device": "cuda"})
    for more, expected in (([], 1), (["--resources", "gpu=3"], 3)):
        run = snakemake(folder, "-p", *more, "--", "results/mini/networks/R1111_random_s0.json", study=study)
        assert re.search(rf"Provided resources: .*gpu\D+{expected}\b", run.stderr)
        assert (run.returncode == 0) == torch.cuda.is_available()


def test_images_with_other_times_run_nothing(finished):
    for image in (finished / "images").rglob("*.png"):
        os.utime(image)
    assert planned(finished) == {}


def test_a_changed_image_runs_everything(finished):
    image = finished / "images/train/3/05.png"
    times, content = image.stat(), image.read_bytes()
    Image.open(image).rotate(90).save(image)
    jobs = planned(finished)
    image.write_bytes(content)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    networks = {"train_network": 2, "initialise_network": 2, "describe_network": 4}
    assert jobs == {"prepare_dataset": 1, **networks, "stitch_pair": 8, **AFTER_STITCHES}
    assert planned(finished) == {}


@contextmanager
def written(file: Path, text: str) -> Iterator[None]:
    """A file with this text, for as long as the block runs."""
    before = file.read_text() if file.exists() else None
    file.write_text(text)
    try:
        yield
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before)


def test_a_comment_in_the_package_re_runs_nothing_and_a_changed_stitch_re_runs_stitches_and_no_network(finished):
    module = finished / "modelstitch/stitches/families/linear.py"
    text = module.read_text()
    with written(module, text + "\n# A comment.\n"):
        assert planned(finished) == {}
    changed_text = text.replace("**-0.5", "**-0.25")
    assert changed_text != text
    with written(module, changed_text):
        assert planned(finished) == {"stitch_pair": 8, **AFTER_STITCHES}


@pytest.mark.parametrize(
    "name",
    [
        "modelstitch/stitches/families/other.py",
        "modelstitch/fitting/protocols/other.py",
        "modelstitch/fitting/objectives/other.py",
        "modelstitch/networks/sources/other.py",
        "modelstitch/config/other.py",
        "rules/measures/other.smk",
    ],
)
def test_another_family_protocol_objective_source_or_measure_re_runs_nothing(finished, name):
    assert not (finished / name).exists() and (finished / name).parent.is_dir()
    with written(finished / name, '"""Another."""\n\nNUMBER = 1\n'):
        assert planned(finished) == {}


@pytest.mark.parametrize("name", ["stitches/families/linear", "fitting/protocols/paper", "fitting/objectives/task"])
def test_what_fits_the_stitches_re_runs_them_and_no_network(finished, name):
    module = finished / f"modelstitch/{name}.py"
    with written(module, module.read_text() + "\nNUMBER = 1\n"):
        assert planned(finished) == {"stitch_pair": 8, **AFTER_STITCHES}


@pytest.mark.parametrize("name", ["fitting/protocols/fast", "fitting/muon", "fitting/objectives/similarity"])
def test_a_protocol_or_objective_that_the_study_has_not_re_runs_nothing(finished, name):
    module = finished / f"modelstitch/{name}.py"
    with written(module, module.read_text() + "\nNUMBER = 1\n"):
        assert planned(finished) == {}


def test_other_layers_of_an_architecture_re_run_its_stitches_and_no_network(finished):
    named = {"model": "R1111", "layers": ["layers.0", "layers.3"]}
    assert planned(finished, changed(networks={"architectures": [named, "R1112"]})) == {
        "stitch_pair": 2 * (4 - 1),
        **AFTER_STITCHES,
    }


def test_a_mapping_that_says_no_more_than_a_name_re_runs_nothing(finished):
    same = {"model": "R1111", "name": "R1111", "stem": "own", "seeds": [0]}
    assert planned(finished, changed(networks={"architectures": [same, "R1112"]})) == {}


def test_another_training_of_one_architecture_re_runs_that_and_its_stitches(finished):
    longer = STUDY["networks"]["training"] | {"epochs": 3}
    study = changed(networks={"architectures": [{"model": "R1111", "training": longer}, "R1112"]})
    # Of 8 pairs all but those of R1112, trained or random, to itself, and of the random R1111 to R1112.
    made = {"train_network": 1, "describe_network": 1, "stitch_pair": 5}
    assert planned(finished, study) == made | AFTER_STITCHES


def test_other_images_to_train_one_architecture_on_re_run_that_and_its_stitches(finished):
    shuffled = STUDY["networks"]["training"] | {"changes": {"labels": "shuffled"}}
    study = changed(networks={"architectures": [{"model": "R1111", "training": shuffled}, "R1112"]})
    made = {"train_network": 1, "describe_network": 1, "stitch_pair": 5}
    assert planned(finished, study) == made | AFTER_STITCHES
    study["networks"]["architectures"][0]["training"] = STUDY["networks"]["training"] | {"changes": None}
    assert planned(finished, study) == {}


def test_blocks_of_layers_give_the_tables_of_whole_pairs(finished, tmp_path):
    folder = checkout(tmp_path)
    result = snakemake(folder, study=changed(jobs={"layers_per_job": 3}))
    assert result.returncode == 0, result.stderr
    ours, whole = (
        [line.split(",") for line in (place / "results/mini/tables/cells.csv").read_text().splitlines()]
        for place in (folder, finished)
    )
    accuracy = whole[0].index("accuracy")
    assert [row[:accuracy] for row in ours] == [row[:accuracy] for row in whole]
    np.testing.assert_allclose(
        [float(row[accuracy]) for row in ours[1:]], [float(row[accuracy]) for row in whole[1:]], atol=0.021
    )
    assert not list(folder.glob("results/mini/stitches/task/*/*.blocks/*"))


def test_a_killed_study_ends_with_the_tables_of_an_undisturbed_one(finished, tmp_path):
    folder = checkout(tmp_path)
    moments = random.Random(0)
    # With its jobs, twice; and alone, so that they go on beside the next run's.
    for kill in (os.killpg, os.killpg, os.kill):
        process = subprocess.Popen(
            command(folder), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(moments.uniform(4, 6))
        assert process.poll() is None, "the study ended before it was killed"
        kill(process.pid, signal.SIGKILL)
        process.wait()
        snakemake(folder, "--unlock")
    result = snakemake(folder)
    assert result.returncode == 0, result.stderr
    assert tables(folder) == tables(finished)


def test_a_killed_training_goes_on_from_its_checkpoint_which_goes_once_the_network_is_written(finished, tmp_path):
    assert not list(finished.glob("results/mini/**/*checkpoint*"))
    folder, study = checkout(tmp_path), changed(networks={"training": {"epochs": 40}})
    network = "results/mini/networks/R1111_trained_s0.safetensors"
    checkpoint = folder / "results/mini/networks/R1111_trained_s0.checkpoint"
    process = subprocess.Popen(
        command(folder, "--", network, study=study), cwd=folder, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    snakemake(folder, "--unlock")
    assert checkpoint.exists() and not (folder / network).exists()
    result = snakemake(folder, "--", network, study=study)
    assert result.returncode == 0, result.stderr
    told = folder / "results/mini/logs/train_network/R1111_trained_s0.log"
    assert "R1111_trained_s0.checkpoint: going on after epoch" in told.read_text()
    assert (folder / network).exists() and not checkpoint.exists()


def test_a_full_disk_gives_a_clear_error_and_leaves_nothing_to_trust(finished, tmp_path):
    folder = checkout(tmp_path)
    results = folder / "results/mini"
    results.mkdir()
    with mounted(results, "-t", "tmpfs", "-o", "size=300k", "tmpfs"):
        result = snakemake(folder)
        assert result.returncode == 1
        assert "No space left on device" in result.stdout + result.stderr
        left = [path for path in results.rglob("*") if path.suffix in (".h5", ".safetensors", ".part")]
        assert [path for path in left if path.stat().st_size == 0 or path.suffix == ".part"] == []
        subprocess.run(["mount", "-o", "remount,size=64m", results], check=True)
        assert snakemake(folder).returncode == 0
        assert tables(folder) == tables(finished)


def test_a_read_only_results_folder_is_told_in_one_line_and_leaves_nothing_to_trust(tmp_path):
    folder = checkout(tmp_path)
    results = folder / "results/mini"
    results.mkdir()
    everything = planned(folder)
    with mounted(results, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        result = snakemake(folder)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr and "WorkflowError" not in result.stderr
    assert [line for line in result.stderr.splitlines() if "results/mini" in line] == [
        "results/mini: can't be written (Read-only file system): free space, or give write permission"
    ]
    assert planned(folder) == everything
    assert snakemake(folder, "--until", "prepare_dataset").returncode == 0


def test_a_finished_study_made_read_only_stays_as_it_is(finished):
    before, results = tables(finished), finished / "results/mini"
    other_colour = changed(figures={"colormap": "magma"})
    with mounted(results, "-o", "bind,ro", str(results)):
        assert snakemake(finished).returncode == 0
        result = snakemake(finished, study=other_colour)
    assert result.returncode == 1
    assert "Write-protected output files" in result.stderr and "Traceback" not in result.stderr
    assert tables(finished) == before
    assert planned(finished) == {} and planned(finished, other_colour) == FIGURES


def reported(
    folder: Path, study: dict = STUDY, omitted: frozenset[str] = frozenset({"comparisons"})
) -> dict[str, dict]:
    """What the report of a study shows, by path: every figure and table but those omitted, without a net."""
    result = snakemake(folder, "--report", "report.html", study=study)
    assert result.returncode == 0, result.stderr
    page = (folder / "report.html").read_text()
    (results,) = folder.glob("results/*/")
    assert f"Stitching study <strong>{results.name}</strong>" in page
    assert not re.search(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=.?(?:https?:)?//", page)

    shown, _ = json.JSONDecoder().raw_decode(page.rpartition("var results = ")[2])
    files = [*results.glob("figures/**/*.png"), *results.glob("tables/*.csv")]
    assert shown.keys() == {str(file.relative_to(folder)) for file in files if file.stem not in omitted}
    sections, _ = json.JSONDecoder().raw_decode(page.rpartition("var categories = ")[2])
    # Where two have equal labels, the report shows one.
    for category, parts in sections.items():
        for paths in parts.values():
            assert len({tuple(shown[path]["labels"].items()) for path in paths}) == len(paths), category
    assert sorted(sections)[0] == "1 All pairs at a glance" and sorted(sections)[-1] == "Tables"
    for path, entry in shown.items():
        assert base64.b64decode(entry["data_uri"].partition("base64,")[2]) == (folder / path).read_bytes()
        assert entry["caption"]
    return shown


def test_the_report_has_every_figure_and_table_with_its_caption_and_needs_no_net(finished, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    shown = reported(finished)
    pair = shown["results/mini/figures/pairs/task/R1111_random_s0/R1112_trained_s0.png"]
    assert pair["labels"] == {"sender → receiver": "R1111_random_s0 → R1112_trained_s0"}
    assert "Test accuracy of every stitch of one ordered pair" in pair["caption"]
    assert "on one colour scale" in shown["results/mini/figures/controls_task.png"]["caption"]
    glance = [entry["labels"]["figure"] for path, entry in shown.items() if re.search("overview_|controls_", path)]
    assert sorted(glance) == ["01 trained → trained", "05 random → trained", "99 controls"]
    captions = (finished / "results/mini/figures").rglob("*.txt")
    written = {path.with_suffix(".png").relative_to(finished).as_posix(): path.read_text() for path in captions}
    assert written.keys() == {path for path in shown if path.endswith(".png")}
    name = "results/mini/figures/depth_task_trained_to_trained.png"
    assert written[name].startswith("Average matrix, trained → trained. Task stitches; 4 pairs")
    caption = html.unescape(re.sub("<.*?>", "", shown[name]["caption"]))
    assert " ".join(caption.split()) in written[name]
    assert "One row per network" in shown["results/mini/tables/networks.csv"]["caption"]


def test_the_report_has_what_a_study_measures(default):
    folder, study = default
    shown = reported(folder, study, frozenset({"comparisons", "training_budget_cells", "hacking_suffix"}))
    captions = {path.removeprefix("results/photo-digits/"): entry["caption"] for path, entry in shown.items()}
    assert "after more and more training" in captions["figures/training_budget.png"]
    assert "can serve any labelling" in captions["figures/capacity.png"] and "tables/capacity.csv" in captions
    assert "PSNR" in captions[f"figures/generated_images/{TRAINED}/{TRAINED}.png"]
    assert "Mahalanobis" in captions["tables/hacking.csv"] and "probe" in captions["tables/probes.csv"]
    assert "The paper's two tables" in captions["tables/distance_summary.csv"].replace("&#x27;", "'")
    assert "orthogonal" in captions["tables/stitch_spectra.csv"] and "R²" in captions["tables/predictors.csv"]
    assert {
        "figures/stitch_spectra_similarity.png",
        "figures/predictors.png",
        "figures/hacking_task.png",
        "figures/hacking_similarity.png",
        "figures/statistical_similarity_task.png",
        "figures/generated_images.png",
    } <= captions.keys()


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ({"networks": {"architectures": ["R1111", "R2032"]}}, "networks.architectures[1]: 'R2032'"),
        (
            {"networks": {"architectures": ["R1111", {"model": "R1112", "layers": ["layers.8"]}]}},
            "networks.architectures[1]: R1112: 'layers.8' is no place to cut",
        ),
        (
            {"networks": {"architectures": ["R1111", "torchvision:alexnet"]}},
            "networks.architectures[1]: AlexNet takes no images of 3 x 32 x 32",
        ),
        (
            {"stitches": {"task": {"sender_layers": [0, 5]}}},
            "stitches.task.sender_layers[1]: no layer 5 in R1111: it has 5 layers, 0 to 4",
        ),
    ],
)
def test_a_mistake_in_the_study_is_told_in_one_line_before_any_job(finished, study, expected):
    result = snakemake(finished, study=changed(**study))
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if "study.yaml" in line]
    assert line.startswith(f"study.yaml: {expected}")
    assert "Traceback" not in result.stderr


def test_nothing_of_the_default_study_leaks_into_another(finished):
    study = copy.deepcopy(STUDY)
    del study["figures"]
    result = snakemake(finished, "-n", study=study)
    assert result.returncode == 1
    assert "study.yaml: figures: missing key" in result.stderr


def test_config_on_the_command_line_overrides_one_key(finished):
    assert planned(finished, STUDY, "--config", "figures={colormap: magma}") == FIGURES
    assert planned(finished, STUDY, "--config", "seed=1", "study=mini-1")["train_network"] == 2


@pytest.mark.parametrize(
    ("study", "arguments", "expected"),
    [
        (
            {},
            ["--config", "seed=1"],
            "--config seed=1: results/mini is for seed 0, whose results would be replaced: name a study too: "
            "--config seed=1 study=mini-1",
        ),
        (
            {"dataset": {"path": "nowhere.tar"}},
            [],
            "nowhere.tar: no such file or folder: expected images in train/<class>/ and test/<class>/",
        ),
        ({"dataset": {"path": "images.rar"}}, [], "images.rar: expected a folder, or an archive named .tar, "),
        ({"dataset": {"path": "im{x}"}}, [], "study.yaml: dataset.path: 'im{x}' has braces, which Snakemake takes"),
        ({"networks": {"width": 10**29}}, [], "study.yaml: networks.width: 1.00e+29 is out of range: "),
        (
            {"networks": {"architectures": [{"model": "R1111", "arguments": {"width": 10**16}}]}},
            [],
            "study.yaml: networks.architectures[0]: R1111 can't be built of {'width': 10000000000000000}: ",
        ),
    ],
)
def test_what_would_fail_is_told_in_one_line_by_a_dry_run(finished, study, arguments, expected):
    with written(finished / "images.rar", ""):
        result = snakemake(finished, "-n", *arguments, study=changed(**study))
    assert result.returncode == 1
    _, line = result.stderr.splitlines()  # the first tells the profile
    assert line.startswith(expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_dry_run_says_that_there_is_no_gpu_and_plans(finished):
    study = changed(jobs={"device": "cuda"})
    result = subprocess.run(
        command(finished, "-n", study=study),
        cwd=finished,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"},
    )
    assert result.returncode == 0
    assert "study.yaml: jobs.device: device cuda: torch finds no GPU here: expected cpu or auto" in result.stderr
    assert not re.search(r"\| +torch$", result.stderr, re.MULTILINE)  # whose import takes longer than such a plan


def test_the_forecast_of_a_study_that_has_nothing_yet_counts_the_planned_jobs_and_makes_none(tmp_path):
    folder = checkout(tmp_path)
    study = changed(networks={"architectures": ["R1111"]}, jobs={"layers_per_job": 3}) | {
        "dataset": {"source": "digits"}
    }
    result = snakemake(folder, "--", "forecast", study=study)
    assert result.returncode == 0, result.stderr
    rows = [re.split(" {2,}", line) for line in result.stdout.splitlines()]
    counts = {row[0]: row[1:3] for row in rows if len(row) > 2}
    plan = planned(folder, study)
    assert plan["stitch_layers"] == 4
    assert counts["stitches"] == ["6", "50"] and counts["all"] == [str(sum(plan.values())), "50"]
    jobs = pd.read_csv(folder / "results/mini/logs/forecast.csv").job
    assert jobs.str.partition("/")[0].value_counts().to_dict() == plan
    made = {path.name for path in folder.glob("results/mini/**/*") if path.is_file()}
    assert made == {"forecast.log", "forecast.csv"}


def test_every_job_of_networks_stitches_and_measures_is_forecast(tmp_path):
    """By its name, of a study with every objective, control and measure; what is left are tables and figures."""
    folder = checkout(tmp_path)
    study = yaml.safe_load((folder / "benchmarks/forecast.yaml").read_text())
    result = snakemake(folder, "-n", "-p", study=study)
    assert result.returncode == 0, result.stderr
    jobs = set(re.findall(r"^    benchmark: results/forecast/benchmarks/(\S+)\.tsv$", result.stdout, re.MULTILINE))
    speed = Speed(1.0, 1.0, 1.0, *({"any": 1e-10} for _ in range(4)))
    *stages, _ = forecast_jobs.stages(plans.planned(load_study(study, "forecast")), speed, ["prepare_dataset"], {"": 0})
    assert len(stages) == 4
    forecast = [job.name for stage in stages for job in stage.jobs]
    assert len(forecast) == len(set(forecast)) and set(forecast) <= jobs
    rules = {job.partition("/")[0] for job in jobs.difference(forecast)}
    assert {"make_tables", "draw_hacking", "gather_hacking"} <= rules
    assert rules.isdisjoint(job.partition("/")[0] for job in forecast)


def plan(folder: Path, *arguments: str, study: dict | None = STUDY) -> dict[str, tuple[int, str]]:
    """What a dry run tells: jobs and reasons by rule."""
    result = snakemake(folder, "--dry-run", *arguments, study=study)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) < 50 and max(map(len, lines)) < 120  # a screen
    rows = [re.fullmatch(r"(\w+) +(\d+) *(.*)", line) for line in lines]
    return {row[1]: (int(row[2]), row[3]) for row in rows if row}


def test_a_plan_tells_jobs_and_reasons_by_rule(finished):
    assert plan(finished) == {}
    redrawn = plan(finished, study=changed(figures={"colormap": "magma"}))
    assert redrawn == {**dict.fromkeys(FIGURES, (1, "settings or code changed")), "all": (len(FIGURES), "")}
    more = plan(finished, study=changed(networks={"architectures": ["R1111", "R1112", "R1121"]}))
    assert more["train_network"] == (1, "not there yet") and more["stitch_pair"] == (10, "not there yet")
    assert more["make_tables"] == (1, "settings or code changed")
    one = finished / f"results/mini/stitches/task/{TRAINED}/{TRAINED}.h5"
    times, content = one.stat(), one.read_bytes()
    one.write_bytes(content + b"more")  # a newer time alone is no reason, where Snakemake knows the contents
    jobs = plan(finished)
    one.write_bytes(content)
    os.utime(one, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert jobs["make_tables"] == (1, "a file it reads is newer")
    assert jobs["make_matrices"] == (1, "a file it reads is made anew")


def test_the_plan_of_the_papers_study_is_a_screen(finished):
    """Some 10,000 jobs: two objectives of 1,024 pairs, and four measures."""
    jobs = plan(finished, "--configfile", "config/paper.yaml", study=None)
    assert [jobs[rule][0] for rule in ("train_network", "initialise_network", "stitch_pair")] == [16, 16, 2048 + 256]
    assert jobs["measure_hacking"] == (2048, "not there yet")


def test_a_job_of_a_large_study_plans_no_more_of_it_than_it_needs(finished):
    """One pair of 57,600."""
    architectures = [f"R{a}{b}{c}{d}" for a in (1, 2) for b in (1, 2) for c in (1, 2) for d in (1, 2)]
    study = changed(study="large", networks={"architectures": architectures, "seeds": list(range(15))})
    study["pairs"] = [{"sender": "trained", "receiver": "trained"}]
    record = "results/large/stitches/task/R1111_trained_s3/R2222_trained_s14.h5"
    jobs = planned(finished, study, "--", record)
    assert jobs == {"prepare_dataset": 1, "train_network": 2, "stitch_pair": 1}


def test_a_large_study_has_tables_in_parts_and_no_figures_of_pairs(finished):
    """Of 72 networks, 5,184 pairs; figures of pairs where they are asked for."""
    study = changed(study="large", networks={"architectures": ["R1111", "R1112"], "seeds": list(range(36))})
    study["pairs"] = [{"sender": "trained", "receiver": "trained"}]
    jobs = plan(finished, "--until", "prepare_dataset", study=study)
    assert jobs["prepare_dataset"] == (1, "not there yet")
    for pairs, count in ((None, 0), (True, 1)):
        study["figures"]["pairs"] = pairs
        listed = snakemake(finished, "--list-rules", study=study).stdout.split()
        assert listed.count("draw_pairs") == count
