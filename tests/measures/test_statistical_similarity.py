"""The measure on networks of all kinds: what it sees of their layers, and that it draws by the study's seed alone."""

import numpy as np
import pandas as pd
import pytest
import torch

from modelstitch.analysis.agreement import INDICES
from modelstitch.config.measures import StatisticalSimilarity
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.measures import statistical_similarity
from modelstitch.measures.similarity_indices import similarities
from modelstitch.measures.statistical_similarity import COLUMNS, features, measure_pair
from modelstitch.networks.frozen import FrozenNetwork
from tests.measures import pairs

SETTINGS = StatisticalSimilarity(images=90, permutations=20, neighbours=5)
EVERY = SETTINGS.model_copy(update={"images": 1000, "permutations": 1})


@pytest.fixture(scope="module")
def networks(trained):
    made = {"vit": pairs.vision_transformer(), "swin": pairs.swin_transformer(), "mlp": pairs.perceptron()}
    return {"resnet": trained} | made


def pooled_at_once(network, images):
    """Mean of each layer over its grid, of all images, and its class token."""
    found = []
    for layer, values in list(FrozenNetwork(network).representations(images).items())[1:]:
        values = values.double()
        match network.layers[layer].representation.layout:
            case "map":
                values = values.mean(dim=(2, 3))
            case "map-last":
                values = values.mean(dim=(1, 2))
            case "tokens":
                values = torch.cat((values[:, 1:].mean(dim=1), values[:, 0]), dim=1)
        found.append(values.numpy())
    return found


@pytest.mark.parametrize(("sender", "receiver"), [("resnet", "vit"), ("swin", "mlp"), ("vit", "swin")])
def test_each_cell_has_every_index_of_the_means_over_its_layers_grids(networks, few_digits, sender, receiver):
    pair = networks[sender], networks[receiver]
    table = measure_pair(*pair, few_digits, EVERY, 0)
    assert list(table) == list(COLUMNS) and (table.images == 101).all()
    assert len(table) == len(pair[0].layers) * len(pair[1].layers)
    images = DeviceImages(few_digits, few_digits.test).scaled(slice(None))
    found = similarities(*(pooled_at_once(one, images) for one in pair), np.arange(101)[None], EVERY.neighbours)
    for row in table.itertuples():
        assert row.sender_layer_name == pair[0].layers[row.sender_layer].name
        for name in INDICES:
            assert getattr(row, name) == pytest.approx(found[name][0, row.sender_layer, row.receiver_layer], abs=1e-4)


def test_a_network_is_equal_to_itself_and_above_its_null(networks, few_digits):
    table = measure_pair(networks["resnet"], networks["resnet"], few_digits, SETTINGS, 0)
    same = table[table.sender_layer == table.receiver_layer]
    for name in INDICES:
        np.testing.assert_allclose(same[[name, f"{name}_calibrated"]], 1, atol=1e-5)
        assert (table[f"{name}_null"] < 0.8).all()
        above = (table[name] - table[f"{name}_null"]) / (1 - table[f"{name}_null"])
        np.testing.assert_allclose(table[f"{name}_calibrated"], above.clip(lower=0), atol=1e-5)


def test_the_seed_alone_decides(networks, few_digits):
    pair = networks["resnet"], networks["resnet"]
    first, again, other = (measure_pair(*pair, few_digits, SETTINGS, seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert (first.linear_cka_null != other.linear_cka_null).all()


def test_batches_of_any_size_give_the_same_features(networks, few_digits, monkeypatch):
    images = DeviceImages(few_digits, few_digits.test)
    network = FrozenNetwork(networks["vit"])
    whole = features(network, images, torch.arange(101))
    assert [one.shape for one in whole] == [(101, 32)] * 3  # means over the grid, and the class token
    monkeypatch.setattr(
        statistical_similarity, "in_batches", lambda work, count, size: map(work, (slice(0, 30), slice(30, count)))
    )
    for one, other in zip(whole, features(network, images, torch.arange(101)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_layer_of_no_numbers_is_a_row_of_nan(networks, few_digits, monkeypatch):
    def broken(network, images, chosen):
        found = features(network, images, chosen)
        return [found[0] * np.nan, np.ones_like(found[1]), *found[2:]]

    monkeypatch.setattr(statistical_similarity, "features", broken)
    table = measure_pair(networks["resnet"], networks["resnet"], few_digits, SETTINGS, 0)
    numbers = table.set_index(["sender_layer", "receiver_layer"])[list(COLUMNS)[7:]]
    assert numbers.drop(index=[0, 1], level=0).loc[(slice(None), [2, 3, 4]), :].notna().all(axis=None)
    assert numbers.loc[[0, 1]].isna().all(axis=None) and numbers.loc[(4, [0, 1]), :].isna().all(axis=None)


def test_too_few_images_are_refused(networks, few_digits):
    many = SETTINGS.model_copy(update={"neighbours": 101, "images": 500})
    with pytest.raises(ModelstitchError, match=r"101 test images are too few: expected more than 101 neighbours"):
        measure_pair(networks["mlp"], networks["mlp"], few_digits, many, 0)
