from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import cohen_kappa_score

from modelstitch.config.families import BatchNorm, Convolution, Orthogonal, Permutation, Resized
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.fitting import distillation
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.objectives import task
from modelstitch.fitting.pair import train_pair
from modelstitch.fitting.protocols import adam, fast, paper
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.schedule import count_steps
from modelstitch.stitches.geometry import Geometry
from tests import naive
from tests.settings import ADAM, FAST, small_resnet, stitch_settings


def test_the_papers_rates_warm_up_and_follow_a_cosine():
    settings = stitch_settings(learning_rate=0.01, warmup_epochs=0.5)
    rates = [paper.rate(settings, step, 16, 8) for step in range(16)]
    assert rates[:4] == [0.0025, 0.005, 0.0075, 0.01] and rates[4:] == sorted(rates[4:], reverse=True)


def test_the_fast_rates_fall_linearly():
    assert [fast.rate(FAST, step, 4, 8) for step in range(4)] == pytest.approx([0.1, 0.075, 0.05, 0.025])


def fast_pair(sender, receiver, dataset, sender_layers=None, receiver_layers=None, **changes):
    settings = FAST.model_copy(update=changes)
    return train_pair(
        sender,
        receiver,
        dataset,
        settings,
        study_seed=0,
        sender_layers=sender_layers,
        receiver_layers=receiver_layers,
    )


def test_a_cell_of_the_fast_protocol_does_not_depend_on_the_cells_beside_it(few_digits, trained, random_networks):
    record, stitches = fast_pair(trained, random_networks[0], few_digits)
    again = fast_pair(trained, random_networks[0], few_digits).record
    for one, other in zip(record.columns, again.columns, strict=True):
        np.testing.assert_array_equal(one.predictions, other.predictions)
        np.testing.assert_array_equal(one.train_loss, other.train_loss)
    alone = fast_pair(trained, random_networks[0], few_digits, sender_layers=[3], receiver_layers=[2]).stitches
    assert list(alone) == [(3, 2)]
    for name, value in alone[3, 2].tensors.items():
        torch.testing.assert_close(value, stitches[3, 2].tensors[name], rtol=1e-2, atol=1e-3)


def test_the_fast_protocol_beats_the_papers_on_as_many_images(digits, trained):
    settings = stitch_settings(epochs=0.5, learning_rate=0.02)
    by_fast = fast_pair(trained, trained, digits, epochs=0.5).record
    by_paper = train_pair(trained, trained, digits, settings, study_seed=0).record
    fast_accuracy, paper_accuracy = (
        np.stack([column.test_accuracy for column in record.columns]) for record in (by_fast, by_paper)
    )
    assert fast_accuracy.mean() > paper_accuracy.mean() + 0.1
    assert abs(np.diagonal(fast_accuracy) - trained.about["accuracy"]).max() < 0.05


def test_the_start_is_the_nearest_stitch_to_the_expected_representation(few_digits, trained):
    """A network stitched to itself starts from the identity, so its first loss is its own."""
    frozen = FrozenNetwork(trained)
    images = DeviceImages(few_digits, few_digits.train)
    geometries = {
        (layer.index, layer.index): Geometry.between(layer.representation, layer.representation)
        for layer in trained.layers
    }
    stitches = fast.begin(FitInputs(frozen, frozen, geometries, images, FAST, (0,))).stitches
    batch, labels = next(images.in_order())
    with torch.no_grad():
        own = F.cross_entropy(trained.logits(batch), labels)
        for cell, stitch in stitches.items():
            loss = F.cross_entropy(naive.stitched(trained, trained, cell, stitch, batch), labels)
            assert loss == pytest.approx(own.item(), rel=0.05)


def last_cell(network):
    """The geometry of the last layer's stitch to itself."""
    layer = network.layers[-1]
    return {(layer.index, layer.index): Geometry.between(layer.representation, layer.representation)}


def overflowing():
    """A network that gives infinities from its third layer on."""
    network = small_resnet()
    for weight in (network.module.layers[2].conv2.weight, network.module.layers[2].norm2.weight):
        weight.data.mul_(1e30)
    return network


def test_stitches_learn_from_the_networks_as_far_as_they_beat_guessing(digits, trained):
    images = DeviceImages(digits, digits.train)
    geometries = last_cell(trained)
    torch.manual_seed(1)
    kappas, indices = {}, torch.arange(len(images))
    networks = {"trained": trained, "random": small_resnet(), "broken": overflowing()}
    for name, network in networks.items():
        frozen = FrozenNetwork(network)
        with torch.no_grad():
            logits = network.logits(images.scaled(indices))
        finite = logits.isfinite().all()
        kappas[name] = max(0.0, cohen_kappa_score(logits.argmax(dim=1), images.labels)) if finite else 0.0
        assert distillation.reliability(frozen, images, indices) == pytest.approx(kappas[name], abs=2e-3)
    assert kappas["trained"] > 0.8 > distillation.LEAST_RELIABILITY > kappas["random"] >= kappas["broken"] == 0
    for sender in networks:
        for receiver in networks:
            pair = [FrozenNetwork(networks[name]) for name in (sender, receiver)]
            teacher = fast.begin(FitInputs(*pair, geometries, images, FAST, (0,))).teacher
            expected = [network for network, name in zip(pair, (sender, receiver), strict=True) if name == "trained"]
            assert expected == ([network for network, _ in teacher.weights] if teacher else [])
            assert not teacher or teacher.share == pytest.approx(kappas["trained"], abs=0.03)
    both = [FrozenNetwork(trained)] * 2
    assert paper.begin(FitInputs(*both, geometries, images, stitch_settings(), (0,))).teacher is None


def test_steps_are_longer_the_less_a_receiver_knows(digits, trained, random_networks):
    images = DeviceImages(digits, digits.train)
    stretches = []
    for receiver in (trained, random_networks[0]):
        pair = FrozenNetwork(trained), FrozenNetwork(receiver)
        stretches.append(fast.begin(FitInputs(*pair, last_cell(trained), images, FAST, (0,))).optimiser.stretch)
    assert 1 <= stretches[0] < 1.1 and 8 < stretches[1] <= 10
    assert fast.stretch(0) == 10 and fast.stretch(1) == 1


@pytest.mark.parametrize("classes", [1, 2])
def test_a_receiver_that_always_says_the_same_is_no_teacher(few_digits, classes):
    """Nine of ten labels are what it says, or all."""
    images = DeviceImages(few_digits, few_digits.train)
    images.labels = (torch.arange(len(images)) % 10 == 0).long() * (classes - 1)
    network = small_resnet(classes=classes)
    network.module.head.weight.data.zero_()
    network.module.head.bias.data[:1] = 1.0
    assert distillation.reliability(FrozenNetwork(network), images, torch.arange(100)) == 0


def test_fit_asks_the_receiver_in_every_step(few_digits, trained):
    receiver, asked = FrozenNetwork(trained), []
    receiver.register_forward_hook(lambda *_: asked.append(True))
    images = DeviceImages(few_digits, few_digits.train)
    task.fit(FitInputs(FrozenNetwork(trained), receiver, last_cell(trained), images, FAST, (0,), ""))
    assert len(asked) == 1 + count_steps(FAST.epochs, FAST.batch, len(images))  # once for its reliability


@pytest.mark.parametrize(
    "family", [Convolution(name="convolution", kernel=3), Resized(name="resized", mode="bilinear")]
)
def test_the_fast_protocol_moves_linear_maps_of_other_geometries(digits, trained, family):
    record = fast_pair(trained, trained, digits, [1], [1, 2], family=family).record
    for column in record.columns:
        assert column.test_accuracy[0] > 0.7 and column.train_loss[0, -1] < 1


def test_the_fast_protocol_refuses_maps_of_other_parameters(few_digits, trained):
    with pytest.raises(ModelstitchError, match="expected family linear, convolution or resized, or protocol adam"):
        fast_pair(trained, trained, few_digits, family=Orthogonal(name="orthogonal"))


@pytest.mark.parametrize("settings", [stitch_settings(warmup_epochs=0), ADAM], ids=["paper", "adam"])
@pytest.mark.parametrize("family", [Permutation(name="permutation"), BatchNorm(name="batch-norm")])
def test_what_training_does_not_move_comes_from_least_squares_whatever_the_start(few_digits, trained, settings, family):
    """A permutation to the same layer of the same network is the identity; a mean is that of the training images."""
    settings = settings.model_copy(update={"family": family, "start": "random"})
    cells = {"sender_layers": [4], "receiver_layers": [4]}
    stitch = train_pair(trained, trained, few_digits, settings, study_seed=0, **cells).stitches[4, 4]
    frozen, images = FrozenNetwork(trained), DeviceImages(few_digits, few_digits.train)
    values = frozen.representations(images.scaled(slice(None)))[4].movedim(1, -1).flatten(0, -2)
    if family.name == "permutation":
        alive = values.std(dim=0) > 1e-3
        assert torch.equal(stitch.parts[0].source[alive], torch.arange(values.shape[1])[alive])
    else:
        torch.testing.assert_close(stitch.parts[0].mean, values.mean(dim=0), rtol=1e-3, atol=1e-4)


def test_the_rates_of_adam_follow_a_cosine():
    rates = [adam.rate(ADAM, step, 4, 8) for step in range(5)]
    assert rates == pytest.approx([0.001 * (1 + np.cos(np.pi * step / 4)) / 2 for step in range(5)])


def test_a_network_that_overflows_starts_at_random_and_spoils_no_other_cell(few_digits, trained):
    sender = replace(overflowing(), name="R1111_random_s9", about={"accuracy": 0.1})
    for column in fast_pair(sender, trained, few_digits).record.columns:
        assert column.diverged.tolist() == [False, False, True, True, True]


def test_training_needs_a_batch_of_images(few_digits, trained):
    settings = stitch_settings(batch=204)
    with pytest.raises(ModelstitchError, match="203"):
        train_pair(trained, trained, few_digits, settings, study_seed=0)
