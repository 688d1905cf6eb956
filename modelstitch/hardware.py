"""What the machine computes on, in which precision, and how much memory there is for it."""

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
    """`auto` is the GPU where there is one that torch can use; what torch says of another is passed on.

    Raises:
        ModelstitchError: if `cuda` is asked for and there is none, or the device is no word of these.
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
    """What keeps torch from the GPU: none there, or its own words of a driver or a card; None where nothing does."""
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


def prepare(device: str, dtype: torch.dtype = torch.float32) -> None:
    """Let torch use the kernels that suit this work, in this precision.

    cuDNN chooses among its kernels by a stopwatch, since the shapes of a job are few and come again and again. Products
    of float32 matrices are exact ones, whatever the surroundings say: `muon` depends on it. In bfloat16 a processor
    computes attention by plain products: the gradient of torch's fused kernel takes six times as long there as in
    float32, and a whole step into a small ViT twice as long as by products.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.enable_flash_sdp(device == "cuda" or dtype != torch.bfloat16)
    if device == "cuda":
        torch.backends.cudnn.benchmark = True


def free_memory(device: str) -> int | None:
    """Bytes of a GPU that are free for this process, those that torch keeps for reuse included; None for a CPU."""
    if device != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info()
    return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()


def release_memory() -> None:
    """Give back what torch keeps of a GPU's memory for reuse, where a GPU is in use."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Say in one line that the device's memory is exhausted, and what to do.

    Args:
        advice: which keys of the config to lower.

    Raises:
        ModelstitchError: in the place of torch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelstitchError(f"the device's memory is exhausted: lower {advice}") from error


def in_batches(work: Callable[[slice], Result], images: int, size: int) -> Iterator[Result]:
    """What `work` gives of each batch of images, in order; a batch that exhausts the memory is halved and begun anew.

    Args:
        work: is given which of the images are the batch's, and adds to nothing outside, since it may be begun twice.
        images: how many there are.
        size: images in a batch at first; those after a halved one are as small.

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
    """Whether the device has instructions for bfloat16: a processor without them is several times slower in it."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch has no public names for these two.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def fast_bfloat16(device: str) -> bool:
    """Whether the device computes bfloat16 faster than float32.

    Of processors, those with AMX, and AMD's with AVX512_BF16, whose products are twice as fast. Intel's with
    AVX512_BF16 but without AMX, which a virtual machine may hide, ran it at half the rate of float32
    (docs/notes/performance.md). Where no /proc/cpuinfo tells the maker, the presence of the instructions decides.
    """
    if device == "cuda" or torch.cpu._is_amx_tile_supported() or not CPUINFO.exists():
        return has_bfloat16(device)
    return has_bfloat16(device) and b"GenuineIntel" not in CPUINFO.read_bytes()


def choose_precision(precision: str, device: str) -> torch.dtype:
    """`auto` is bfloat16 where the device computes it faster than float32, and float32 elsewhere."""
    if precision == "auto":
        precision = "bfloat16" if fast_bfloat16(device) else "float32"
    return getattr(torch, precision)


def device_name(device: str) -> str:
    """Name of the device as its maker gives it, for records."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"cpu ({capability})"
