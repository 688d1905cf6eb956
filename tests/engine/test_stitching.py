import copy
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modelstitch.data.images import DeviceImages
from modelstitch.engine import stitching
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.engine.grouping import GPU_MAP_BYTES, map_limit
from modelstitch.engine.stitching import StitchedPair, Tally
from modelstitch.errors import ModelstitchError
from modelstitch.fitting import pairs, protocols
from modelstitch.fitting.distillation import Teacher
from modelstitch.fitting.schedule import warmup_cosine
from modelstitch.identifiers import NetworkId
from modelstitch.seeds import seed_of
from modelstitch.stitches.linear import Geometry, identity, initialise
from tests import naive
from tests.settings import initialised, stitch_settings

ORDER = ("the order of the images",)
GROUPS = [1, 16_384, 200_000, 2**40]  # one map; one of the largest; parts of a column or of a batch; whole columns


def new_stitches(sender, receiver, dtype=torch.float32, sender_layers=None, receiver_layers=None):
    """A fresh stitch for every cell, the same whatever cells are asked for."""
    image = (1, 32, 32)
    sources, targets = FrozenNetwork(sender).shapes(image), FrozenNetwork(receiver).shapes(image)
    stitches = {}
    for i in sender_layers or range(len(sender.layers)):
        for j in receiver_layers or range(len(receiver.layers)):
            stitch = initialise(Geometry.between(sources[i], targets[j]), seed_of(i, j))
            weight, bias = (tensor.detach().to(dtype).requires_grad_() for tensor in stitch[:2])
            stitches[i, j] = stitch._replace(weight=weight, bias=bias)
    return stitches


def engine(sender, receiver, stitches, dtype=torch.float32):
    return StitchedPair(FrozenNetwork(sender, dtype), FrozenNetwork(receiver, dtype), stitches)


class Crowded(FrozenNetwork):
    """A receiver on a device whose memory can't hold more than `most` maps in the suffix after `layer`.

    Exhausted on the way forward, or on the way `backward`, when the gradient of the whole suffix has been computed.
    """

    def __init__(self, network, layer, most, backward=False, dtype=torch.float64):
        super().__init__(network, dtype)
        self.layer, self.most, self.backward, self.failures = layer, most, backward, 0

    def suffix(self, layer, maps):
        self.maps = weakref.ref(maps)
        if layer == self.layer and len(maps) > self.most:
            if not (self.backward and maps.requires_grad):
                self.fail()
            maps.register_hook(self.fail)
        return super().suffix(layer, maps)

    def fail(self, *arguments):
        self.failures += 1
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def exact(network):
    return copy.deepcopy(network).double().eval()


def record(sender, receiver, dataset, sender_layers=None, receiver_layers=None, **changes):
    return pairs.train_pair(
        sender,
        receiver,
        dataset,
        stitch_settings(**changes),
        study_seed=0,
        sender_layers=sender_layers or range(len(sender.layers)),
        receiver_layers=receiver_layers or range(len(receiver.layers)),
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


@pytest.mark.parametrize("largest_map", GROUPS)
@pytest.mark.parametrize("batch", [1, 29])
def test_logits_and_gradients_of_any_grouping_are_those_of_each_cell_alone(
    few_digits, trained, random_networks, largest_map, batch
):
    sender, receiver = exact(trained), exact(random_networks[0])
    images, labels = next(DeviceImages(few_digits, few_digits.train, dtype=torch.float64).in_order())
    images, labels = images[:batch], labels[:batch]
    merged, alone = (new_stitches(sender, receiver, torch.float64) for _ in range(2))
    logits = {cell: torch.full((batch, 10), torch.nan) for cell in merged}
    pair = engine(sender, receiver, merged, torch.float64)
    pair.largest_map = largest_map
    for j, group, found in pair.passes(images):
        (stitching.cross_entropies(found, labels[group.images]).sum() / batch).backward()
        for i, cell_logits in zip(group.sender_layers, found, strict=True):
            logits[i, j][group.images] = cell_logits.detach()
    for cell, stitch in alone.items():
        expected = naive.stitched(sender, receiver, cell, stitch, images)
        F.cross_entropy(expected, labels).backward()
        torch.testing.assert_close(logits[cell].double(), expected.detach(), rtol=1e-5, atol=1e-5)
        for found, gradient in (
            (merged[cell].weight.grad, stitch.weight.grad),
            (merged[cell].bias.grad, stitch.bias.grad),
        ):
            torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("largest_map", GROUPS)
@pytest.mark.parametrize("reliabilities", [(0.75, 0.5), (0.25, 0.75), (0.75, 0.0), (0.0, 0.5)])
def test_cells_that_listen_learn_what_reliable_networks_say_and_losses_are_of_the_labels(
    few_digits, trained, random_networks, largest_map, reliabilities
):
    sender, receiver = exact(random_networks[0]), exact(trained)
    images, labels = next(DeviceImages(few_digits, few_digits.train, dtype=torch.float64).in_order())
    images, labels = images[:29], labels[:29]
    merged, alone = (new_stitches(sender, receiver, torch.float64, [0, 3], [1, 4]) for _ in range(2))
    pair = engine(sender, receiver, merged, torch.float64)
    pair.largest_map = largest_map
    teacher, tally = Teacher(pair.sender, pair.receiver, reliabilities, 4, "cpu"), Tally(list(pair.stitches), "cpu")
    teacher.lead[1] = 0.01
    stitching.take_step(pair, protocols.sgd(merged, stitch_settings()), images, labels, tally, teacher)
    hard = F.one_hot(labels, 10)
    with torch.no_grad():
        said = [network(images).softmax(dim=1) for network in (sender, receiver)]
    own = sum(reliability * one for reliability, one in zip(reliabilities, said, strict=True)) / sum(reliabilities)
    soft = max(reliabilities) * own + (1 - max(reliabilities)) * hard
    for place, cell in enumerate(pair.stitches):
        logits = naive.stitched(sender, receiver, cell, alone[cell], images)
        (-((hard if place == 1 else soft) * logits.log_softmax(dim=1)).sum() / 29).backward()
        for found, expected in zip(merged[cell][:2], alone[cell][:2], strict=True):
            torch.testing.assert_close(found.grad, expected.grad, rtol=1e-4, atol=1e-6)
        assert tally.means()[0][place] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
        lead = 0.01 if place == 1 else 1.0
        behind = (own.argmax(dim=1) == labels).double().mean() - (logits.argmax(dim=1) == labels).double().mean()
        assert teacher.lead[place] == pytest.approx(0.95 * lead + 0.05 * behind.item(), abs=1e-6)


def test_an_image_of_which_a_network_overflows_is_taught_by_its_label(few_digits, trained):
    pair = engine(trained, trained, new_stitches(trained, trained, sender_layers=[2], receiver_layers=[4]))
    images, labels = next(DeviceImages(few_digits, few_digits.train).in_order(5))
    representations = {layer: maps.clone() for layer, maps in pair.represent(images).items()}
    representations[2][3] = torch.inf
    lesson = Teacher(pair.sender, pair.receiver, (0.5, 0.5), 1, "cpu").lesson(images, labels, representations)
    assert lesson.labels.isfinite().all()
    assert ((lesson.labels == 1).sum(dim=1) == 1).tolist() == [False, False, False, True, False]


def test_a_cell_as_good_as_the_teacher_stops_listening(few_digits, trained):
    """The identity in the last column is as good as the network, which is the teacher; a random stitch is far worse."""
    shapes = FrozenNetwork(trained).shapes((1, 32, 32))
    stitches = {(4, 4): identity(shapes[4]), (0, 0): initialise(Geometry.between(shapes[0], shapes[0]), 0)}
    for tensor in stitches[4, 4][:2]:
        tensor.requires_grad_()
    pair = engine(trained, trained, stitches)
    teacher = Teacher(pair.sender, pair.receiver, (0.9, 0.9), 2, "cpu")
    settings, images = stitch_settings(epochs=20, learning_rate=1e-9), DeviceImages(few_digits, few_digits.train)
    stitching.train(pair, images, settings, protocols.sgd(stitches, settings), ORDER, teacher=teacher)
    batch, labels = next(images.in_order())
    lesson = teacher.lesson(batch, labels, pair.represent(batch))
    assert list(pair.stitches) == [(0, 0), (4, 4)] and lesson.heard.tolist() == [1, 0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
@pytest.mark.parametrize(("epochs", "warmup_epochs"), [(1, 0.5), (0.6, 2.0)])
def test_merged_cells_equal_cells_trained_alone(
    few_digits, trained, random_networks, dtype, tolerance, epochs, warmup_epochs
):
    sender, receiver = (exact(network).to(dtype) for network in (trained, random_networks[0]))
    settings = stitch_settings(epochs=epochs, warmup_epochs=warmup_epochs)
    images = DeviceImages(few_digits, few_digits.train, dtype=dtype)
    merged, alone = (new_stitches(sender, receiver, dtype) for _ in range(2))
    optimiser = protocols.sgd(merged, settings)
    losses, accuracies = stitching.train(engine(sender, receiver, merged, dtype), images, settings, optimiser, ORDER)
    assert losses.shape == accuracies.shape == (1, 30)
    steps, warmup = round(7 * epochs), round(7 * warmup_epochs)
    batches = [
        (batch, labels, settings.learning_rate * warmup_cosine(step, steps, warmup))
        for step, (batch, labels) in zip(
            range(steps), images.shuffled(29, seed_of(*ORDER, 0), settings.augmentation), strict=False
        )
    ]
    for cell, loss in zip(sorted(alone, key=lambda cell: cell[::-1]), losses[0], strict=True):
        expected = naive.train_alone(
            sender, receiver, cell, alone[cell], batches, settings.momentum, settings.weight_decay
        )
        assert loss == pytest.approx(np.mean(expected), rel=tolerance)
        for found, reference in zip(merged[cell][:2], alone[cell][:2], strict=True):
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
    images, settings = DeviceImages(few_digits, few_digits.train, dtype=torch.float64), stitch_settings()
    results = []
    for entered in (FrozenNetwork(receiver, torch.float64), Crowded(receiver, layer, most, backward)):
        stitches = new_stitches(sender, receiver, torch.float64, [1, 2, 4], [0, 3])
        pair = StitchedPair(FrozenNetwork(sender, torch.float64), entered, stitches)
        training = stitching.train(pair, images, settings, protocols.sgd(stitches, settings), ORDER)
        results.append((stitches, *training, *stitching.predict(pair, images)))
    assert entered.failures == halvings
    assert caplog.text.count("the largest map of a group is") == entered.failures
    assert pair.largest_map < 2**23 and pair.current_group is None
    (stitches, losses, accuracies, *evaluation), (others, other_losses, other_accuracies, *other_evaluation) = results
    np.testing.assert_allclose(losses, other_losses, rtol=1e-6)
    np.testing.assert_array_equal(accuracies, other_accuracies)
    np.testing.assert_allclose(evaluation[0], other_evaluation[0], rtol=1e-6)
    np.testing.assert_array_equal(evaluation[1], other_evaluation[1])
    for cell, stitch in stitches.items():
        for found, expected in zip(others[cell][:2], stitch[:2], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("backward", [False, True])
def test_what_a_failed_step_holds_is_gone_before_it_is_taken_again(few_digits, trained, monkeypatch, backward):
    receiver = Crowded(trained, 3, 10, backward)
    stitches, gone = new_stitches(trained, trained, torch.float64, [1, 2], [0, 3]), []
    monkeypatch.setattr(stitching, "release_memory", lambda: gone.append(receiver.maps() is None))
    pair, tally = StitchedPair(FrozenNetwork(trained, torch.float64), receiver, stitches), Tally(list(stitches), "cpu")
    images, labels = next(DeviceImages(few_digits, few_digits.train, dtype=torch.float64).in_order(29))
    stitching.take_step(pair, protocols.sgd(stitches, stitch_settings()), images, labels, tally)
    assert gone == [True] * 2 and tally.images == 29


def test_a_group_that_exhausts_the_memory_is_halved_once_and_stays_so(digits, trained):
    receiver = Crowded(trained, 2, 700)  # 500 images of each of 5 cells: 2,500, or 512 in 8 MiB, and half of 500
    stitches = new_stitches(trained, trained, torch.float64, receiver_layers=[2])
    pair = StitchedPair(FrozenNetwork(trained, torch.float64), receiver, stitches)
    images = DeviceImages(digits, digits.train, dtype=torch.float64)
    pair.largest_map = 2**40
    _, predictions = stitching.predict(pair, images)
    assert receiver.failures == 2 and predictions.shape == (5, 1437)
    groups = {group.maps for _, group, _ in pair.passes(images.normalised(slice(500)).double())}
    assert groups == {500}


@pytest.mark.parametrize("what", ["a single map", "the sender", "the optimiser", "soft labels"])
def test_memory_that_no_smaller_group_fits_says_what_to_lower(few_digits, trained, caplog, what):
    caplog.set_level("INFO")
    receiver = Crowded(trained, 3, 0 if what == "a single map" else 2**40)
    stitches = new_stitches(trained, trained, torch.float64, [1, 2], [0, 3])
    pair = StitchedPair(FrozenNetwork(trained, torch.float64), receiver, stitches)
    optimiser, teacher = protocols.sgd(stitches, stitch_settings()), None
    if what == "the sender":
        pair.sender.representations = receiver.fail
    elif what == "the optimiser":
        optimiser.step = receiver.fail
    elif what == "soft labels":
        receiver.register_forward_pre_hook(receiver.fail)
        teacher = Teacher(pair.sender, receiver, (0.0, 0.5), len(stitches), "cpu")
    images, labels = next(DeviceImages(few_digits, few_digits.train, dtype=torch.float64).in_order(29))
    tally = Tally(list(stitches), "cpu")
    with pytest.raises(ModelstitchError, match=r"memory is exhausted: lower stitches\.task\.batch or networks\.width$"):
        stitching.take_step(pair, optimiser, images, labels, tally, teacher)
    assert receiver.failures == (5 if what == "a single map" else 1)  # of 58 maps, 29, 9, 3 and 1
    assert caplog.text.count("exhausted") == receiver.failures - 1
    assert tally.images == 0 and not tally.loss.any()


@pytest.mark.parametrize("sender_layers", [[0], [1, 4]])
@pytest.mark.parametrize("gib", [0.001, 0.25, 1, 80])
def test_a_gpu_with_little_free_memory_gets_smaller_groups(trained, random_networks, monkeypatch, sender_layers, gib):
    monkeypatch.setattr(stitching, "free_memory", lambda device: round(gib * 2**30))
    pair = engine(trained, random_networks[0], new_stitches(trained, random_networks[0], sender_layers=sender_layers))
    images = torch.rand(100, 1, 32, 32)
    represented = sum(maps.nbytes for maps in pair.sender.representations(images, max(sender_layers)).values())
    list(pair.passes(images))
    assert pair.largest_map == map_limit(round(gib * 2**30), list(pair.suffix_shapes(images).values()), represented)
    assert (pair.largest_map == GPU_MAP_BYTES) == (gib == 80)


def test_identity_stitch_gives_the_networks_own_accuracy(digits, trained):
    shapes = FrozenNetwork(trained).shapes((1, 32, 32))
    pair = engine(trained, trained, {(i, i): identity(shape) for i, shape in shapes.items()})
    _, predictions = stitching.predict(pair, DeviceImages(digits, digits.test))
    accuracies = (predictions == digits.test.labels).mean(axis=1)
    assert accuracies.tolist() == [trained.about["accuracy"]] * 6  # the image and five layers


def test_the_last_column_is_a_linear_probe(few_digits, trained):
    shapes = FrozenNetwork(trained).shapes((1, 32, 32))
    geometry = Geometry.between(shapes[1], shapes[4])
    start, end = (initialise(geometry, seed) for seed in (0, 1))
    middle = start._replace(weight=(start.weight + end.weight) / 2, bias=(start.bias + end.bias) / 2)
    images, labels = next(DeviceImages(few_digits, few_digits.test).in_order())
    logits = []
    for stitch in (start, middle, end):
        ((_, _, found),) = engine(trained, trained, {(1, 4): stitch}).passes(images)
        logits.append(found[0].detach())
    torch.testing.assert_close(logits[1], (logits[0] + logits[2]) / 2, rtol=1e-4, atol=1e-4)
    losses = [F.cross_entropy(found, labels) for found in logits]
    assert losses[1] < (losses[0] + losses[2]) / 2  # convex in the stitch


def test_a_second_run_is_bit_identical(few_digits, trained, random_networks, reference):
    columns, weights, attributes = record(trained, random_networks[0], few_digits)
    for found, expected in zip(columns, reference[0], strict=True):
        assert_same_column(found, expected)
    assert all(torch.equal(weights[name], expected) for name, expected in reference[1].items())
    assert {key for key in attributes if attributes[key] != reference[2][key]} <= {
        "seconds",
        "processor_seconds",
        "images_per_second",
    }


def test_another_order_of_images_or_start_is_another_record(few_digits, trained, random_networks, reference):
    _, weights, _ = pairs.train_pair(
        trained,
        random_networks[0],
        few_digits,
        stitch_settings(),
        study_seed=1,
        sender_layers=[0],
        receiver_layers=[0],
    )
    assert not torch.allclose(weights["0.0.weight"], reference[1]["0.0.weight"])


@pytest.mark.parametrize("layers", [1, 4])
def test_layers_split_in_blocks_give_the_same_record(few_digits, trained, random_networks, reference, layers):
    columns = []
    for first in range(0, 6, layers):
        block = range(6)[first : first + layers]
        columns += record(trained, random_networks[0], few_digits, receiver_layers=block)[0]
    for found, expected in zip(columns, reference[0], strict=True):
        assert_same_column(found, expected)


def test_a_cell_does_not_depend_on_the_cells_beside_it(few_digits, trained, random_networks, reference):
    (_, column), weights, _ = record(
        trained, random_networks[0], few_digits, sender_layers=[1, 3], receiver_layers=[2, 4]
    )
    for name, found in weights.items():
        torch.testing.assert_close(found, reference[1][name], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(column.train_loss, reference[0][4].train_loss[[1, 3]], rtol=1e-4)
    assert (column.predictions != reference[0][4].predictions[[1, 3]]).mean() < 0.02


def test_a_diverged_cell_leaves_the_others_as_they_were(few_digits, trained, random_networks):
    receiver = random_networks[0]
    results = []
    for spoilt in (False, True):
        stitches = new_stitches(trained, receiver)
        if spoilt:
            stitches[2, 3].weight.data[0, 0] = torch.nan
        pair = engine(trained, receiver, stitches)
        images, settings = DeviceImages(few_digits, few_digits.train), stitch_settings()
        losses, _ = stitching.train(pair, images, settings, protocols.sgd(stitches, settings), ORDER)
        _, predictions = stitching.predict(pair, DeviceImages(few_digits, few_digits.test))
        results.append((pair.stitches, losses, predictions))
    (stitches, losses, predictions), (others, other_losses, other_predictions) = results
    spoilt = list(stitches).index((2, 3))
    assert np.isnan(other_losses[:, spoilt]).all()
    np.testing.assert_array_equal(np.delete(losses, spoilt, axis=1), np.delete(other_losses, spoilt, axis=1))
    np.testing.assert_array_equal(np.delete(predictions, spoilt, axis=0), np.delete(other_predictions, spoilt, axis=0))
    assert all(torch.equal(stitches[cell].weight, others[cell].weight) for cell in stitches if cell != (2, 3))


def test_a_diverged_cell_is_recorded_without_a_result_and_with_a_reason(few_digits, trained):
    columns, _, _ = record(trained, trained, few_digits, receiver_layers=[0], learning_rate=1e25, warmup_epochs=0)
    assert columns[0].diverged.all()
    assert np.isnan(columns[0].test_accuracy).all() and np.isnan(columns[0].train_accuracy).all()
    assert set(columns[0].reason) == {"the training loss is not finite"}
    count = len(few_digits.test.labels)
    predictions = np.zeros((2, count), dtype=np.int64)
    losses = np.ones((2, 1))
    column = pairs.column(0, (0, 1), losses, losses, np.array([1.0, np.inf]), predictions, few_digits)
    assert column.diverged.tolist() == [False, True]
    assert column.reason == ("", "the test loss is not finite")
    assert column.test_accuracy[0] == (few_digits.test.labels == 0).mean() and np.isnan(column.test_accuracy[1])


def test_two_random_networks_are_near_chance_and_two_trained_ones_are_not(digits, trained, random_networks):
    other = initialised(NetworkId("R1111", "random", 1), digits)
    by_chance, learned = (
        np.concatenate([column.test_accuracy for column in record(*pair, digits, epochs=0.5)[0]])
        for pair in ((random_networks[1], other), (trained, trained))
    )
    assert by_chance.max() < 0.2 and 0.07 < by_chance.mean() < 0.13
    assert learned.mean() > 0.2 and learned[-1] > 0.5


def test_every_test_image_is_counted_and_every_accuracy_is_of_its_predictions(few_digits, reference):
    for column in reference[0]:
        assert column.test_images == 101 and column.predictions.shape == (5, 101)
        np.testing.assert_array_equal(column.test_accuracy, (column.predictions == few_digits.test.labels).mean(axis=1))


def test_more_images_than_a_batch_of_the_evaluation_are_predicted_in_order(digits, trained):
    shapes = FrozenNetwork(trained).shapes((1, 32, 32))
    images = DeviceImages(digits, digits.train)  # 1437 images: 500, 500 and 437
    losses, predictions = stitching.predict(engine(trained, trained, {(2, 2): identity(shapes[2])}), images)
    with torch.no_grad():
        logits = trained.eval()(images.normalised(slice(None)))
    assert predictions.shape == (1, 1437)
    assert (predictions[0] != logits.argmax(dim=1).numpy()).sum() <= 1
    assert losses[0] == pytest.approx(F.cross_entropy(logits, images.labels).item(), rel=1e-4)


def test_a_part_of_an_epoch_is_that_many_steps(few_digits, trained):
    for epochs, rows, images in ((0.01, 1, 29), (0.3, 1, 2 * 29), (1.5, 2, 10 * 29), (2, 2, 14 * 29)):
        columns, _, attributes = record(
            trained, trained, few_digits, sender_layers=[4], receiver_layers=[4], epochs=epochs
        )
        assert columns[0].train_loss.shape == columns[0].train_accuracy.shape == (1, rows)
        assert attributes["train_images"] == images


def test_fewer_images_than_a_batch_are_refused(few_digits, trained):
    with pytest.raises(ModelstitchError, match=r"batch: 204 is more than the 203 training images"):
        record(trained, trained, few_digits, batch=204)


def test_the_order_in_which_layers_are_named_changes_nothing(few_digits, trained, random_networks, reference):
    columns, _, _ = record(
        trained, random_networks[0], few_digits, sender_layers=[4, 0, 2, 1, 3], receiver_layers=[3, 1, 5, 0, 2, 4]
    )
    for found, expected in zip(columns, reference[0], strict=True):
        assert_same_column(found, expected)


def test_a_start_that_the_objective_does_not_have_is_refused(few_digits, trained):
    with pytest.raises(ValueError, match="only the objective task has one, not similarity"):
        pairs.train_pair(
            trained,
            trained,
            few_digits,
            stitch_settings(),
            objective="similarity",
            study_seed=0,
            sender_layers=[0],
            receiver_layers=[0],
            start="random",
        )


def test_a_network_without_an_id_is_refused_by_its_role(few_digits, trained):
    unnamed = copy.deepcopy(trained)
    unnamed.about = {}
    with pytest.raises(ValueError, match=r"^receiver\.about lacks network, accuracy"):
        record(trained, unnamed, few_digits, sender_layers=[0], receiver_layers=[0])
