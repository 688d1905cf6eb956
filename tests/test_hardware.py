"""What an epoch asks of a device, in which precision, and what is said when its memory is exhausted."""

import dataclasses
import logging
import warnings

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from modelstitch import hardware
from modelstitch.data.images import DeviceImages
from modelstitch.engine.pair import StitchedPair
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.pair import train_pair
from modelstitch.fitting.protocols import protocol_of
from modelstitch.identifiers import NetworkId
from modelstitch.networks import making, training
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.small_resnet import SmallResNet
from tests.devices import Still, exhausted, limited, new_pair, train_watched
from tests.settings import AUGMENTATION, FAST, STITCHES, architecture, small_resnet, training_settings


class NeverWaits(TorchDispatchMode):
    """Refuses what makes a processor wait for a GPU.

    That is reading a value, a shape that depends on values, and a copy between devices or of Python's numbers.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags):
            # An index waits only if it is a mask.
            by_numbers = all(tensor.dtype == torch.int64 for tensor in tensors[1:])
            assert func is torch.ops.aten.index.Tensor and by_numbers, f"{func} waits for the device"
        assert func is not torch.ops.aten.lift_fresh.default, "a copy of Python's numbers to the device"
        devices = {tensor.device.type for tensor in tensors}
        if func is torch.ops.aten._to_copy.default and "device" in kwargs:
            devices.add(torch.device(kwargs["device"]).type)
        assert len(devices) <= 1, f"{func} is between devices: {devices}"
        return func(*args, **kwargs)


class NeverWaitsForPinned(NeverWaits):
    """Lets copies of pinned memory pass, if nothing waits for them; torch fakes a GPU, but no pinned memory."""

    def __init__(self):
        super().__init__()
        self.pinned = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._pin_memory.default:
            self.pinned.append(args[0].clone())
            return self.pinned[-1]
        if func is torch.ops.aten._to_copy.default and kwargs.get("non_blocking"):
            assert any(args[0] is tensor for tensor in self.pinned), "a GPU can't fetch what is not pinned"
            return func(*args, **kwargs)
        return super().__torch_dispatch__(func, types, args, kwargs)


@pytest.mark.parametrize("settings", [STITCHES, FAST])
def test_an_epoch_of_stitches_never_waits_for_the_device(few_digits, settings):
    settings = settings.model_copy(update={"augmentation": AUGMENTATION})
    pair, cells = new_pair("cpu")
    images = DeviceImages(few_digits, few_digits.train)
    begin = protocol_of(settings.protocol).begin
    stitches, optimiser, _ = begin(FitInputs(pair.sender, pair.receiver, cells, images, settings, ("seed",)))
    pair = StitchedPair(pair.sender, pair.receiver, stitches)
    assert train_watched(pair, optimiser, images, settings, NeverWaits()).images == 7 * 29


def test_an_epoch_of_stitches_copies_nothing_to_or_from_its_device(few_digits):
    """On `meta`, a device without numbers: what needs any, or mixes it with the CPU, fails."""
    pair, _ = new_pair("meta")
    images = DeviceImages(few_digits, few_digits.train, "meta")
    optimiser = Still([tensor for stitch in pair.stitches.values() for tensor in stitch.parameters])
    assert {parameter.dtype for parameter in optimiser.parameters} == {torch.float32}
    settings = STITCHES.model_copy(update={"augmentation": AUGMENTATION})
    assert train_watched(pair, optimiser, images, settings, NeverWaits()).images == 7 * 29


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_an_epoch_of_a_network_never_waits_for_the_device(few_digits, optimiser):
    network = small_resnet("R1112")
    moving = training.optimiser_of(network.module, training_settings(optimiser=optimiser))
    batches = DeviceImages(few_digits, few_digits.train).shuffled(50, 0, AUGMENTATION)
    training.take_step(network, moving, *next(batches), torch.bfloat16)
    with NeverWaits():
        for images, labels in batches:
            training.take_step(network, moving, images, labels, torch.bfloat16)


def test_images_are_prepared_without_waiting_for_the_device(few_digits):
    """Resized, of the network's channels, and normalised: by numbers that are on the device from the first batch on."""
    network = dataclasses.replace(small_resnet(channels=3, size=(24, 48)), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    batches = DeviceImages(few_digits, few_digits.train).shuffled(50, 0, AUGMENTATION)
    network.prepared(next(batches)[0])
    with NeverWaits():
        shapes = {network.prepared(images).shape for images, _ in batches}
    assert shapes == {(50, 3, 24, 48)}


def test_an_epoch_begins_without_waiting_for_a_gpu(few_digits):
    with FakeTensorMode():
        images = DeviceImages(few_digits, few_digits.train, "cuda")
        with NeverWaitsForPinned():
            batches = list(images.shuffled(50, 0, AUGMENTATION))
    assert [{tensor.device.type for tensor in batch} for batch in batches] == [{"cuda"}] * 4


@pytest.mark.parametrize(
    "wait",
    [
        lambda tensor: tensor.sum().item(),
        lambda tensor: bool(tensor.isfinite().all()),
        lambda tensor: tensor[tensor > 1],
        lambda tensor: tensor.nonzero(),
        lambda tensor: tensor + torch.tensor([1.0]),
        lambda tensor: tensor.to("meta"),
        lambda tensor: tensor.new_empty(4, device="meta").copy_(tensor),
    ],
)
def test_what_waits_is_seen(wait):
    with pytest.raises(AssertionError), NeverWaits():
        wait(torch.ones(4))


@pytest.mark.parametrize(
    ("vendor", "avx512_bf16", "amx", "precision"),
    [
        ("AuthenticAMD", True, False, torch.bfloat16),
        ("AuthenticAMD", False, False, torch.float32),
        ("GenuineIntel", True, True, torch.bfloat16),
        ("GenuineIntel", True, False, torch.float32),  # half the rate of float32
        (None, True, False, torch.bfloat16),
        (None, False, False, torch.float32),
    ],
)
def test_bfloat16_is_chosen_where_the_processor_gains_by_it(tmp_path, monkeypatch, vendor, avx512_bf16, amx, precision):
    cpuinfo = tmp_path / "cpuinfo"
    if vendor:
        cpuinfo.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    monkeypatch.setattr(hardware, "CPUINFO", cpuinfo)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert hardware.choose_precision("auto", "cpu") == precision
    assert hardware.choose_precision("bfloat16", "cpu") == torch.bfloat16


def test_products_of_float32_are_exact_whatever_the_surroundings_say():
    torch.set_float32_matmul_precision("high")
    try:
        hardware.prepare("cpu")
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(("dtype", "fused"), [(torch.float32, True), (torch.bfloat16, False)])
def test_attention_in_bfloat16_is_computed_by_products_on_a_processor(dtype, fused):
    hardware.prepare("cpu", dtype)
    try:
        values = torch.rand(2, 3, 5, 8, dtype=dtype, requires_grad=True)
        attended = torch.nn.functional.scaled_dot_product_attention(values, values, values)
    finally:
        hardware.prepare("cpu")
    assert ("Flash" in attended.grad_fn.name()) == fused


def test_memory_of_a_processor_is_not_counted():
    assert hardware.free_memory("cpu") is None
    hardware.release_memory()


def test_a_network_that_exhausts_the_memory_says_what_to_lower(few_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(SmallResNet, "forward", limited(SmallResNet.forward, 10))
    message = r"^the device's memory is exhausted: lower {}the networks' size$"
    with pytest.raises(ModelstitchError, match=message.format(r"networks\.training\.batch or ")):
        training.train(NetworkId("R1111", "trained", 0), architecture(), few_digits, 0, tmp_path / "state")
    with pytest.raises(ModelstitchError, match=message.format("")):
        making.initialise(NetworkId("R1111", "calibrated", 0), architecture(), few_digits, 0)


@pytest.mark.parametrize("objective", ["task", "similarity"])
def test_a_pair_whose_sender_exhausts_the_memory_says_what_to_lower(few_digits, trained, monkeypatch, objective):
    monkeypatch.setattr(FrozenNetwork, "representations", exhausted)
    layers = {"sender_layers": [0], "receiver_layers": [1]}
    message = r"^the device's memory is exhausted: lower .*stitches\.task.* or the networks' size$"
    with pytest.raises(ModelstitchError, match=message):
        train_pair(trained, trained, few_digits, STITCHES, objective=objective, study_seed=0, **layers)


def test_a_batch_that_exhausts_the_memory_is_halved_and_begun_anew(caplog):
    caplog.set_level("INFO")
    images, fitting = torch.arange(101), limited(torch.clone, 30)
    parts = list(hardware.in_batches(lambda batch: fitting(images[batch]), 101, 100))
    assert [len(part) for part in parts] == [25, 25, 25, 25, 1] and torch.equal(torch.cat(parts), images)
    assert caplog.text.count("exhausted") == 2 and "from here on a batch has 25 images" in caplog.text


def test_an_image_that_exhausts_the_memory_ends_the_batches():
    with pytest.raises(torch.OutOfMemoryError):
        next(hardware.in_batches(exhausted, 101, 100))


OLD_DRIVER = "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040)."
OLD_CARD = "Found GPU0 Tesla K80 which is of cuda capability 3.7.\nPyTorch no longer supports this GPU."


def test_what_torch_says_of_a_driver_is_passed_on(monkeypatch, caplog):
    def unusable():
        warnings.warn(OLD_DRIVER, stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", unusable)
    with pytest.raises(
        ModelstitchError, match=r"^device cuda: CUDA initialization: The NVIDIA driver on your system is"
    ):
        hardware.choose_device("cuda")
    caplog.set_level(logging.INFO, "modelstitch")
    assert hardware.choose_device("auto") == "cpu"
    assert OLD_DRIVER in caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine whose GPU can't be used")
def test_a_card_that_torch_has_no_kernels_for_is_not_chosen(monkeypatch):
    def available():
        warnings.warn(OLD_CARD, stacklevel=2)
        return True

    monkeypatch.setattr(torch.cuda, "is_available", available)
    with pytest.raises(
        ModelstitchError, match=r"^device cuda: .+; Found GPU0 Tesla K80 which .*: expected cpu or auto$"
    ):
        hardware.choose_device("cuda")
    assert hardware.choose_device("auto") == "cpu"
