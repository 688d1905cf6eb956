"""What stitches learned, on maps and receivers of which it is known."""

import numpy as np
import pandas as pd
import pytest
import torch

from modelstitch.config.measures import StitchSpectra
from modelstitch.data.images import DeviceImages, drawn
from modelstitch.errors import ModelstitchError
from modelstitch.figures import canvas
from modelstitch.figures import stitch_spectra as figures
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import stitch_spectra
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.seeds import seed_of
from modelstitch.stitches.families.linear import LinearMap, Stitch
from modelstitch.stitches.geometry import Geometry
from tests.devices import exhausted, limited
from tests.figures.drawn import boxes, texts
from tests.measures import pairs
from tests.settings import stitch_settings

SETTINGS = StitchSpectra(images=60)


@pytest.fixture(scope="module")
def stitches(few_digits, trained, random_networks):
    """Of a trained sender to another network, by objective."""
    settings = {"task": stitch_settings(), "similarity": pairs.CLOSED}
    pair = (trained, random_networks[0], few_digits)
    return {name: train_pair(*pair, one, objective=name, study_seed=0).stitches for name, one in settings.items()}


@pytest.fixture(scope="module")
def measured(few_digits, trained, random_networks, stitches):
    return stitch_spectra.measure_pair(trained, random_networks[0], few_digits, SETTINGS, 0, **stitches)


def some(dataset):
    """The test images that are measured, of 0 to 1."""
    indices = drawn(len(dataset.test.labels), SETTINGS.images, seed_of(0, "stitch_spectra"))
    return DeviceImages(dataset, dataset.test).scaled(indices)


def to_the_last_layer(network, sender_layer):
    """Of a stitch from a perceptron's layer."""
    return Geometry.between(network.layers[sender_layer].representation, network.layers[1].representation)


def sensitivity_slowly(network, layer, images):
    """From the Jacobian of each image's logits, about their mean over classes."""
    frozen, shape = FrozenNetwork(network), network.layers[layer].representation
    total = 0
    for values in frozen.representations(images)[layer]:

        def logits(one):
            found = frozen.suffix(layer, one[None].clone())[0]
            return found - found.mean()

        jacobian = torch.autograd.functional.jacobian(logits, values)  # (classes, *shape)
        rows = jacobian.movedim(shape.channel_dimension, -1).reshape(-1, shape.channels).double()
        total = total + rows.T @ rows
    return total / len(images)


@pytest.mark.parametrize("layer", [0, 3, 4])
def test_sensitivities_are_those_of_whole_jacobians(few_digits, trained, layer):
    images = DeviceImages(few_digits, few_digits.test)
    chosen = torch.arange(12)
    found = stitch_spectra.sensitivities(FrozenNetwork(trained), images, chosen, [layer])[layer]
    expected = sensitivity_slowly(trained, layer, images.scaled(chosen))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("kind", ["vision_transformer", "swin_transformer"])
def test_sensitivities_of_tokens_and_of_maps_whose_channels_come_last(few_digits, kind):
    network = getattr(pairs, kind)()
    images, chosen = DeviceImages(few_digits, few_digits.test), torch.arange(5)
    found = stitch_spectra.sensitivities(FrozenNetwork(network), images, chosen, [0])[0]
    expected = sensitivity_slowly(network, 0, images.scaled(chosen))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_sensitivity_before_a_linear_head_is_that_of_its_weights(few_digits):
    network = pairs.perceptron()
    weight = network.module[-1].weight.detach().double()
    centred = weight - weight.mean(dim=0)
    images = DeviceImages(few_digits, few_digits.test)
    found = stitch_spectra.sensitivities(FrozenNetwork(network), images, torch.arange(7), [1])[1]
    torch.testing.assert_close(found, centred.T @ centred, rtol=1e-5, atol=1e-8)


def test_energy_lies_where_it_was_planted(few_digits):
    """A head that reads channels 3 and 5 alone, and stitches that write into these or into others."""
    receiver = pairs.perceptron()
    with torch.no_grad():
        head = receiver.module[-1].weight
        head[:, [channel for channel in range(20) if channel not in (3, 5)]] = 0
    frozen = FrozenNetwork(receiver)
    stitched = {}
    for sender_layer, written in enumerate([(3, 5), (0, 7)]):
        inputs = receiver.layers[sender_layer].representation.channels
        weight = torch.zeros(20, inputs)
        weight[list(written), :] = torch.rand(2, inputs, generator=torch.Generator().manual_seed(0))
        geometry = to_the_last_layer(receiver, sender_layer)
        stitched[sender_layer, 1] = Stitch(geometry, (LinearMap(weight, torch.full((20,), 5.0)),))
    table = stitch_spectra.measure_pair(receiver, receiver, few_digits, SETTINGS, 0, task=stitched)
    assert table.channels.tolist() == [20, 20] and table.sensitive_directions.tolist() == [2, 2]
    assert table.sensitive_energy[0] == pytest.approx(1)
    assert table.sensitive_energy[1] == pytest.approx(0, abs=1e-9)
    variances = frozen.representations(some(few_digits))[1].double().var(dim=0, correction=0)
    assert table.sensitive_energy_expected[0] == pytest.approx((variances[[3, 5]].sum() / variances.sum()).item())


@pytest.mark.parametrize("kind", ["resnet", "vision_transformer", "swin_transformer", "perceptron"])
def test_an_identity_is_known_for_what_it_is(few_digits, trained, kind):
    network = trained if kind == "resnet" else getattr(pairs, kind)()
    same = pairs.identities(network, range(len(network.layers)))
    table = stitch_spectra.measure_pair(network, network, few_digits, SETTINGS, 0, task=same, similarity=same)
    assert tuple(table) == stitch_spectra.COLUMNS and len(table) == 2 * len(same)
    np.testing.assert_allclose(table[["orthogonal_distance", "permutation_distance"]], 0, atol=1e-6)
    assert (table.numerical_rank == table.channels).all() and (table.full_rank == table.channels).all()
    np.testing.assert_allclose(table.sensitive_energy, table.sensitive_energy_expected, rtol=1e-6)
    own = table[table.objective == "similarity"]
    np.testing.assert_allclose(own[list(stitch_spectra.AGREEMENT)], 1, rtol=1e-6)
    assert table.loc[table.objective == "task", list(stitch_spectra.AGREEMENT)].isna().all(axis=None)


@pytest.mark.parametrize("cell", [(0, 0), (4, 1), (2, 5)])
def test_energy_and_agreement_are_those_of_whole_representations(
    few_digits, trained, random_networks, stitches, measured, cell
):
    receiver, images = random_networks[0], some(few_digits)
    sent = FrozenNetwork(trained).representations(images)[cell[0]]
    values = {
        name: maps[cell](sent).detach().transpose(0, 1).flatten(1).double().numpy() for name, maps in stitches.items()
    }
    strengths, axes = np.linalg.eigh(sensitivity_slowly(receiver, cell[1], images).numpy())
    strengths, axes = strengths[::-1], axes[:, ::-1]
    count = next(m for m in range(1, len(axes) + 1) if strengths[:m].sum() >= 0.9 * strengths.sum())
    for name, one in values.items():
        row = measured[
            (measured.objective == name) & (measured.sender_layer == cell[0]) & (measured.receiver_layer == cell[1])
        ].iloc[0]
        within = axes[:, :count].T @ (one - one.mean(axis=1, keepdims=True))
        assert row.sensitive_directions == count
        assert row.sensitive_energy == pytest.approx(within.var(axis=1).sum() / one.var(axis=1).sum(), rel=1e-3)
        assert row.largest_singular_value == pytest.approx(
            np.linalg.norm(stitches[name][cell].maps[0].weight.numpy(), 2)
        )
    centred = [one - one.mean(axis=1, keepdims=True) for one in values.values()]
    expected = np.vdot(*centred) / np.prod([np.linalg.norm(one) for one in centred])
    assert row.task_output_correlation == pytest.approx(expected, abs=1e-5)
    weights = [stitches[name][cell].maps[0].weight.numpy().ravel() for name in values]
    assert row.task_weight_cosine == pytest.approx(
        np.vdot(*weights) / np.prod([np.linalg.norm(one) for one in weights]), abs=1e-5
    )


def test_maps_that_differ_only_where_the_sender_never_goes_agree_in_what_they_give(few_digits, trained):
    """A channel that is constant: whatever is made of it is the bias."""
    sender = pairs.perceptron()
    with torch.no_grad():
        sender.module[1].weight[0], sender.module[1].bias[0] = 0, 1
    geometry = to_the_last_layer(sender, 0)
    weight = torch.rand(20, 24, generator=torch.Generator().manual_seed(0))
    other = weight.clone()
    other[:, 0] += 3
    maps = {
        name: {(0, 1): Stitch(geometry, (LinearMap(one, torch.zeros(20)),))}
        for name, one in (("task", weight), ("similarity", other))
    }
    row = stitch_spectra.measure_pair(sender, sender, few_digits, SETTINGS, 0, **maps).iloc[1]
    assert row.task_output_correlation == pytest.approx(1, abs=1e-6) and row.task_weight_cosine < 0.9


def test_stitches_that_diverged_or_have_no_weights_leave_those_numbers_out(few_digits, trained):
    same = pairs.identities(trained, range(2))
    diverged = Stitch(same[0, 0].geometry, (same[0, 0].maps[0]._replace(weight=torch.full((4, 4), torch.nan)),))
    table = stitch_spectra.measure_pair(trained, trained, few_digits, SETTINGS, 0, task={**same, (0, 0): diverged})
    assert table.effective_rank.isna().tolist() == [True, False]
    assert table.sensitive_energy.isna().tolist() == [True, False]


def test_a_receiver_whose_logits_never_vary_has_no_sensitive_directions(few_digits):
    network = pairs.vision_transformer()
    torch.nn.init.zeros_(network.module.heads.head.weight)
    table = stitch_spectra.measure_pair(
        network, network, few_digits, SETTINGS, 0, task=pairs.identities(network, range(3))
    )
    assert (table.sensitive_directions == 0).all() and table.sensitive_energy.isna().all()


def test_exhausted_memory_halves_the_batches_and_changes_no_number(
    few_digits, trained, random_networks, stitches, measured, monkeypatch, caplog
):
    caplog.set_level("INFO")
    pair = (trained, random_networks[0], few_digits, SETTINGS, 0)
    monkeypatch.setattr(Stitch, "__call__", limited(Stitch.__call__, 30))
    halved = stitch_spectra.measure_pair(*pair, **stitches)
    np.testing.assert_allclose(
        halved.select_dtypes("number").to_numpy(float), measured.select_dtypes("number").to_numpy(float), rtol=1e-4
    )
    assert "a batch has 25 images" in caplog.text
    monkeypatch.setattr(Stitch, "__call__", exhausted)
    with pytest.raises(ModelstitchError, match=r"^the device's memory is exhausted: lower the networks' size$"):
        stitch_spectra.measure_pair(*pair, **stitches)


def test_a_figure_has_a_matrix_for_each_number_and_two_recipes(measured):
    random = measured.assign(sender_recipe="random", sender="R1111_random_s0")
    numbers = {"trained": measured, "random": random}
    for objective, count in (("task", 5), ("similarity", 6)):
        figure = figures.draw(pd.concat(numbers.values()), objective, "viridis")
        boxes(figure)
        shown = figure.axes[0].images[:-1]  # the last is the scale
        assert len(shown) == 2 * count
        words = texts(figure)
        assert "trained → calibrated" in words and "random → calibrated" in words
        for row in numbers.values():
            own = row[row.objective == objective]
            assert f"mean {canvas.number((own.effective_rank / own.full_rank).mean())}" in words
    first = measured[(measured.objective == "task") & (measured.sender_layer == 0) & (measured.receiver_layer == 0)]
    shown = figures.draw(measured, "task", "viridis").axes[0].images[1].get_array()
    assert shown[0, 0] == pytest.approx(first.orthogonal_distance.iloc[0])


def test_a_number_that_is_missing_everywhere_is_left_out_of_the_figure(measured):
    figure = figures.draw(measured.assign(effective_rank=np.nan), "task", "viridis")
    assert "effective rank ÷ full rank" not in texts(figure) and len(figure.axes[0].images) == 5
