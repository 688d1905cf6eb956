import numpy as np
import pandas as pd
import pytest
import torch

from modelstitch.analysis import tables
from modelstitch.analysis.depth import corresponding
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import distances
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.stitches.families.linear import Stitch
from tests.devices import exhausted, limited
from tests.measures.pairs import CLOSED, identities
from tests.settings import stitch_settings


@pytest.fixture(scope="module")
def measured(few_digits, trained, random_networks):
    pair = (trained, random_networks[0], few_digits)
    stitches = [
        train_pair(*pair, settings, objective=objective, study_seed=0).stitches
        for objective, settings in (("task", stitch_settings()), ("similarity", CLOSED))
    ]
    return stitches, distances.measure_pair(trained, random_networks[0], few_digits, *stitches)


@pytest.mark.parametrize("cell", [(0, 0), (1, 4), (4, 1), (2, 3)])
def test_distances_are_those_of_the_whole_representations(few_digits, trained, random_networks, measured, cell):
    (vanilla, similar), table = measured
    i, j = cell
    frozen = FrozenNetwork(trained), FrozenNetwork(random_networks[0])
    batch = DeviceImages(few_digits, few_digits.test).scaled(slice(None))
    sources, expected = frozen[0].representations(batch)[i], frozen[1].representations(batch)[j].double()
    found, similar_maps = (stitches[cell](sources).double() for stitches in (vanilla, similar))
    row = table[(table.sender_layer == i) & (table.receiver_layer == j)].iloc[0]
    variance = expected.transpose(0, 1).flatten(1).var(dim=1, correction=0).mean().item()
    assert row.variance == pytest.approx(variance, rel=1e-5)
    for name, one, other in (("EV", expected, found), ("ES", expected, similar_maps), ("SV", similar_maps, found)):
        error = (one - other).square().mean().item()
        cosine = torch.cosine_similarity(one.flatten(1), other.flatten(1)).mean().item()
        assert row[name] == pytest.approx(error, rel=1e-4)
        assert row[f"{name}_over_variance"] == pytest.approx(error / variance, rel=1e-4)
        assert row[f"{name}_cosine"] == pytest.approx(cosine, abs=1e-5)


def test_layers_are_called_as_the_networks_call_them(measured):
    _, table = measured
    assert list(table) == list(distances.COLUMNS)
    for role in ("sender", "receiver"):
        assert table[f"{role}_layer_name"].tolist() == [f"layers.{layer}" for layer in table[f"{role}_layer"]]


def test_an_identity_is_at_no_distance(few_digits, trained):
    stitches = identities(trained, range(5))
    table = distances.measure_pair(trained, trained, few_digits, stitches, stitches)
    assert len(table) == 5 and table.corresponding.all()
    assert (table[["EV", "ES", "SV"]] < 1e-10).all(axis=None)
    np.testing.assert_allclose(table[["EV_cosine", "SV_cosine"]], 1, rtol=1e-6)


def test_exhausted_memory_halves_the_batches_and_changes_no_distance(
    few_digits, trained, random_networks, measured, monkeypatch, caplog
):
    caplog.set_level("INFO")
    stitches, table = measured
    monkeypatch.setattr(Stitch, "__call__", limited(Stitch.__call__, 30))
    halved = distances.measure_pair(trained, random_networks[0], few_digits, *stitches)
    pd.testing.assert_frame_equal(halved, table, rtol=1e-6)
    assert "a batch has 25 images" in caplog.text
    monkeypatch.setattr(Stitch, "__call__", exhausted)
    with pytest.raises(ModelstitchError, match=r"^the device's memory is exhausted: lower the networks' size$"):
        distances.measure_pair(trained, random_networks[0], few_digits, *stitches)


def test_the_summary_counts_corresponding_layers_and_all(measured):
    _, table = measured
    summary = distances.summarise(table).set_index(["stitches", "distance"])
    assert summary.loc[("all", "EV"), "cells"] == 30 and summary.loc[("corresponding", "EV"), "cells"] == 5
    assert summary.loc[("all", "ES"), "mean"] == pytest.approx(table.ES.mean())
    assert summary.loc[("all", "EV_cosine"), "max"] == table.EV_cosine.max()
    assert summary.loc[("all", "SV"), "std"] == pytest.approx(np.std(table.SV))
    assert (summary.loc["all", "min"] <= summary.loc["corresponding", "min"]).all()
    assert set(summary.sender_recipe) == {"trained"} and set(summary.receiver_recipe) == {"calibrated"}


def test_tables_are_read_back_as_they_were_written(tmp_path, measured):
    _, table = measured
    for name in ("one", "other"):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    both = tables.read_all([tmp_path / "one.csv", tmp_path / "other.csv"])
    pd.testing.assert_frame_equal(both.iloc[30:].reset_index(drop=True), table)


def test_corresponding_layers_are_nearest_in_relative_depth():
    assert [corresponding(layer, 5, 5) for layer in range(5)] == [0, 1, 2, 3, 4]
    assert [corresponding(layer, 5, 9) for layer in range(5)] == [0, 2, 4, 6, 8]
    assert [corresponding(layer, 9, 5) for layer in range(9)] == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert [corresponding(layer, 5, 6) for layer in range(5)] == [0, 1, 2, 4, 5]


def test_distances_are_in_the_precision_of_the_stitches(few_digits, trained, random_networks, measured):
    stitches, exact = measured
    rounded = distances.measure_pair(trained, random_networks[0], few_digits, *stitches, precision="bfloat16")
    assert (rounded.EV != exact.EV).all()
    np.testing.assert_allclose(rounded.EV, exact.EV, rtol=0.05)
