"""A study's results, opened from its folder by what a notebook writes."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import modelstitch as ms
from modelstitch import records
from modelstitch.analysis import tables
from modelstitch.networks import weights
from tests.checkout import ROOT
from tests.records import made

TABLE = pd.DataFrame({"sender": ["R1111_trained_s0"], "accuracy": [0.25]})


@pytest.fixture
def study(tmp_path, trained):
    path = tmp_path / "results" / "few"
    (path / "tables").mkdir(parents=True)
    tables.write_csv(TABLE, path / "tables" / "networks.csv")
    tables.write_parquet(TABLE, path / "tables" / "cells.parquet")
    (path / "networks").mkdir()
    weights.save(path / "networks" / f"{trained.name}.safetensors", trained)
    folder = path / "stitches" / "task" / "R1111_trained_s0"
    folder.mkdir(parents=True)
    columns = [made.column(0, [0.5, np.nan]), made.column(1, [0.25, 0.75])]
    about = {"objective": "task", "sender_accuracy": 0.9, "receiver_accuracy": 0.8}
    records.write(folder / "R1112_random_s1.h5", made.record(columns, "R1111_trained_s0", "R1112_random_s1", **about))
    return path


def test_a_study_gives_its_tables_pairs_and_networks(study, trained):
    results = ms.open_study(study)
    pd.testing.assert_frame_equal(results.cells, TABLE)
    pd.testing.assert_frame_equal(results.networks, TABLE)
    assert results.network("R1111_trained_s0").about["accuracy"] == trained.about["accuracy"]
    pair = results.pair("R1111_trained_s0", "R1112_random_s1")
    assert pair.accuracy.loc["layers.0", "layers.1"] == 0.25 and np.isnan(pair.accuracy.iloc[1, 0])
    assert (pair.sender_accuracy, pair.receiver_accuracy) == (0.9, 0.8)
    low, high = pair.interval
    assert low.loc["layers.0", "layers.0"] == pytest.approx(0.4691, abs=1e-4)  # half of 1,000 images
    assert high.loc["layers.0", "layers.0"] == pytest.approx(0.5309, abs=1e-4) and np.isnan(high.iloc[1, 0])
    assert (pair.predictions[1, 0] == -1).all() and (pair.predictions[0, 0] == np.repeat([0, 1], 500)).all()
    assert repr(results) == f"study few: 1 networks, 1 cells ({study})"


def test_what_a_study_has_not_made_is_told_with_what_it_has(study):
    results = ms.open_study(str(study))
    with pytest.raises(ms.ModelstitchError, match=r"no such table: there are cells\.parquet, networks\.csv"):
        _ = results.triangle
    with pytest.raises(ms.ModelstitchError, match=r"R1111_trained_s9\.safetensors"):
        results.network("R1111_trained_s9")
    with pytest.raises(ms.ModelstitchError, match=r"task/a/b\.h5"):
        results.pair("a", "b")
    with pytest.raises(ms.ModelstitchError, match=r"nowhere: no such folder: expected results/<study>"):
        ms.open_study(study / "nowhere")


def test_torch_is_imported_when_a_public_name_is_used():
    code = "import sys, modelstitch as ms; print('torch' in sys.modules); ms.Network; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "True"]


def test_the_public_names_are_documented_and_others_unknown():
    assert set(ms.__all__) < set(dir(ms))
    assert all(getattr(ms, name).__doc__ for name in ms.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'stich'"):
        _ = ms.stich
