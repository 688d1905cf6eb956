import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import cohen_kappa_score

from modelstitch.data.images import DeviceImages
from modelstitch.engine import stitching
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.fitting import distillation, pairs, protocols, schedule
from modelstitch.networks.small_resnet import build
from modelstitch.stitches.linear import Geometry
from tests import naive
from tests.settings import FAST, stitch_settings


def test_the_papers_rates_warm_up_and_follow_a_cosine():
    rates = protocols.rates(stitch_settings(learning_rate=0.01, warmup_epochs=0.5), 16, 8)
    assert rates[:4] == [0.0025, 0.005, 0.0075, 0.01] and rates[4:] == sorted(rates[4:], reverse=True)


def test_the_fast_rates_fall_linearly():
    assert protocols.rates(FAST, 4, 8) == pytest.approx([0.1, 0.075, 0.05, 0.025])


def fast_record(sender, receiver, dataset, sender_layers=None, receiver_layers=None, **changes):
    return pairs.train_pair(
        sender,
        receiver,
        dataset,
        FAST.model_copy(update=changes),
        study_seed=0,
        sender_layers=sender_layers or range(len(sender.layers)),
        receiver_layers=receiver_layers or range(len(receiver.layers)),
    )


def test_a_cell_of_the_fast_protocol_does_not_depend_on_the_cells_beside_it(few_digits, trained, random_networks):
    columns, weights, _ = fast_record(trained, random_networks[0], few_digits)
    again, _, _ = fast_record(trained, random_networks[0], few_digits)
    for one, other in zip(columns, again, strict=True):
        np.testing.assert_array_equal(one.predictions, other.predictions)
        np.testing.assert_array_equal(one.train_loss, other.train_loss)
    _, alone, _ = fast_record(trained, random_networks[0], few_digits, sender_layers=[3], receiver_layers=[2])
    for name, value in alone.items():
        torch.testing.assert_close(value, weights[name], rtol=1e-2, atol=1e-3)


def test_the_fast_protocol_beats_the_papers_on_as_many_images(digits, trained):
    accuracies = [
        np.stack([column.test_accuracy for column in record[0]])
        for record in (
            fast_record(trained, trained, digits, epochs=0.5),
            pairs.train_pair(
                trained,
                trained,
                digits,
                stitch_settings(epochs=0.5, learning_rate=0.02),
                study_seed=0,
                sender_layers=range(5),
                receiver_layers=range(5),
            ),
        )
    ]
    assert accuracies[0].mean() > accuracies[1].mean() + 0.1
    assert abs(np.diagonal(accuracies[0]) - trained.about["accuracy"]).max() < 0.05


def test_the_start_is_the_nearest_stitch_to_the_expected_representation(few_digits, trained):
    """A network stitched to itself starts from the identity, so its first loss is its own."""
    frozen = FrozenNetwork(trained)
    shapes = frozen.shapes((1, 32, 32))
    images = DeviceImages(few_digits, few_digits.train)
    cells = {(i, i): Geometry.between(shape, shape) for i, shape in shapes.items()}
    stitches, *_ = protocols.begin(FAST, frozen, frozen, cells, images, (0,))
    batch, labels = next(images.in_order())
    with torch.no_grad():
        own = F.cross_entropy(trained.eval()(batch), labels)
        for cell, stitch in stitches.items():
            loss = F.cross_entropy(naive.stitched(trained, trained, cell, stitch, batch), labels)
            assert loss == pytest.approx(own.item(), rel=0.05)


def test_stitches_learn_from_the_networks_as_far_as_they_beat_guessing(digits, trained, random_networks):
    images = DeviceImages(digits, digits.train)
    shapes = FrozenNetwork(trained).shapes((1, 32, 32))
    cells = {(4, 4): Geometry.between(shapes[4], shapes[4])}
    broken = build("R1111", 4, 1, 10, seed=0).eval()
    for weight in (broken.layers[2].conv2.weight, broken.layers[2].norm2.weight):
        weight.data.mul_(1e30)
    kappas, indices = {}, torch.arange(len(images))
    networks = {"trained": trained, "random": build("R1111", 4, 1, 10, seed=1).eval(), "broken": broken}
    for name, network in networks.items():
        frozen = FrozenNetwork(network)
        with torch.no_grad():
            logits = network.eval()(images.normalised(indices))
        finite = logits.isfinite().all()
        kappas[name] = max(0.0, cohen_kappa_score(logits.argmax(dim=1), images.labels)) if finite else 0.0
        assert distillation.reliability(frozen, images, indices) == pytest.approx(kappas[name], abs=2e-3)
    assert kappas["trained"] > 0.8 > distillation.GUESSING > kappas["random"] >= kappas["broken"] == 0
    for sender in networks:
        for receiver in networks:
            pair = [FrozenNetwork(networks[name]) for name in (sender, receiver)]
            teacher = protocols.begin(FAST, *pair, cells, images, (0,)).teacher
            believed = [network for network, name in zip(pair, (sender, receiver), strict=True) if name == "trained"]
            assert believed == ([network for network, _ in teacher.believed] if teacher else [])
            assert not teacher or teacher.share == pytest.approx(kappas["trained"], abs=0.03)
    both = [FrozenNetwork(trained)] * 2
    assert protocols.begin(stitch_settings(), *both, cells, images, (0,)).teacher is None


def test_steps_are_longer_the_less_a_receiver_knows(digits, trained, random_networks):
    images = DeviceImages(digits, digits.train)
    shapes = FrozenNetwork(trained).shapes((1, 32, 32))
    cells = {(4, 4): Geometry.between(shapes[4], shapes[4])}
    stretches = []
    for receiver in (trained, random_networks[0]):
        _, optimiser, _ = protocols.begin(FAST, FrozenNetwork(trained), FrozenNetwork(receiver), cells, images, (0,))
        stretches.append(optimiser.stretch)
    assert 1 <= stretches[0] < 1.1 and 8 < stretches[1] <= 10
    assert protocols.stretch(0) == 10 and protocols.stretch(1) == 1


@pytest.mark.parametrize("classes", [1, 2])
def test_a_receiver_that_always_says_the_same_is_not_believed(few_digits, trained, classes):
    """Nine of ten labels are what it says, or all."""
    images = DeviceImages(few_digits, few_digits.train)
    images.labels = (torch.arange(len(images)) % 10 == 0).long() * (classes - 1)
    network = build("R1111", 4, 1, classes, seed=0).eval()
    network.head.weight.data.zero_()
    network.head.bias.data[:1] = 1.0
    assert distillation.reliability(FrozenNetwork(network), images, torch.arange(100)) == 0


def test_fit_asks_the_receiver_in_every_step(few_digits, trained):
    receiver, asked = FrozenNetwork(trained), []
    receiver.register_forward_hook(lambda *_: asked.append(True))
    shape = receiver.shapes((1, 32, 32))[4]
    images = DeviceImages(few_digits, few_digits.train)
    stitching.fit(FrozenNetwork(trained), receiver, {(4, 4): Geometry.between(shape, shape)}, images, FAST, (0,), "")
    assert len(asked) == 1 + schedule.count_steps(FAST, len(images))  # once for its reliability


def test_a_network_that_overflows_starts_at_random_and_spoils_no_other_cell(few_digits, trained):
    sender = build("R1111", 4, 1, 10, seed=0).eval()
    sender.about = {"network": "R1111_random_s9", "accuracy": 0.1}
    sender.layers[2].conv2.weight.data.mul_(1e30)
    sender.layers[2].norm2.weight.data.mul_(1e30)
    columns, _, _ = fast_record(sender, trained, few_digits)
    for column in columns:
        assert column.diverged.tolist() == [False, False, True, True, True]
