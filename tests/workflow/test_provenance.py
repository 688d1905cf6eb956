"""Results that are copied to another checkout, without Snakemake's own folder: what is stale is told there too."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from modelstitch.sharing import account
from tests.checkout import ROOT
from tests.workflow.test_workflow import AFTER_STITCHES, FIGURES, changed, checkout, planned, snakemake

DATA = "results/mini/data/dataset.h5"
# The least of a study that has networks and pairs.
STUDY = changed(networks={"architectures": ["R1111"]}, pairs=[{"sender": "trained", "receiver": "trained"}])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = checkout(tmp_path_factory.mktemp("finished"))
    result = snakemake(folder, study=STUDY)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def elsewhere(finished, tmp_path):
    """Another checkout, with the results alone; images and files have the times of the copy, in another order."""
    folder = checkout(tmp_path / "elsewhere")
    shutil.rmtree(folder / "images")
    shutil.copytree(finished / "images", folder / "images")
    shutil.copytree(finished / "results", folder / "results", copy_function=shutil.copy, dirs_exist_ok=True)
    for part in ("networks", "data"):
        for path in (folder / "results/mini" / part).iterdir():
            os.utime(path)
    return folder


def test_each_handler_stands_once():
    """Snakemake heeds the last of each kind alone: a second one, in whatever file, would silence the first."""
    texts = [path.read_text() for path in (ROOT / "Snakefile", *(ROOT / "rules").rglob("*.smk"))]
    handlers = re.findall(r"^(onstart|onsuccess|onerror):", "\n".join(texts), re.MULTILINE)
    assert sorted(handlers) == ["onerror", "onstart", "onsuccess"]


def test_what_is_stale_is_told_in_another_checkout_and_nothing_else_is(elsewhere):
    heavy = {"prepare_dataset", "train_network", "initialise_network", "stitch_pair"}
    assert not heavy & planned(elsewhere, STUDY).keys()
    study = changed(**{**STUDY, "stitches": {"task": {"epochs": 2}}})
    assert planned(elsewhere, study).get("stitch_pair") == 1
    assert not {"prepare_dataset", "train_network"} & planned(elsewhere, study).keys()
    study = changed(**{**STUDY, "networks": {**STUDY["networks"], "width": 3}})
    assert planned(elsewhere, study).keys() >= {"train_network", "stitch_pair"}
    assert snakemake(elsewhere, study=STUDY).returncode == 0
    assert planned(elsewhere, STUDY) == {}
    assert planned(elsewhere, changed(**{**STUDY, "figures": {"colormap": "magma"}})) == FIGURES


def test_results_of_which_nothing_tells_what_made_them_are_refused(elsewhere):
    (elsewhere / "results/mini/provenance.jsonl.gz").unlink()
    result = snakemake(elsewhere, "-n", study=STUDY)
    assert result.returncode == 1
    assert "results/mini: nothing tells what made" in result.stderr and DATA in result.stderr
    assert "Traceback" not in result.stderr
    result = snakemake(elsewhere, "--touch", "--forceall", study=STUDY)
    assert result.returncode == 0, result.stderr
    assert planned(elsewhere, STUDY) == {}
    study = changed(**{**STUDY, "stitches": {"task": {"epochs": 2}}})
    assert planned(elsewhere, study) == {"stitch_pair": 1, **AFTER_STITCHES}


def modelstitch(folder, *arguments):
    command = [sys.executable, "-m", "modelstitch", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_an_archive_is_a_study_in_another_checkout_with_nothing_to_do(finished, tmp_path):
    """Its images stayed where they are: the data set stands for them."""
    modelstitch(finished, "archive", "results/mini", str(tmp_path / "mini.zip"))
    folder = checkout(tmp_path / "elsewhere")
    shutil.rmtree(folder / "images")
    told = modelstitch(folder, "restore", str(tmp_path / "mini.zip"))
    assert told.endswith("snakemake -n --configfile config/mini.yaml\n")
    result = snakemake(folder, "-n", "--configfile", "config/mini.yaml", study=None)
    assert "Nothing to be done" in result.stderr + result.stdout, result.stderr
    study = changed(**{**STUDY, "stitches": {"task": {"epochs": 2}}})
    assert planned(folder, study) == {"stitch_pair": 1, **AFTER_STITCHES}
    study = changed(**{**STUDY, "dataset": {"resize": 16}})
    assert "images: no such file or folder" in snakemake(folder, "-n", study=study).stderr
    told = modelstitch(folder, "provenance", "results/mini/tables/cells.csv")
    assert "rule      make_tables" in told and " torch " in told and "seed: 0" in told and "machine   " in told


def test_a_damaged_account_is_named_and_one_that_was_read_before_is_written_anew(elsewhere):
    path = elsewhere / "results/mini/provenance.jsonl.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    result = snakemake(elsewhere, "-n", study=STUDY)
    assert result.returncode == 1 and "results/mini/provenance.jsonl.gz: is damaged" in result.stderr
    path.write_bytes(whole)
    assert snakemake(elsewhere, "-n", study=STUDY).returncode == 0
    told = account.read(path).lines
    path.write_bytes(whole[:-100])
    (elsewhere / "results/mini/tables/failures.csv").unlink()
    result = snakemake(elsewhere, study=STUDY)
    assert result.returncode == 0, result.stderr
    assert account.read(path).lines.keys() == told.keys()
