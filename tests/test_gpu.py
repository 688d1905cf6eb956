"""What a GPU may change: nothing that matters. docs/results.md states the tolerance."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch

from modelstitch.data.images import DeviceImages
from modelstitch.engine.stitching import StitchedPair, Tally, take_step
from modelstitch.fitting import pairs, protocols
from modelstitch.fitting.optimisers import SGD
from modelstitch.hardware import in_batches, prepare
from modelstitch.measures import distances, generation, hacking, probes
from modelstitch.networks import training
from modelstitch.networks.small_resnet import build
from modelstitch.records import PairRecord
from modelstitch.stitches.linear import parameters
from tests.devices import Still, new_pair, train_watched
from tests.measures.test_hacking import SETTINGS
from tests.settings import AUGMENTATION, FAST, STITCHES, WIDTH

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")


def accuracies(network, dataset, device, precision="float32"):
    columns, _, _ = pairs.train_pair(
        network,
        network,
        dataset,
        FAST.model_copy(update={"precision": precision}),
        study_seed=0,
        sender_layers=range(5),
        receiver_layers=range(5),
        device=device,
    )
    return np.stack([column.test_accuracy for column in columns])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_two_runs_on_a_gpu_agree(digits, trained, precision):
    one, other = (accuracies(trained, digits, "cuda", precision) for _ in range(2))
    assert np.abs(one - other).max() <= 0.02 and np.abs(one - other).mean() < 0.005


def test_a_gpu_agrees_with_the_processor(digits, trained):
    difference = np.abs(accuracies(trained, digits, "cuda") - accuracies(trained, digits, "cpu"))
    assert difference.max() <= 0.05 and difference.mean() < 0.01


@contextmanager
def never_waits():
    """Where torch raises an error if it has to wait for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("settings", [STITCHES, FAST])
def test_an_epoch_of_stitches_never_waits_for_the_gpu(few_digits, settings):
    prepare("cuda")
    settings = settings.model_copy(update={"augmentation": AUGMENTATION})
    pair, cells = new_pair("cuda")
    images = DeviceImages(few_digits, few_digits.train, "cuda", torch.bfloat16)
    stitches, optimiser, _ = protocols.begin(settings, pair.sender, pair.receiver, cells, images, ("seed",))
    pair = StitchedPair(pair.sender, pair.receiver, stitches)
    assert train_watched(pair, optimiser, images, settings, never_waits()).images == 7 * 29


def test_an_epoch_of_a_network_never_waits_for_the_gpu(few_digits):
    prepare("cuda")
    network = build("R1112", WIDTH, 1, 10, 0).to("cuda", memory_format=torch.channels_last)
    optimiser = SGD(network.parameters(), momentum=0.9)
    batches = DeviceImages(few_digits, few_digits.train, "cuda").shuffled(50, 0, AUGMENTATION)
    training.take_step(network, optimiser, *next(batches), torch.bfloat16)
    with never_waits():
        for images, labels in batches:
            training.take_step(network, optimiser, images, labels, torch.bfloat16)


def test_exhausted_memory_halves_the_groups_and_changes_no_gradient(caplog):
    """A step that may have three fifths of the memory it took."""
    caplog.set_level("INFO")
    prepare("cuda")
    images = torch.rand(256, 1, 32, 32, device="cuda").to(torch.bfloat16, memory_format=torch.channels_last)
    labels = torch.arange(256, device="cuda") % 10
    gradients, limits, fraction = [], [], 1.0
    for _ in range(2):
        pair, _ = new_pair("cuda", width=64)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        torch.cuda.set_per_process_memory_fraction(fraction)
        try:
            take_step(
                pair, Still(parameters(pair.stitches.values())), images, labels, Tally(list(pair.stitches), "cuda")
            )
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        taken = torch.cuda.max_memory_allocated() - before
        fraction = (before + 0.6 * taken) / torch.cuda.get_device_properties(0).total_memory
        limits.append(pair.largest_map)
        gradients.append([parameter.grad.cpu() for parameter in parameters(pair.stitches.values())])
        del pair
    assert limits[1] < limits[0] and "the largest map of a group is" in caplog.text
    for found, expected in zip(*gradients, strict=True):
        assert (found - expected).norm() <= 0.05 * expected.norm()


def test_an_epoch_begins_without_waiting_for_the_gpu_and_has_the_processors_images(few_digits):
    on_gpu, on_cpu = (DeviceImages(few_digits, few_digits.train, device) for device in ("cuda", "cpu"))
    with never_waits():
        found = list(on_gpu.shuffled(50, 0, AUGMENTATION))
    for (images, labels), (expected, classes) in zip(found, on_cpu.shuffled(50, 0, AUGMENTATION), strict=True):
        assert torch.equal(labels.cpu(), classes)
        torch.testing.assert_close(images.cpu(), expected)


def test_exhausted_memory_halves_the_batches(caplog):
    """Of 8 MiB an image, where there are 600 MiB: 100 images exhaust them in their second half, 50 fit."""
    caplog.set_level("INFO")

    def work(batch):
        images = torch.ones(batch.stop - batch.start, 2**20, device="cuda")
        return (images + images).sum(dim=1)

    torch.cuda.empty_cache()
    allowed = torch.cuda.memory_reserved() + 600 * 2**20
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
    try:
        parts = list(in_batches(work, 101, 100))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert [len(part) for part in parts] == [50, 50, 1] and (torch.cat(parts) == 2**21).all()
    assert "a batch has 50 images" in caplog.text


def measure_distances(network, dataset, stitches, record, device):
    table = distances.measure_pair(network, network, dataset, stitches, stitches, device)
    return table[["variance", "EV", "EV_cosine"]]


def measure_hacking(network, dataset, stitches, record, device):
    table, suffixes = hacking.measure_pair(network, network, dataset, record, stitches, SETTINGS, 0, device)
    return pd.concat([table[["mahalanobis", "relative_error"]], suffixes[["random_relative_error", "cosine"]]])


def measure_probes(network, dataset, stitches, record, device):
    return probes.measure(network, dataset, 200, 0, device)[["accuracy"]]


def measure_generation(network, dataset, stitches, record, device):
    into_input = PairRecord(record.attributes, record.columns[:1])
    table, _ = generation.measure_pair(network, network, dataset, stitches, into_input, 40, 13, device)
    return table[["psnr", "ssim", "clipped"]]


@pytest.mark.parametrize("measure", [measure_distances, measure_hacking, measure_probes, measure_generation])
def test_measures_on_a_gpu_are_the_processors(few_digits, trained, monkeypatch, measure):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    layers = {"sender_layers": range(5), "receiver_layers": [-1, 0, 2, 4]}
    columns, stitches, attributes = pairs.train_pair(trained, trained, few_digits, FAST, study_seed=0, **layers)
    if measure is not measure_generation:
        columns = columns[1:]
        stitches = {name: tensor for name, tensor in stitches.items() if ".-1." not in name}
    record = PairRecord(attributes, tuple(columns))
    expected, found = (measure(trained, few_digits, stitches, record, device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.02)
    assert torch.backends.cudnn.benchmark
