"""The device and the precision of computations, and the memory they have."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from modelstitch.errors import ModelstitchError, first_line
from modelstitch.progress import say

Result = TypeVar("Result")

CPUINFO = Path("/proc/cpuinfo")  # of Linux
NO_GPU = "torch finds no GPU here"


def choose_device(device: str) -> str:
    """The device to use: `auto` is a GPU if torch can use one. If it can't, its reason is passed on.

    Raises:
        ModelstitchError: if `cuda` is asked for and there is none, or the device is not `auto`, `cpu` or `cuda`.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ModelstitchError(f"device {device}: expected auto, cpu or cuda")
    if device == "cpu":
        return device
    reason = _why_no_gpu()
    if reason is None:
        return "cuda"
    if device == "cuda":
        raise ModelstitchError(f"device cuda: {reason}: expected cpu or auto")
    if reason != NO_GPU:
        say(f"device auto: the CPU, since the GPU can't be used: {reason}")
    return "cpu"


def _why_no_gpu() -> str | None:
    """Why torch can't use a GPU: there is none, or torch's own words about driver or card; None if it can."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        if not torch.cuda.is_available():
            return first_line(warned[-1].message) if warned else NO_GPU
        try:
            torch.ones(1, device="cuda").add_(1).item()  # a card may be there for which torch has no kernels
        except RuntimeError as error:
            return "; ".join([first_line(error), *(first_line(warning.message) for warning in warned)])
    for warning in warned:
        say(f"device cuda: {first_line(warning.message)}")
    return None


def prepare(device: str, dtype: torch.dtype = torch.float32, search: bool = False) -> None:
    """Set torch's options for this work in this precision.

    With `search`, cuDNN times its kernels for every shape, for long trainings. Stitches are no faster with what it
    finds, and their job waits seconds for it (docs/performance.md).
    Products of float32 matrices are computed in full float32, whatever environment variables say: `muon` depends on it.
    In bfloat16 a processor computes attention by plain products, since the gradient of torch's fused kernel takes six
    times as long as in float32, and a whole step into a small ViT twice as long as by products.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.enable_flash_sdp(device == "cuda" or dtype != torch.bfloat16)
    if device == "cuda":
        torch.backends.cudnn.benchmark = search


def free_memory(device: str) -> int | None:
    """Free bytes of a GPU, including those that torch keeps for reuse; None for a CPU."""
    if device != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info()
    return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()


def release_memory() -> None:
    """Give back the GPU memory that torch keeps for reuse, if a GPU is in use."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """A context that tells in one line if the device's memory is exhausted, and what to do.

    Args:
        advice: which keys of the config to lower.

    Raises:
        ModelstitchError: instead of torch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelstitchError(f"the device's memory is exhausted: lower {advice}") from error


def in_batches(work: Callable[[slice], Result], images: int, size: int) -> Iterator[Result]:
    """Yield the results of `work` for batches of images; a batch that exhausts the memory is halved and repeated.

    Args:
        work: function of the slice of a batch. It must not change anything outside, since it may run twice.
        images: number of images.
        size: images in a batch at first; batches after a halved one stay as small.

    Raises:
        torch.OutOfMemoryError: if a single image exhausts the memory.
    """
    start = 0
    while start < images:
        batch = slice(start, min(start + size, images))
        try:
            result = work(batch)
        except torch.OutOfMemoryError:
            size = (batch.stop - start) // 2
            if not size:
                raise
        else:
            yield result
            start = batch.stop
            continue
        # Only after the error are the tensors gone that its traceback holds.
        release_memory()
        say(f"the device's memory is exhausted: from here on a batch has {size} images")


def has_bfloat16(device: str) -> bool:
    """Whether the device has instructions for bfloat16, without which a processor is several times slower in it."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch has no public names for these two.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def fast_bfloat16(device: str) -> bool:
    """Whether the device computes bfloat16 faster than float32.

    Processors that do are those with AMX, and AMD's with AVX512_BF16, whose products are twice as fast. Intel
    processors with AVX512_BF16 but without AMX, which a virtual machine may hide, computed at half the rate of float32
    (docs/notes/performance.md). If /proc/cpuinfo does not tell the vendor, the presence of the instructions decides.
    """
    if device == "cuda" or torch.cpu._is_amx_tile_supported() or not CPUINFO.exists():
        return has_bfloat16(device)
    return has_bfloat16(device) and b"GenuineIntel" not in CPUINFO.read_bytes()


def choose_precision(precision: str, device: str) -> torch.dtype:
    """The type of numbers: `auto` is bfloat16 if the device computes it faster than float32, and else float32."""
    if precision == "auto":
        precision = "bfloat16" if fast_bfloat16(device) else "float32"
    return getattr(torch, precision)


def device_name(device: str) -> str:
    """The vendor's name of the device, for records."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"cpu ({capability})"
