"""The objectives beside the task: what they lower, on cells of which it is known what is lowest."""

import numpy as np
import pytest
import torch

from modelstitch.data.images import DeviceImages
from modelstitch.engine.pair import StitchedPair
from modelstitch.fitting.alignment import Functional, Penultimate
from modelstitch.fitting.pair import train_pair
from modelstitch.networks.frozen import FrozenNetwork
from tests.settings import FAST, stitch_settings


def expected_errors(alignment, stitched, own, layer):
    """The errors (cells, images), an image and a layer at a time, of stages (cells, images, *shape)."""
    cells, images = stitched[0].shape[:2]
    found = np.zeros((cells, images))
    for cell in range(cells):
        for image in range(images):
            pairs = [(z[cell, image].flatten(), own[layer + k][image].flatten()) for k, z in enumerate(stitched)]
            if isinstance(alignment, Functional):
                found[cell, image] = np.mean([((z - e).norm() / e.norm()).item() for z, e in pairs])
            else:
                last = own[max(own)].flatten(1)
                found[cell, image] = ((pairs[-1][0] - pairs[-1][1]) ** 2).sum() / (last**2).sum(dim=1).mean()
    return found


@pytest.mark.parametrize("kind", [Functional, Penultimate])
@pytest.mark.parametrize("layer", [1, 4])
def test_errors_are_those_of_every_image_and_layer(trained, few_digits, kind, layer):
    frozen = FrozenNetwork(trained)
    images = DeviceImages(few_digits, few_digits.train).scaled(slice(0, 7))
    alignment = kind(frozen)
    own = alignment.expected(images)
    torch.manual_seed(0)
    stitched = own[layer].repeat(2, 1, 1, 1)
    stitched = stitched + torch.randn_like(stitched)
    stages = frozen.stages(layer, stitched)
    found = alignment.errors(stages, layer, own, slice(0, 7))
    by_cell = [stage.unflatten(0, (2, 7)) for stage in stages[:-1]]
    np.testing.assert_allclose(found, expected_errors(alignment, by_cell, own, layer), rtol=1e-4)
    parts = [
        alignment.errors([stage[:, part].flatten(0, 1) for stage in by_cell] + [stages[-1]], layer, own, part)
        for part in (slice(0, 3), slice(3, 7))
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), found)  # however a batch is cut
    exact = alignment.errors(frozen.stages(layer, own[layer]), layer, own, slice(0, 7))
    assert exact.abs().max() < 1e-5


def test_stages_end_in_the_logits_of_a_pass(trained, random_networks, few_digits):
    networks = [FrozenNetwork(network) for network in (random_networks[0], trained)]
    record = train_pair(random_networks[0], trained, few_digits, FAST.model_copy(update={"epochs": 0.2}), study_seed=0)
    pair = StitchedPair(*networks, record.stitches)
    images = DeviceImages(few_digits, few_digits.train).scaled(slice(0, 5))
    with torch.no_grad():
        passes = zip(pair.passes(images), pair.passes_by_stage(images), strict=True)
        for (j, group, logits), (column, same, stages) in passes:
            assert (j, group) == (column, same)
            assert len(stages) == len(networks[1].layers) - j + 1
            torch.testing.assert_close(pair.logits_of(stages[-1], group), logits)


@pytest.mark.parametrize("protocol", ["fast", "paper"])
@pytest.mark.parametrize("objective", ["soft", "functional", "penultimate"])
def test_a_network_stitched_to_itself_follows_itself(digits, trained, objective, protocol):
    settings = {
        "fast": FAST.model_copy(update={"epochs": 1}),
        "paper": stitch_settings(epochs=6, batch=16, learning_rate=0.02),
    }[protocol]
    layers = {"sender_layers": [1, 3], "receiver_layers": [1, 3]}
    record = train_pair(trained, trained, digits, settings, objective=objective, study_seed=0, **layers).record
    accuracy, agreement = (
        np.stack([getattr(column, name) for column in record.columns], axis=1)
        for name in ("test_accuracy", "agreement")
    )
    assert record.attributes["objective"] == objective
    if protocol == "fast":  # from the identity, which least squares finds
        assert np.diagonal(agreement).min() > 0.9
    assert agreement.min() > 0.4 and accuracy.min() > 0.4


def test_agreement_is_counted_against_the_receivers_own_classes(few_digits, trained, random_networks):
    record = train_pair(random_networks[0], trained, few_digits, FAST, study_seed=0).record
    own = trained.logits(torch.from_numpy(few_digits.test.images).float() / 255).argmax(dim=1).numpy()
    for column in record.columns:
        np.testing.assert_allclose(column.agreement, (column.predictions == own).mean(axis=1), rtol=1e-12)
