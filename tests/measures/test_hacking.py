from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.covariance import LedoitWolf
from sklearn.metrics import cohen_kappa_score

from modelstitch.analysis import tables
from modelstitch.config.measures import Hacking
from modelstitch.data.images import DeviceImages
from modelstitch.data.images import drawn as draw
from modelstitch.errors import ModelstitchError
from modelstitch.figures import hacking as figures
from modelstitch.figures.hacking import PANELS
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import hacking
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.seeds import seed_of
from modelstitch.stitches.families.linear import LinearMap, Stitch
from tests.devices import exhausted, limited
from tests.measures.pairs import identities, own_classes, record_of
from tests.settings import stitch_settings

SETTINGS = Hacking(images=90, neighbours=3)
TYPICALITIES = list(hacking.TYPICALITIES)
EXPECTED = [f"{name}_expected" for name in TYPICALITIES]


@pytest.fixture(scope="module")
def measured(few_digits, trained, random_networks):
    """A trained sender's stitches into another network, one of them failed, and the two tables."""
    pair = (trained, random_networks[0], few_digits)
    record, stitches = train_pair(*pair, stitch_settings(), study_seed=0, receiver_layers=[0, 3, 5])
    record.columns[0].test_accuracy[1], record.columns[0].diverged[1] = np.nan, True
    return record, stitches, hacking.measure_pair(*pair, record, stitches, SETTINGS, 0)


def drawn(dataset):
    """Training and test images that the measures are taken on, and their indices."""
    found = []
    for split, images in (("train", dataset.train), ("test", dataset.test)):
        indices = draw(len(images.labels), SETTINGS.images, seed_of(0, "hacking", split))
        found.append((DeviceImages(dataset, images).scaled(indices), indices))
    return found


def stitched(trained, receiver, stitches, i, j, images):
    """The stitched and the expected representation of some images."""
    frozen = FrozenNetwork(trained), FrozenNetwork(receiver)
    return stitches[i, j](frozen[0].representations(images)[i]).detach(), frozen[1].representations(images)[j]


def test_an_identity_preserves_everything(few_digits, trained):
    stitches = identities(trained, range(5))
    record = record_of(trained, few_digits, own_classes(FrozenNetwork(trained), few_digits), stitches)
    table, suffix = hacking.measure_pair(trained, trained, few_digits, record, stitches, SETTINGS, 0)
    assert len(table) == 5 and len(suffix) == 6 + 5 + 4 + 3 + 2
    np.testing.assert_allclose(table[TYPICALITIES], table[EXPECTED], rtol=1e-5)
    assert (table.detection == 0.5).all() and (table.relative_error == 0).all()
    assert (suffix[["relative_error", "random_relative_error"]] == 0).all(axis=None)
    np.testing.assert_allclose(suffix.cosine, 1, rtol=1e-6)
    assert (table[["kappa_receiver", "kappa_sender", "same_mistake_receiver"]] == 1).all(axis=None)


def test_a_stitch_of_a_bias_alone_preserves_nothing(few_digits, trained):
    """The mean of each channel, the same for all images: at the error of a constant, and soon found out."""
    expected = FrozenNetwork(trained).representations(drawn(few_digits)[1][0])
    stitches = {}
    for (layer, _), same in identities(trained, range(5)).items():
        bias = expected[layer].mean(dim=(0, 2, 3))
        stitches[layer, layer] = Stitch(same.geometry, (LinearMap(torch.zeros_like(same.maps[0].weight), bias),))
    record = record_of(trained, few_digits, np.zeros(101, np.int64), stitches)
    table, _ = hacking.measure_pair(trained, trained, few_digits, record, stitches, SETTINGS, 0)
    np.testing.assert_allclose(table.relative_error, 1, rtol=1e-4)
    assert (table.detection > 0.95).all() and (table.recall < 0.1).all()
    assert table.precision.isin([0, 1]).all()
    assert (table.readout_accuracy < table.readout_accuracy_expected).all()


@pytest.mark.parametrize("cell", [(0, 0), (4, 3)])
def test_distances_are_those_of_a_loop_over_images(few_digits, trained, random_networks, measured, cell):
    i, j = cell
    _, stitches, (table, _) = measured
    (train, _), (test, _) = drawn(few_digits)
    pooled = [
        F.adaptive_avg_pool2d(maps, 2).flatten(1).double().numpy()
        for images in (train, test)
        for maps in stitched(trained, random_networks[0], stitches, i, j, images)
    ]
    _, reference, found, _ = pooled
    shrunk = LedoitWolf().fit(reference)
    precision = np.linalg.inv(shrunk.covariance_)

    def distance(one, other):
        return np.sqrt((one - other) @ precision @ (one - other))

    def radius(point, points):
        return sorted(distance(point, other) for other in points if other is not point)[2]

    found, reference = list(found), list(reference)
    centre = [distance(one, shrunk.location_) ** 2 for one in found]
    balls, found_balls = ([radius(one, points) for one in points] for points in (reference, found))
    near = [[distance(one, other) for other in reference] for one in found]
    precise = [any(d <= ball for d, ball in zip(row, balls, strict=True)) for row in near]
    covered = [any(row[k] <= ball for row, ball in zip(near, found_balls, strict=True)) for k in range(len(reference))]
    row = table[(table.sender_layer == i) & (table.receiver_layer == j)].iloc[0]
    assert row.mahalanobis == pytest.approx(np.mean(centre) / len(found[0]), rel=1e-4)
    assert row.neighbour_distance == pytest.approx(np.mean([sorted(each)[2] for each in near]), rel=1e-4)
    assert row.precision == pytest.approx(np.mean(precise)) and row.recall == pytest.approx(np.mean(covered))


@pytest.mark.parametrize("cell", [(0, 0), (4, 3), (2, 5)])
def test_errors_along_the_suffix_are_those_of_whole_activations(few_digits, trained, random_networks, measured, cell):
    i, j = cell
    _, stitches, (table, suffix) = measured
    receiver = FrozenNetwork(random_networks[0])
    found, expected = stitched(trained, random_networks[0], stitches, i, j, drawn(few_digits)[1][0])
    rows = suffix[(suffix.sender_layer == i) & (suffix.receiver_layer == j)]
    assert list(rows.layer) == [*range(j, 6), "logits"]
    for layer, row in zip([*range(j, 6), None], rows.itertuples(), strict=True):
        if layer is None:
            found, expected = (receiver.suffix(5, maps) for maps in (found, expected))
        elif layer > j:
            found, expected = (receiver.pieces[layer](maps) for maps in (found, expected))
        variance = expected.transpose(0, 1).flatten(1).var(dim=1, correction=0)
        error = (found - expected).square().transpose(0, 1).flatten(1).mean(dim=1)
        assert row.relative_error == pytest.approx((error.sum() / variance.sum()).item(), rel=1e-3)
        cosine = torch.cosine_similarity(found.flatten(1), expected.flatten(1)).mean().item()
        assert row.cosine == pytest.approx(cosine, abs=1e-4)
    # The random error has the size of the stitch's own, and another direction.
    sizes = rows.iloc[0]
    assert sizes.random_relative_error == pytest.approx(sizes.relative_error, rel=1e-4)
    assert rows.iloc[-1].random_relative_error != pytest.approx(rows.iloc[-1].relative_error, rel=1e-3)
    cells = table[(table.sender_layer == i) & (table.receiver_layer == j)].iloc[0]
    assert cells.amplification == pytest.approx(rows.relative_error.iloc[-1] / rows.relative_error.iloc[0])


def test_a_linear_suffix_passes_on_a_random_error_channel_by_channel(few_digits, trained):
    """After the last layer are pooling and a linear head: signs leave each channel's own part of the error alone."""
    frozen, head = FrozenNetwork(trained), trained.module.head
    torch.manual_seed(0)
    expected = torch.rand(20_000, head.in_features, 1, 1)
    error = torch.randn(expected.shape[1])[:, None, None].expand_as(expected)
    stages = frozen.stages(4, expected)
    signs = 2.0 * torch.randint(0, 2, expected.shape[:2]) - 1
    total = hacking.divergence(frozen, 4, expected + error, stages, signs) / len(expected)
    weight, direction = head.weight, error[0, :, 0, 0]
    assert total[-1, 0] == pytest.approx((weight @ direction).square().sum().item(), rel=1e-3)
    assert total[-1, 1] == pytest.approx((weight * direction).square().sum().item(), rel=0.03)


def test_mistakes_are_compared_with_each_networks_own(few_digits, trained, random_networks, measured):
    record, _, (table, _) = measured
    labels = few_digits.test.labels
    own = {
        name: own_classes(FrozenNetwork(network), few_digits)
        for name, network in zip(("sender", "receiver"), (trained, random_networks[0]), strict=True)
    }
    assert (own["sender"] == labels).mean() > 0.8
    classes = record.columns[2].predictions[4]
    row = table[(table.sender_layer == 4) & (table.receiver_layer == 5)].iloc[0]
    for name, one, other in (
        ("sender", classes, own["sender"]),
        ("receiver", classes, own["receiver"]),
        ("networks", *own.values()),
    ):
        kappa = cohen_kappa_score(one == labels, other == labels)
        assert row[f"kappa_{name}"] == pytest.approx(kappa)
        both = [a == b for a, b, label in zip(one, other, labels, strict=True) if label not in (a, b)]
        assert row[f"same_mistake_{name}"] == pytest.approx(np.mean(both))


def test_a_failed_cell_is_a_row_without_measures(measured):
    record, _, (table, suffix) = measured
    assert len(table) == 15 and table.columns.tolist() == list(hacking.COLUMNS)
    failed = (table.sender_layer == 1) & (table.receiver_layer == 0)
    measures = table.loc[:, "accuracy":]
    assert measures[failed].isna().all(axis=None) and measures[~failed].notna().all(axis=None)
    assert ((suffix.sender_layer == 1) & (suffix.receiver_layer == 0)).sum() == 0
    assert (table.sender_recipe == "trained").all() and (table.receiver_recipe == "calibrated").all()
    accuracies = np.concatenate([column.test_accuracy for column in record.columns])
    np.testing.assert_array_equal(table.accuracy, accuracies)


def test_layers_are_called_as_the_networks_call_them_and_the_logits_logits(measured):
    _, _, (table, suffix) = measured
    assert list(suffix) == list(hacking.SUFFIX_COLUMNS)
    for found, role in product((table, suffix), ("sender", "receiver")):
        assert found[f"{role}_layer_name"].tolist() == [f"layers.{layer}" for layer in found[f"{role}_layer"]]
    called = {layer: f"layers.{layer}" for layer in range(6)} | {"logits": "logits"}
    assert suffix.layer_name.tolist() == [called[layer] for layer in suffix.layer]


def test_stitches_between_unlike_networks_are_found_out(measured):
    _, _, (table, _) = measured
    assert table.detection.mean() > 0.9 and (table.mahalanobis > table.mahalanobis_expected).any()


def test_cells_do_not_depend_on_which_others_are_measured(few_digits, trained, random_networks, measured):
    record, stitches, (table, _) = measured
    alone = replace(record, columns=record.columns[1:2])
    found, _ = hacking.measure_pair(trained, random_networks[0], few_digits, alone, stitches, SETTINGS, 0)
    expected = table[table.receiver_layer == 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6)


def test_exhausted_memory_halves_the_batches_and_changes_no_measure(
    few_digits, trained, random_networks, measured, monkeypatch, caplog
):
    """A suffix is given the expected maps first, then twice as many: it exhausts the memory in the midst of a batch."""
    caplog.set_level("INFO")
    record, stitches, expected = measured
    arguments = (trained, random_networks[0], few_digits, record, stitches, SETTINGS, 0)
    for name in ("representations", "stages", "suffix"):
        monkeypatch.setattr(FrozenNetwork, name, limited(getattr(FrozenNetwork, name), 60))
    for found, table in zip(hacking.measure_pair(*arguments), expected, strict=True):
        pd.testing.assert_frame_equal(found, table, rtol=1e-5)
    assert "a batch has 22 images" in caplog.text
    monkeypatch.setattr(FrozenNetwork, "stages", exhausted)
    with pytest.raises(ModelstitchError, match=r"^the device's memory is exhausted: lower the networks' size$"):
        hacking.measure_pair(*arguments)


def test_error_consistency_is_cohens_kappa_of_being_right():
    one = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], bool)
    other = np.array([1, 1, 1, 1, 1, 0, 1, 0, 0, 0], bool)
    # Agreement .8; by chance .6 x .6 + .4 x .4 = .52.
    assert hacking.error_consistency(one, other) == pytest.approx((0.8 - 0.52) / 0.48)
    assert hacking.error_consistency(one, other) == pytest.approx(cohen_kappa_score(one, other))
    assert hacking.error_consistency(one, one) == 1 and hacking.error_consistency(one, ~one) < 0
    assert np.isnan(hacking.error_consistency(one | True, other | True))


def test_the_same_mistake_is_the_same_wrong_class():
    labels = np.array([0, 0, 0, 0, 1])
    one, other = np.array([0, 1, 2, 1, 2]), np.array([1, 1, 1, 1, 0])
    assert hacking.same_mistakes(one, other, labels) == 0.5  # of images 1, 2, 3 and 4: 1 and 3
    assert np.isnan(hacking.same_mistakes(labels, other, labels))


def test_a_figure_an_objective_shows_every_cell_in_every_panel(tmp_path, measured):
    _, _, (table, _) = measured
    both = pd.concat([table, table.assign(objective="similarity")])
    both.to_csv(tmp_path / "pair.csv", index=False)
    _, *panels = figures.draw(tables.read_all([tmp_path / "pair.csv"]), "task").axes
    for axes, panel in zip(panels, PANELS, strict=True):
        assert axes.get_xlabel().split() == panel.words.split()
        shown = np.concatenate([dots.get_offsets() for dots in axes.collections])
        values = table[panel.column] / (table[panel.over] if panel.over else 1)
        np.testing.assert_allclose(np.ma.filled(shown, np.nan), np.stack([values, table.accuracy], axis=1))


@pytest.mark.parametrize(
    ("images", "neighbours", "labels", "key"),
    [((100, 5), 5, [0, 1], "measures.hacking.neighbours: 5"), ((2, 9), 1, [3, 3], "measures.hacking.images: the 2")],
)
def test_images_that_cannot_be_measured_on_are_refused_by_key(images, neighbours, labels, key):
    with pytest.raises(ModelstitchError, match=key):
        hacking.check(*images, neighbours, np.array(labels))


def test_networks_are_asked_in_the_precision_of_the_stitches(few_digits, trained):
    """At the last layer an identity gives the receiver's own predictions, to the last mistake."""
    frozen = FrozenNetwork(trained, torch.bfloat16)
    stitches = identities(trained, [4])
    record = record_of(trained, few_digits, own_classes(frozen, few_digits), stitches)
    found, other = (
        hacking.measure_pair(trained, trained, few_digits, record, stitches, SETTINGS, 0, precision=precision)[0]
        for precision in ("bfloat16", "float32")
    )
    assert found.kappa_receiver[0] == 1
    assert found.mahalanobis[0] == found.mahalanobis_expected[0] != other.mahalanobis[0]
