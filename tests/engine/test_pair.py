import copy
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modelstitch.data.images import DeviceImages
from modelstitch.engine import pair as engine_pair
from modelstitch.engine.evaluation import Tally, cross_entropies, predict
from modelstitch.engine.grouping import GPU_BYTES, limit_of
from modelstitch.engine.pair import StitchedPair
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.beginning import Fit, trainable
from modelstitch.fitting.distillation import Teacher
from modelstitch.fitting.pair import column, train_pair
from modelstitch.fitting.training import take_step, train
from modelstitch.identifiers import NetworkId
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.optimisers import SGD
from modelstitch.schedule import warmup_cosine
from modelstitch.seeds import seed_of
from modelstitch.stitches.families.linear import LinearMap, Stitch, initialise
from modelstitch.stitches.geometry import Geometry, geometries
from tests import naive
from tests.settings import STITCHES, initialised, stitch_settings
from tests.stitches.made import identity

ORDER = ("the order of the images",)
GROUPS = [1, 16_384, 200_000, 2**40]  # one map; one of the largest; parts of a column or of a batch; whole columns


def new_stitches(sender, receiver, dtype=torch.float32, sender_layers=None, receiver_layers=None):
    """A fresh stitch for every cell, the same whatever cells are asked for."""
    sources, targets = FrozenNetwork(sender).shapes, FrozenNetwork(receiver).shapes
    rows = sender_layers or range(len(sender.layers))
    columns = receiver_layers or range(len(receiver.layers))
    stitches = {}
    for cell, geometry in geometries(sources, targets, rows, columns).items():
        made = initialise(geometry, seed_of(*cell))
        stitches[cell] = trainable(
            made.of(geometry, {name: each.to(dtype) for name, each in made.tensors.items()}), "cpu"
        )
    return stitches


def weights(stitch):
    """Weight and bias of a stitch of one map."""
    return stitch.maps[0]


def identities(network):
    """A stitch that changes nothing, at the image and at every layer."""
    shapes = FrozenNetwork(network).shapes
    return {(i, i): identity(Geometry.between(shape, shape)) for i, shape in shapes.items()}


def sgd(stitches, settings=STITCHES):
    """The paper's optimiser."""
    tensors = [tensor for stitch in stitches.values() for tensor in stitch.parameters]
    return SGD(tensors, settings.momentum, settings.weight_decay)


def engine(sender, receiver, stitches, dtype=torch.float32):
    return StitchedPair(FrozenNetwork(sender, dtype), FrozenNetwork(receiver, dtype), stitches)


class Crowded(FrozenNetwork):
    """A receiver on a device whose memory can't hold more than `most` representations in the suffix after `layer`.

    Exhausted on the way forward, or on the way `backward`, when the gradient of the whole suffix has been computed.
    """

    def __init__(self, network, layer, most, backward=False, dtype=torch.float64):
        super().__init__(network, dtype)
        self.layer, self.most, self.backward, self.failures = layer, most, backward, 0

    def suffix(self, layer, values):
        self.entered = weakref.ref(values)
        if layer == self.layer and len(values) > self.most:
            if not (self.backward and values.requires_grad):
                self.fail()
            values.register_hook(self.fail)
        return super().suffix(layer, values)

    def fail(self, *arguments):
        self.failures += 1
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def exact(network, dtype=torch.float64):
    """The network in another precision."""
    return replace(network, module=copy.deepcopy(network.module).to(dtype).eval())


def record(sender, receiver, dataset, sender_layers=None, receiver_layers=None, **changes):
    return train_pair(
        sender,
        receiver,
        dataset,
        stitch_settings(**changes),
        study_seed=0,
        sender_layers=sender_layers,
        receiver_layers=receiver_layers,
    )


def assert_same_column(one, other):
    for name in ("test_accuracy", "test_loss", "train_accuracy", "train_loss", "predictions", "diverged"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert (one.sender_layers, one.receiver_layer, one.reason) == (
        other.sender_layers,
        other.receiver_layer,
        other.reason,
    )


@pytest.fixture(scope="module")
def reference(few_digits, trained, random_networks):
    """A pair's record: trained R1111 to calibrated R1112, every cell."""
    return record(trained, random_networks[0], few_digits)


@pytest.mark.parametrize("limit", GROUPS)
@pytest.mark.parametrize("batch", [1, 29])
def test_logits_and_gradients_of_any_grouping_are_those_of_each_cell_alone(
    few_digits, trained, random_networks, limit, batch
):
    sender, receiver = exact(trained), exact(random_networks[0])
    images, labels = next(DeviceImages(few_digits, few_digits.train).in_order(batch))
    merged, alone = (new_stitches(sender, receiver, torch.float64) for _ in range(2))
    logits = {cell: torch.full((batch, 10), torch.nan) for cell in merged}
    pair = engine(sender, receiver, merged, torch.float64)
    pair.limit = limit
    for j, group, found in pair.passes(images):
        (cross_entropies(found, labels[group.images]).sum() / batch).backward()
        for i, cell_logits in zip(group.sender_layers, found, strict=True):
            logits[i, j][group.images] = cell_logits.detach()
    for cell, stitch in alone.items():
        expected = naive.stitched(sender, receiver, cell, stitch, images.double())
        F.cross_entropy(expected, labels).backward()
        torch.testing.assert_close(logits[cell].double(), expected.detach(), rtol=1e-5, atol=1e-5)
        for found, gradient in (
            (weights(merged[cell]).weight.grad, weights(stitch).weight.grad),
            (weights(merged[cell]).bias.grad, weights(stitch).bias.grad),
        ):
            torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("limit", GROUPS)
@pytest.mark.parametrize("reliabilities", [(0.75, 0.5), (0.25, 0.75), (0.75, 0.0), (0.0, 0.5)])
def test_cells_learn_soft_targets_by_reliability_until_they_are_as_good_and_losses_are_of_the_labels(
    few_digits, trained, random_networks, limit, reliabilities
):
    sender, receiver = exact(random_networks[0]), exact(trained)
    images, labels = next(DeviceImages(few_digits, few_digits.train).in_order(29))
    merged, alone = (new_stitches(sender, receiver, torch.float64, [0, 3], [1, 4]) for _ in range(2))
    pair = engine(sender, receiver, merged, torch.float64)
    pair.limit = limit
    teacher, tally = Teacher(pair.sender, pair.receiver, reliabilities, 4, "cpu"), Tally(list(pair.stitches), "cpu")
    teacher.margin[1] = 0.01
    take_step(pair, sgd(merged), images, labels, tally, teacher)
    tally.images = len(labels)
    hard = F.one_hot(labels, 10)
    with torch.no_grad():
        probabilities = [network.logits(images).softmax(dim=1) for network in (sender, receiver)]
    own = sum(reliability * one for reliability, one in zip(reliabilities, probabilities, strict=True)) / sum(
        reliabilities
    )
    soft = max(reliabilities) * own + (1 - max(reliabilities)) * hard
    for place, cell in enumerate(pair.stitches):
        logits = naive.stitched(sender, receiver, cell, alone[cell], images.double())
        (-((hard if place == 1 else soft) * logits.log_softmax(dim=1)).sum() / 29).backward()
        for found, expected in zip(weights(merged[cell]), weights(alone[cell]), strict=True):
            torch.testing.assert_close(found.grad, expected.grad, rtol=1e-4, atol=1e-6)
        assert tally.means()[0][place] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
        margin = 0.01 if place == 1 else 1.0
        behind = (own.argmax(dim=1) == labels).double().mean() - (logits.argmax(dim=1) == labels).double().mean()
        assert teacher.margin[place] == pytest.approx(0.95 * margin + 0.05 * behind.item(), abs=1e-6)


def test_an_image_of_which_a_network_overflows_is_taught_by_its_label(few_digits, trained):
    pair = engine(trained, trained, new_stitches(trained, trained, sender_layers=[2], receiver_layers=[4]))
    images, labels = next(DeviceImages(few_digits, few_digits.train).in_order(5))
    representations = {layer: maps.clone() for layer, maps in pair.represent(images).items()}
    representations[2][3] = torch.inf
    soft = Teacher(pair.sender, pair.receiver, (0.5, 0.5), 1, "cpu").soft_targets(images, labels, representations)
    assert soft.targets.isfinite().all()
    assert ((soft.targets == 1).sum(dim=1) == 1).tolist() == [False, False, False, True, False]


def test_a_cell_as_good_as_the_teacher_learns_from_the_labels_alone(few_digits, trained):
    """The identity in the last column is as good as the network, which is the teacher; a random stitch is far worse."""
    first = trained.layers[0].representation
    stitches = {(4, 4): identities(trained)[4, 4], (0, 0): initialise(Geometry.between(first, first), 0)}
    stitches = {cell: trainable(stitch, "cpu") for cell, stitch in stitches.items()}
    pair = engine(trained, trained, stitches)
    teacher = Teacher(pair.sender, pair.receiver, (0.9, 0.9), 2, "cpu")
    settings, images = stitch_settings(epochs=20, learning_rate=1e-9), DeviceImages(few_digits, few_digits.train)
    train(pair, images, settings, sgd(stitches, settings), ORDER, teacher=teacher)
    batch, labels = next(images.in_order())
    soft = teacher.soft_targets(batch, labels, pair.represent(batch))
    assert list(pair.stitches) == [(0, 0), (4, 4)] and soft.mask.tolist() == [1, 0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
@pytest.mark.parametrize(("epochs", "warmup_epochs"), [(1, 0.5), (0.6, 2.0)])
def test_merged_cells_equal_cells_trained_alone(
    few_digits, trained, random_networks, dtype, tolerance, epochs, warmup_epochs
):
    sender, receiver = (exact(network, dtype) for network in (trained, random_networks[0]))
    settings = stitch_settings(epochs=epochs, warmup_epochs=warmup_epochs)
    images = DeviceImages(few_digits, few_digits.train)
    merged, alone = (new_stitches(sender, receiver, dtype) for _ in range(2))
    optimiser = sgd(merged, settings)
    losses, accuracies = train(engine(sender, receiver, merged, dtype), images, settings, optimiser, ORDER)
    assert losses.shape == accuracies.shape == (1, 30)
    steps, warmup = round(7 * epochs), round(7 * warmup_epochs)
    batches = [
        (batch.to(dtype), labels, settings.learning_rate * warmup_cosine(step, steps, warmup))
        for step, (batch, labels) in zip(
            range(steps), images.shuffled(29, seed_of(*ORDER, 0), settings.augmentation), strict=False
        )
    ]
    for cell, loss in zip(sorted(alone, key=lambda cell: cell[::-1]), losses[0], strict=True):
        expected = naive.train_alone(
            sender, receiver, cell, alone[cell], batches, settings.momentum, settings.weight_decay
        )
        assert loss == pytest.approx(np.mean(expected), rel=tolerance)
        for found, reference in zip(weights(merged[cell]), weights(alone[cell]), strict=True):
            if dtype == torch.float64:
                torch.testing.assert_close(found, reference, rtol=tolerance, atol=tolerance)
            else:  # rounding decides about a ReLU here and there
                assert (found - reference).norm() <= 10 * tolerance * reference.norm()


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("layer", "most", "halvings"), [(0, 50, 1), (3, 50, 1), (3, 13, 3), (0, 1, 4)])
def test_exhausted_memory_changes_no_result(
    few_digits, trained, random_networks, caplog, backward, layer, most, halvings
):
    caplog.set_level("INFO")
    sender, receiver = exact(trained), exact(random_networks[0])
    images, settings = DeviceImages(few_digits, few_digits.train), stitch_settings()
    results = []
    for entered in (FrozenNetwork(receiver, torch.float64), Crowded(receiver, layer, most, backward)):
        stitches = new_stitches(sender, receiver, torch.float64, [1, 2, 4], [0, 3])
        pair = StitchedPair(FrozenNetwork(sender, torch.float64), entered, stitches)
        training = train(pair, images, settings, sgd(stitches, settings), ORDER)
        results.append((stitches, *training, *predict(pair, images)))
    assert entered.failures == halvings
    assert caplog.text.count("the largest tensor of a group has") == entered.failures
    assert pair.limit < 2**23 and pair.current_group is None
    (stitches, losses, accuracies, *evaluation), (others, other_losses, other_accuracies, *other_evaluation) = results
    np.testing.assert_allclose(losses, other_losses, rtol=1e-6)
    np.testing.assert_array_equal(accuracies, other_accuracies)
    np.testing.assert_allclose(evaluation[0], other_evaluation[0], rtol=1e-6)
    np.testing.assert_array_equal(evaluation[1], other_evaluation[1])
    for cell, stitch in stitches.items():
        for found, expected in zip(weights(others[cell]), weights(stitch), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("backward", [False, True])
def test_what_a_failed_step_holds_is_gone_before_it_is_taken_again(few_digits, trained, monkeypatch, backward):
    receiver = Crowded(trained, 3, 10, backward)
    stitches, gone = new_stitches(trained, trained, torch.float64, [1, 2], [0, 3]), []
    monkeypatch.setattr(engine_pair, "release_memory", lambda: gone.append(receiver.entered() is None))
    pair, tally = StitchedPair(FrozenNetwork(trained, torch.float64), receiver, stitches), Tally(list(stitches), "cpu")
    images, labels = next(DeviceImages(few_digits, few_digits.train).in_order(29))
    take_step(pair, sgd(stitches), images, labels, tally)
    assert gone == [True] * 2 and tally.loss.all()


def test_a_group_that_exhausts_the_memory_is_halved_once_and_stays_so(digits, trained):
    receiver = Crowded(trained, 2, 700)  # 500 images of each of 5 cells: 2,500, or 512 in 8 MiB, and half of 500
    stitches = new_stitches(trained, trained, torch.float64, receiver_layers=[2])
    pair = StitchedPair(FrozenNetwork(trained, torch.float64), receiver, stitches)
    images = DeviceImages(digits, digits.train)
    pair.limit = 2**40
    _, predictions = predict(pair, images)
    assert receiver.failures == 2 and predictions.shape == (5, 1437)
    groups = {group.size for _, group, _ in pair.passes(images.scaled(slice(500)))}
    assert groups == {500}


@pytest.mark.parametrize("what", ["a single representation", "the sender", "the optimiser", "soft targets"])
def test_memory_that_no_smaller_group_fits_says_what_to_lower(few_digits, trained, caplog, what):
    caplog.set_level("INFO")
    receiver = Crowded(trained, 3, 0 if what == "a single representation" else 2**40)
    stitches = new_stitches(trained, trained, torch.float64, [1, 2], [0, 3])
    pair = StitchedPair(FrozenNetwork(trained, torch.float64), receiver, stitches)
    optimiser, teacher = sgd(stitches), None
    if what == "the sender":
        pair.sender.representations = receiver.fail
    elif what == "the optimiser":
        optimiser.step = receiver.fail
    elif what == "soft targets":
        receiver.register_forward_pre_hook(receiver.fail)
        teacher = Teacher(pair.sender, receiver, (0.0, 0.5), len(stitches), "cpu")
    images, labels = next(DeviceImages(few_digits, few_digits.train).in_order(29))
    tally = Tally(list(stitches), "cpu")
    with pytest.raises(
        ModelstitchError, match=r"memory is exhausted: lower stitches\.task\.batch or the networks' size$"
    ):
        take_step(pair, optimiser, images, labels, tally, teacher)
    assert receiver.failures == (5 if what == "a single representation" else 1)  # of 58 representations, 29, 9, 3 and 1
    assert caplog.text.count("exhausted") == receiver.failures - 1
    assert not tally.loss.any()


@pytest.mark.parametrize("sender_layers", [[0], [1, 4]])
@pytest.mark.parametrize("gib", [0.001, 0.25, 1, 80])
def test_a_gpu_with_little_free_memory_gets_smaller_groups(trained, random_networks, monkeypatch, sender_layers, gib):
    monkeypatch.setattr(engine_pair, "free_memory", lambda device: round(gib * 2**30))
    pair = engine(trained, random_networks[0], new_stitches(trained, random_networks[0], sender_layers=sender_layers))
    images = torch.rand(100, 1, 32, 32)
    represented = sum(maps.nbytes for maps in pair.sender.representations(images, max(sender_layers)).values())
    list(pair.passes(images))
    assert pair.limit == limit_of(round(gib * 2**30), list(pair.suffixes.values()), represented)
    assert (pair.limit == GPU_BYTES) == (gib == 80)


def test_identity_stitch_gives_the_networks_own_accuracy(digits, trained):
    pair = engine(trained, trained, identities(trained))
    _, predictions = predict(pair, DeviceImages(digits, digits.test))
    accuracies = (predictions == digits.test.labels).mean(axis=1)
    assert accuracies.tolist() == [trained.about["accuracy"]] * 6  # the image and five layers


def test_the_last_column_is_a_linear_probe(few_digits, trained):
    geometry = Geometry.between(trained.layers[1].representation, trained.layers[4].representation)
    start, end = (initialise(geometry, seed) for seed in (0, 1))
    weight, bias = ((one + other) / 2 for one, other in zip(weights(start), weights(end), strict=True))
    middle = Stitch(geometry, (LinearMap(weight, bias),))
    images, labels = next(DeviceImages(few_digits, few_digits.test).in_order())
    logits = []
    for stitch in (start, middle, end):
        ((_, _, found),) = engine(trained, trained, {(1, 4): stitch}).passes(images)
        logits.append(found[0].detach())
    torch.testing.assert_close(logits[1], (logits[0] + logits[2]) / 2, rtol=1e-4, atol=1e-4)
    losses = [F.cross_entropy(found, labels) for found in logits]
    assert losses[1] < (losses[0] + losses[2]) / 2  # convex in the stitch


def test_a_second_run_is_bit_identical(few_digits, trained, random_networks, reference):
    again, stitches = record(trained, random_networks[0], few_digits)
    for found, expected in zip(again.columns, reference.record.columns, strict=True):
        assert_same_column(found, expected)
    for cell, expected in reference.stitches.items():
        assert all(map(torch.equal, weights(stitches[cell]), weights(expected)))
    before = reference.record.attributes
    assert {key for key in before if again.attributes[key] != before[key]} <= {
        "seconds",
        "processor_seconds",
        "images_per_second",
    }


def test_another_order_of_images_or_start_is_another_record(few_digits, trained, random_networks, reference):
    one = {"sender_layers": [0], "receiver_layers": [0]}
    stitches = train_pair(trained, random_networks[0], few_digits, STITCHES, study_seed=1, **one).stitches
    assert not torch.allclose(weights(stitches[0, 0]).weight, weights(reference.stitches[0, 0]).weight)


@pytest.mark.parametrize("layers", [1, 4])
def test_layers_split_in_blocks_give_the_same_record(few_digits, trained, random_networks, reference, layers):
    columns = []
    for first in range(0, 6, layers):
        block = range(6)[first : first + layers]
        columns += record(trained, random_networks[0], few_digits, receiver_layers=block).record.columns
    for found, expected in zip(columns, reference.record.columns, strict=True):
        assert_same_column(found, expected)


def test_a_cell_does_not_depend_on_the_cells_beside_it(few_digits, trained, random_networks, reference):
    alone = record(trained, random_networks[0], few_digits, sender_layers=[1, 3], receiver_layers=[2, 4])
    for cell, stitch in alone.stitches.items():
        for found, expected in zip(weights(stitch), weights(reference.stitches[cell]), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    last, expected = alone.record.columns[1], reference.record.columns[4]
    np.testing.assert_allclose(last.train_loss, expected.train_loss[[1, 3]], rtol=1e-4)
    assert (last.predictions != expected.predictions[[1, 3]]).mean() < 0.02


def test_a_diverged_cell_leaves_the_others_as_they_were(few_digits, trained, random_networks):
    receiver = random_networks[0]
    results = []
    for spoilt in (False, True):
        stitches = new_stitches(trained, receiver)
        if spoilt:
            weights(stitches[2, 3]).weight.data[0, 0] = torch.nan
        pair = engine(trained, receiver, stitches)
        losses, _ = train(pair, DeviceImages(few_digits, few_digits.train), STITCHES, sgd(stitches), ORDER)
        results.append((pair.stitches, losses, predict(pair, DeviceImages(few_digits, few_digits.test)).classes))
    (stitches, losses, predictions), (others, other_losses, other_predictions) = results
    spoilt = list(stitches).index((2, 3))
    assert np.isnan(other_losses[:, spoilt]).all()
    np.testing.assert_array_equal(np.delete(losses, spoilt, axis=1), np.delete(other_losses, spoilt, axis=1))
    np.testing.assert_array_equal(np.delete(predictions, spoilt, axis=0), np.delete(other_predictions, spoilt, axis=0))
    rest = [cell for cell in stitches if cell != (2, 3)]
    assert all(torch.equal(weights(stitches[cell]).weight, weights(others[cell]).weight) for cell in rest)


def test_a_diverged_cell_is_recorded_without_a_result_and_with_a_reason(few_digits, trained):
    diverging = record(trained, trained, few_digits, receiver_layers=[0], learning_rate=1e25, warmup_epochs=0)
    (found,) = diverging.record.columns
    assert found.diverged.all()
    assert np.isnan(found.test_accuracy).all() and np.isnan(found.train_accuracy).all()
    assert set(found.reason) == {"the training loss is not finite"}
    predictions = np.zeros((2, len(few_digits.test.labels)), dtype=np.int64)
    fit = Fit(dict.fromkeys([(0, 0), (1, 0)]), loss=np.ones((1, 2)), accuracy=np.ones((1, 2)), images=1)
    found = column(0, fit, np.array([1.0, np.inf]), predictions, few_digits.test.labels, few_digits)
    assert found.diverged.tolist() == [False, True]
    assert found.reason == ("", "the test loss is not finite")
    assert found.test_accuracy[0] == (few_digits.test.labels == 0).mean() and np.isnan(found.test_accuracy[1])


def test_two_random_networks_are_near_chance_and_two_trained_ones_are_not(digits, trained, random_networks):
    other = initialised(NetworkId("R1111", "random", 1), digits)
    by_chance, learned = (
        np.concatenate([each.test_accuracy for each in record(*pair, digits, epochs=0.5).record.columns])
        for pair in ((random_networks[1], other), (trained, trained))
    )
    assert by_chance.max() < 0.2 and 0.07 < by_chance.mean() < 0.13
    assert learned.mean() > 0.2 and learned[-1] > 0.5


def test_every_test_image_is_counted_and_every_accuracy_is_of_its_predictions(few_digits, reference):
    for found in reference.record.columns:
        assert found.test_images == 101 and found.predictions.shape == (5, 101)
        np.testing.assert_array_equal(found.test_accuracy, (found.predictions == few_digits.test.labels).mean(axis=1))


def test_more_images_than_a_batch_of_the_evaluation_are_predicted_in_order(digits, trained):
    images = DeviceImages(digits, digits.train)  # 1437 images: 500, 500 and 437
    loss, classes = predict(engine(trained, trained, {(2, 2): identities(trained)[2, 2]}), images)
    with torch.no_grad():
        logits = trained.logits(images.scaled(slice(None)))
    assert classes.shape == (1, 1437)
    assert (classes[0] != logits.argmax(dim=1).numpy()).sum() <= 1
    assert loss[0] == pytest.approx(F.cross_entropy(logits, images.labels).item(), rel=1e-4)


def test_a_part_of_an_epoch_is_that_many_steps(few_digits, trained):
    for epochs, rows, images in ((0.01, 1, 29), (0.3, 1, 2 * 29), (1.5, 2, 10 * 29), (2, 2, 14 * 29)):
        made = record(trained, trained, few_digits, sender_layers=[4], receiver_layers=[4], epochs=epochs).record
        assert made.columns[0].train_loss.shape == made.columns[0].train_accuracy.shape == (1, rows)
        assert made.attributes["train_images"] == images


def test_fewer_images_than_a_batch_are_refused(few_digits, trained):
    with pytest.raises(ModelstitchError, match=r"batch: 204 is more than the 203 training images"):
        record(trained, trained, few_digits, batch=204)


def test_the_order_in_which_layers_are_named_changes_nothing(few_digits, trained, random_networks, reference):
    orders = {"sender_layers": [4, 0, 2, 1, 3], "receiver_layers": [3, 1, 5, 0, 2, 4]}
    found = record(trained, random_networks[0], few_digits, **orders).record
    for one, expected in zip(found.columns, reference.record.columns, strict=True):
        assert_same_column(one, expected)


@pytest.mark.parametrize("layer", [5, -2])
def test_a_layer_that_a_network_has_not_is_refused(few_digits, trained, layer):
    with pytest.raises(ModelstitchError, match=rf"R1111_trained_s0 has no layer {layer}: it has 5, 0 to 4"):
        record(trained, trained, few_digits, sender_layers=[0], receiver_layers=[layer])


def test_any_two_networks_make_a_record_their_accuracy_left_out_where_nobody_knows_it(few_digits, trained):
    unnamed = replace(trained, name="mine", about={})
    attributes = record(trained, unnamed, few_digits, sender_layers=[0], receiver_layers=[0]).record.attributes
    assert attributes["receiver"] == "mine" and np.isnan(attributes["receiver_accuracy"])
    assert attributes["sender_accuracy"] == trained.about["accuracy"]


def test_stitches_are_handed_over_without_gradients(reference):
    assert not any(tensor.requires_grad for stitch in reference.stitches.values() for tensor in weights(stitch))
