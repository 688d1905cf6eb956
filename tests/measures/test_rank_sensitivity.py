"""Truncated representations: their rank, what they keep, and that accuracies begin at those of the whole."""

import numpy as np
import pandas as pd
import pytest
import torch

from modelstitch.config.families import Family
from modelstitch.config.section import read
from modelstitch.data.images import DeviceImages
from modelstitch.figures import rank_sensitivity as figure
from modelstitch.measures import rank_sensitivity
from modelstitch.measures.rank_sensitivity import TruncatedSender, ranks, truncations
from modelstitch.networks.frozen import FrozenNetwork
from tests.measures.pairs import vision_transformer
from tests.settings import FAST, stitch_settings


def test_ranks_are_halved_from_all_channels_to_one():
    assert ranks(8) == [8, 4, 2, 1] and ranks(12) == [12, 6, 3, 1] and ranks(1) == [1]


@pytest.mark.parametrize("tokens", [False, True])
def test_a_truncation_is_that_of_scikit_learns_principal_components(trained, few_digits, tokens):
    from sklearn.decomposition import PCA

    frozen = FrozenNetwork(vision_transformer() if tokens else trained)
    images = DeviceImages(few_digits, few_digits.train)
    if tokens:
        images.images = images.images.repeat(1, 3, 1, 1)
    chosen = torch.arange(60)
    found = truncations(frozen, images, chosen)
    sender = TruncatedSender(frozen, found)
    whole = frozen.representations(images.scaled(chosen))
    given = sender.representations(images.scaled(chosen))
    assert [one.layer for one in found] == sorted(one.layer for one in found)
    for index, one in enumerate(found):
        values = whole[one.layer] if tokens else whole[one.layer].permute(0, 2, 3, 1)
        vectors = values.flatten(0, -2).double().numpy()
        components = PCA(one.rank, svd_solver="full").fit(vectors)
        expected = components.inverse_transform(components.transform(vectors))
        seen = given[index] if tokens else given[index].permute(0, 2, 3, 1)
        np.testing.assert_allclose(seen.flatten(0, -2), expected, atol=1e-3 * np.abs(vectors).max())
        assert one.kept == pytest.approx(components.explained_variance_ratio_.sum(), abs=1e-6)


def test_stitches_are_of_the_tasks_family(trained, few_digits, monkeypatch):
    made = {}

    class Seen(rank_sensitivity.StitchedPair):
        def __init__(self, sender, receiver, stitches, *others):
            made.update(stitches)
            super().__init__(sender, receiver, stitches, *others)

    monkeypatch.setattr(rank_sensitivity, "StitchedPair", Seen)
    family = read(Family, {"name": "convolution", "kernel": 3})
    settings = FAST.model_copy(update={"epochs": 0.2, "family": family})
    rank_sensitivity.measure(trained, trained, few_digits, 100, settings, study_seed=0)
    first = made[0, 0]
    assert first.linear.maps[0].weight.shape == (4, 4 * 9)


def test_a_cell_that_left_the_finite_numbers_has_no_accuracy(trained, few_digits):
    settings = stitch_settings(epochs=0.5, batch=16, learning_rate=1e30)
    found = rank_sensitivity.measure(trained, trained, few_digits, 100, settings, study_seed=0)
    assert found.accuracy.isna().all() and found.probe_accuracy.notna().all()


def test_accuracies_begin_at_those_of_the_whole_and_fall_together(trained, digits):
    settings = FAST.model_copy(update={"epochs": 0.5, "batch": 32})
    found = rank_sensitivity.measure(trained, trained, digits, 300, settings, study_seed=0)
    assert tuple(found.columns) == rank_sensitivity.COLUMNS
    assert (found.sender_layer == found.receiver_layer).all()
    for _, layer in found.groupby("sender_layer"):
        assert layer["rank"].tolist() == ranks(layer.channels.iloc[0])
        assert layer.variance_kept.iloc[0] == pytest.approx(1) and layer.variance_kept.is_monotonic_decreasing
        assert layer.accuracy.iloc[0] > trained.about["accuracy"] - 0.1
        assert layer.accuracy.iloc[-1] < layer.accuracy.iloc[0]
        assert layer.probe_accuracy.iloc[-1] < layer.probe_accuracy.iloc[0]
    networks = pd.DataFrame({"network": [trained.name], "accuracy": [0.9], "classes": [10], "seed": [0]})
    lines = figure.draw(found, networks).axes[1].get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), found.accuracy[found.sender_layer == 0])
