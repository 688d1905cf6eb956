"""Noise, one cluster per class, as the sender: what it gives, and what a receiver's last layers make of it."""

import numpy as np
import pandas as pd
import pytest
import torch

from modelstitch.config.measures import ClusteredNoise
from modelstitch.errors import ModelstitchError
from modelstitch.figures import clustered_noise as figure
from modelstitch.measures import clustered_noise
from modelstitch.measures.clustered_noise import DEVIATION, MEAN, NoiseSender, measure, of_every_class
from modelstitch.networks.representations import Representation

SETTINGS = ClusteredNoise(sigmas=[0.1, 1], train_images=40, test_images=10, epochs=3, batch=40, learning_rate=0.1)


def given(sigma, classes, seed=0):
    """What a layer of 2 channels, 30 x 40, gives of images of these classes, back in 0 .. 1."""
    sender = NoiseSender({0: Representation(2, 30, 40)}, {0: sigma}, 3, torch.float32, "cpu", seed)
    images = torch.tensor(classes, dtype=torch.float32).reshape(-1, 1, 1, 1)
    return sender.representations(images)[0] * DEVIATION + MEAN


def test_a_class_has_one_uniform_tensor_and_noise_about_it_within_0_and_1():
    exact = given(0, [0, 2, 0, 1])
    assert exact.shape == (4, 2, 30, 40)
    assert torch.equal(exact[0], exact[2]) and not torch.equal(exact[0], exact[1])
    assert exact.min() >= 0 and exact.max() <= 1
    assert exact[0].mean().item() == pytest.approx(0.5, abs=0.02)
    assert exact[0].std().item() == pytest.approx(12**-0.5, abs=0.02)
    noisy = given(0.1, [0] * 200)
    inside = (exact[0] > 0.4) & (exact[0] < 0.6)  # four deviations from where noise is clipped
    assert noisy[:, inside].mean().item() == pytest.approx(exact[0][inside].mean().item(), abs=0.002)
    assert noisy[:, inside].std(dim=0).mean().item() == pytest.approx(0.1, rel=0.05)
    assert noisy.min() >= -1e-6 and noisy.max() <= 1 + 1e-6


def test_later_layers_are_not_made_where_nobody_sees_them():
    shapes = {layer: Representation(2, 1, 1) for layer in range(3)}
    sender = NoiseSender(shapes, dict.fromkeys(shapes, 1.0), 2, torch.float32, "cpu", 0)
    assert list(sender.representations(torch.zeros(1, 1, 1, 1), 1)) == [0, 1]


def test_every_class_has_as_many_images_that_hold_its_number():
    split = of_every_class(3, 2)
    assert split.labels.tolist() == [0, 0, 1, 1, 2, 2] and split.images.dtype == np.float32
    np.testing.assert_array_equal(split.images.reshape(-1), split.labels)


def test_the_last_layer_serves_clusters_of_any_labelling_and_no_network_stands_behind(trained, digits):
    found = measure(trained, digits, SETTINGS, study_seed=0)
    assert tuple(found.columns) == clustered_noise.COLUMNS
    assert found.receiver_layer.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] and set(found.sigma) == {0.1, 1.0}
    assert set(found.test_images) == {100}
    last = found[(found.receiver_layer == 4) & (found.sigma == 0.1)].iloc[0]
    assert last.accuracy > 0.95 and last.remapped_accuracy > 0.95
    np.testing.assert_allclose(found.excess_over_remapped, found.accuracy - found.remapped_accuracy)
    pd.testing.assert_frame_equal(found, measure(trained, digits, SETTINGS, study_seed=0))
    networks = pd.DataFrame({"network": [trained.name], "seed": [0], "accuracy": [0.9], "classes": [10]})
    axes = figure.draw(found, networks).axes[1]
    lines = axes.get_lines()
    assert axes.get_title() == trained.name.replace("_", " ").removesuffix(" s0")
    np.testing.assert_array_equal(lines[0].get_ydata(), found.accuracy[found.sigma == 0.1])


def test_a_cell_that_left_the_finite_numbers_has_no_accuracy(trained, digits):
    found = measure(trained, digits, SETTINGS.model_copy(update={"learning_rate": 1e30}), study_seed=0)
    assert found.accuracy.isna().all() and found.remapped_accuracy.isna().all()


def test_a_batch_needs_as_many_images(trained, digits):
    with pytest.raises(ModelstitchError, match="batch: 500 is more than the 400 training images"):
        measure(trained, digits, SETTINGS.model_copy(update={"batch": 500}), study_seed=0)
