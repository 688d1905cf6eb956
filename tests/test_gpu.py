"""What a GPU may change: nothing that matters. docs/results.md states the tolerance."""

import copy
import io
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import modelstitch
from modelstitch import repeating
from modelstitch.data.images import DeviceImages
from modelstitch.engine.evaluation import Tally
from modelstitch.engine.pair import StitchedPair
from modelstitch.fitting.distillation import Teacher
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.pair import train_pair
from modelstitch.fitting.protocols import protocol_of
from modelstitch.fitting.training import take_step, train
from modelstitch.hardware import in_batches, prepare
from modelstitch.measures import distances, generated_images, hacking, probes
from modelstitch.networks import training
from modelstitch.networks.fused import FusedConvolution
from modelstitch.optimisers import SGD, AdamW
from modelstitch.repeating import RepeatedStep
from tests.devices import Still, new_pair, train_watched
from tests.measures.test_hacking import SETTINGS
from tests.networks.modules import KINDS, made
from tests.networks.test_training import MODELS
from tests.settings import AUGMENTATION, FAST, STITCHES, small_resnet

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")


def accuracies(network, dataset, device, precision="float32"):
    settings = FAST.model_copy(update={"precision": precision})
    record, _ = train_pair(network, network, dataset, settings, study_seed=0, device=device)
    return np.stack([column.test_accuracy for column in record.columns])


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
    images = DeviceImages(few_digits, few_digits.train, "cuda")
    begin = protocol_of(settings.protocol).begin
    stitches, optimiser, _ = begin(FitInputs(pair.sender, pair.receiver, cells, images, settings, ("seed",)))
    pair = StitchedPair(pair.sender, pair.receiver, stitches)
    assert train_watched(pair, optimiser, images, settings, never_waits()).images == 7 * 29


@pytest.mark.parametrize("optimiser", [lambda of: SGD(of, momentum=0.9), lambda of: AdamW(of, weight_decay=0.05)])
def test_an_epoch_of_a_network_never_waits_for_the_gpu(few_digits, optimiser):
    prepare("cuda")
    network = replace(small_resnet("R1112"), mean=(0.1,), std=(0.3,))
    network.module.to("cuda", memory_format=torch.channels_last).train()
    optimiser = optimiser(network.module.parameters())
    batches = DeviceImages(few_digits, few_digits.train, "cuda").shuffled(50, 0, AUGMENTATION)
    training.take_step(network, optimiser, *next(batches), torch.bfloat16)
    with never_waits():
        for images, labels in batches:
            training.take_step(network, optimiser, images, labels, torch.bfloat16)


@pytest.mark.parametrize("settings", [STITCHES, FAST])
def test_steps_that_are_recorded_train_as_those_that_are_not(few_digits, monkeypatch, caplog, settings):
    caplog.set_level("INFO")
    prepare("cuda")
    images = DeviceImages(few_digits, few_digits.train, "cuda")
    settings = settings.model_copy(update={"epochs": 2.5, "augmentation": AUGMENTATION})
    begin, trained = protocol_of(settings.protocol).begin, []
    for first in (repeating.FIRST_STEPS, 10**9):
        monkeypatch.setattr(repeating, "FIRST_STEPS", first)
        pair, cells = new_pair("cuda")
        stitches, optimiser, _ = begin(FitInputs(pair.sender, pair.receiver, cells, images, settings, ("seed",)))
        pair = StitchedPair(pair.sender, pair.receiver, stitches)
        teacher = Teacher(pair.sender, pair.receiver, (0.5, 0.5), len(stitches), "cuda")
        loss, _ = train(pair, images, settings, optimiser, ("order",), teacher=teacher)
        trained.append(
            (loss, torch.cat([each.flatten() for stitch in stitches.values() for each in stitch.parameters]))
        )
    assert "not recorded" not in caplog.text and len(trained[0][0]) == 3
    np.testing.assert_allclose(trained[0][0], trained[1][0], rtol=0.02)
    assert (trained[0][1] - trained[1][1]).norm() <= 0.05 * trained[1][1].norm()


def test_a_step_that_waits_is_taken_kernel_by_kernel(caplog):
    """After a recording that failed, the GPU draws random numbers, and says when its memory is exhausted."""
    caplog.set_level("INFO")
    weight = torch.zeros(3, device="cuda", requires_grad=True)
    optimiser = SGD([weight])

    def step(images, labels):
        optimiser.zero_grad()
        (weight * images.mean().item()).sum().backward()
        optimiser.step()

    repeated = RepeatedStep(step, optimiser, "cuda")
    for number in range(6):
        repeated(torch.full((2,), float(number), device="cuda"), torch.zeros(2, device="cuda"), 0.1)
    assert caplog.text.count("a step is not recorded") == 1
    torch.testing.assert_close(weight.detach().cpu(), torch.full((3,), -1.5))
    assert len(torch.rand(100, device="cuda").unique()) > 50
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(2**50, dtype=torch.uint8, device="cuda")


def test_a_step_that_draws_on_the_cpu_is_not_recorded(caplog):
    """Its numbers would be the same in each step."""
    caplog.set_level("INFO")
    weight = torch.zeros((), device="cuda", requires_grad=True)
    optimiser, drawn = SGD([weight]), []

    def step(images, labels):
        optimiser.zero_grad()
        drawn.append(torch.rand(()).item())
        (weight * drawn[-1]).backward()
        optimiser.step()

    repeated = RepeatedStep(step, optimiser, "cuda")
    for _ in range(5):
        repeated(torch.zeros(2, device="cuda"), torch.zeros(2, device="cuda"), 1.0)
    assert "it draws random numbers on the CPU" in caplog.text
    recorded, again = drawn[repeating.FIRST_STEPS : repeating.FIRST_STEPS + 2]
    assert recorded == again and weight.item() == pytest.approx(-sum(drawn) + recorded, rel=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_recorded_steps_train_a_network_as_others_do(few_digits, monkeypatch, caplog, tmp_path, model):
    """With the same random numbers in its dropout, by SGD and by AdamW."""
    caplog.set_level("INFO")
    found = []
    for first in (repeating.FIRST_STEPS, 10**9):
        monkeypatch.setattr(repeating, "FIRST_STEPS", first)
        network = training.train(*MODELS[model], few_digits, 0, tmp_path / str(first), "cuda")
        found.append(network.about["curves"])
    assert "not recorded" not in caplog.text and torch.backends.cudnn.benchmark
    for name in ("train_loss", "test_loss"):
        np.testing.assert_allclose(found[0][name][:3], found[1][name][:3], rtol=0.01)  # later they drift apart


@pytest.mark.parametrize("model", MODELS)
def test_a_training_goes_on_from_its_checkpoint(few_digits, monkeypatch, tmp_path, model):
    def interrupted(text):
        if "epoch 2 " in text:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "PAUSES", 0)
    expected = training.train(*MODELS[model], few_digits, 0, tmp_path / "undisturbed", "cuda")
    with monkeypatch.context() as patched:
        patched.setattr(training, "say", interrupted)
        with pytest.raises(KeyboardInterrupt):
            training.train(*MODELS[model], few_digits, 0, tmp_path / "interrupted", "cuda")
    found = training.train(*MODELS[model], few_digits, 0, tmp_path / "interrupted", "cuda")
    for name in ("train_loss", "test_loss"):
        np.testing.assert_allclose(found.about["curves"][name][:3], expected.about["curves"][name][:3], rtol=0.01)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("options", [{"padding": 1}, {"padding": 1, "stride": 2}, {"padding": 1, "groups": 16}])
def test_fused_convolutions_are_the_convolution_the_sum_and_the_relu(precision, summed, options):
    """By their distance to the same in float64; the gradient for the maps that they gave, whose zeros are their own."""
    torch.manual_seed(0)
    one = torch.nn.Conv2d(16, 32, 3, **options, device="cuda", dtype=precision).requires_grad_(False)
    one.to(memory_format=torch.channels_last)
    exact = copy.deepcopy(one).double()
    maps = torch.randn(50, 16, 16, 16, device="cuda", dtype=precision)
    maps = maps.to(memory_format=torch.channels_last).requires_grad_()
    others = [torch.randn_like(one(maps)).requires_grad_()] if summed else []
    fused = FusedConvolution(one)
    found = fused(maps, *others)
    doubles = [each.detach().double().requires_grad_() for each in (maps, *others)]
    expected = sum(doubles[1:], exact(doubles[0]))
    apart = sum(others, one(maps)).relu()
    assert distance(found, expected.relu()) <= 1.2 * distance(apart, expected.relu())
    gradients = torch.autograd.grad(found, [maps, *others], torch.ones_like(found))
    wanted = torch.autograd.grad(expected, doubles, (found > 0).double())
    for gradient, exactly in zip(gradients, wanted, strict=True):
        assert distance(gradient, exactly) <= 0.01


def distance(found, expected):
    """Of tensors, as a share of the second's norm."""
    return ((found.double() - expected).norm() / expected.norm()).item()


def steps_with_less_memory():
    """A step that may have all memory, then one that may have 0.6 of what the first took.

    Returns:
        For each step, the most bytes of a group's largest tensor, and the gradients of each stitch; and the log.
    """
    log = io.StringIO()
    logging.basicConfig(stream=log, level=logging.INFO, format="%(message)s")
    prepare("cuda")
    torch.manual_seed(0)
    images = torch.rand(256, 1, 32, 32, device="cuda")
    labels = torch.arange(256, device="cuda") % 10
    found, taken = [], 0
    for share in (None, 0.6):
        pair, _ = new_pair("cuda", width=64)
        parameters = [tensor for stitch in pair.stitches.values() for tensor in stitch.parameters]
        torch.cuda.empty_cache()
        if share:
            allowed = torch.cuda.memory_reserved() + share * taken
            torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        take_step(pair, Still(parameters), images, labels, Tally(list(pair.stitches), "cuda"))
        taken = torch.cuda.max_memory_allocated() - before
        of_each = ([one.grad.flatten() for one in stitch.parameters] for stitch in pair.stitches.values())
        found.append((pair.limit, [torch.cat(gradients).cpu().numpy() for gradients in of_each]))
        del pair, parameters
    return *found, log.getvalue()


def test_exhausted_memory_halves_the_groups_and_changes_no_gradient():
    """In a process of its own, since what other tests left in the memory can't be counted."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        (whole, expected), (halved, found), log = process.submit(steps_with_less_memory).result()
    assert halved < whole and "the largest tensor of a group has" in log
    for of_whole, of_halved in zip(expected, found, strict=True):
        assert np.linalg.norm(of_halved - of_whole) <= 0.05 * np.linalg.norm(of_whole)


def test_an_epoch_begins_without_waiting_for_the_gpu_and_has_the_processors_images(few_digits):
    on_gpu, on_cpu = (DeviceImages(few_digits, few_digits.train, device) for device in ("cuda", "cpu"))
    with never_waits():
        found = list(on_gpu.shuffled(50, 0, AUGMENTATION))
    for (images, labels), (expected, classes) in zip(found, on_cpu.shuffled(50, 0, AUGMENTATION), strict=True):
        assert torch.equal(labels.cpu(), classes)
        torch.testing.assert_close(images.cpu(), expected)


def test_exhausted_memory_halves_the_batches(caplog):
    """Of 8 MiB per image, where there are 600 MiB: 100 images exhaust them in their second half, 50 fit."""
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


@pytest.mark.parametrize("kind", KINDS)
def test_any_network_is_stitched_on_a_gpu_as_on_the_processor(few_digits, kind):
    """Of a notebook's call, with a module that lies on the GPU already."""
    sets = {
        name: (split.images, split.labels) for name, split in (("train", few_digits.train), ("test", few_digits.test))
    }
    expected, found = (
        modelstitch.stitch(made(kind).to(where), made("plain"), **sets, objective="similarity", device=device)
        for where, device in (("cpu", "cpu"), ("cuda", "cuda"))
    )
    assert found.record.attributes["device"] != "cpu"
    np.testing.assert_allclose(found.accuracy, expected.accuracy, atol=0.05)


def measure_distances(network, dataset, stitches, record, device):
    table = distances.measure_pair(network, network, dataset, stitches, stitches, device=device)
    return table[["variance", "EV", "EV_cosine"]]


def measure_hacking(network, dataset, stitches, record, device):
    table, suffixes = hacking.measure_pair(network, network, dataset, record, stitches, SETTINGS, 0, device=device)
    return pd.concat([table[["mahalanobis", "relative_error"]], suffixes[["random_relative_error", "cosine"]]])


def measure_probes(network, dataset, stitches, record, device):
    return probes.measure(network, dataset, 200, 0, device=device)[["accuracy"]]


def measure_generated_images(network, dataset, stitches, record, device):
    into_input = replace(record, columns=record.columns[:1])
    table, _ = generated_images.measure_pair(network, network, dataset, stitches, into_input, 40, 13, device=device)
    return table[["psnr", "ssim", "clipped"]]


@pytest.mark.parametrize("measure", [measure_distances, measure_hacking, measure_probes, measure_generated_images])
def test_measures_on_a_gpu_are_the_processors(few_digits, trained, measure):
    record, stitches = train_pair(trained, trained, few_digits, FAST, study_seed=0, receiver_layers=[-1, 0, 2, 4])
    if measure is not measure_generated_images:
        record = replace(record, columns=record.columns[1:])
        stitches = {cell: stitch for cell, stitch in stitches.items() if cell[1] >= 0}
    expected = measure(trained, few_digits, stitches, record, "cpu")
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.benchmark = True
    found = measure(trained, few_digits, stitches, record, "cuda")
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.02)
    assert torch.get_float32_matmul_precision() == "highest" and not torch.backends.cudnn.benchmark
