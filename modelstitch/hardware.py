"""What the machine computes on, and in which precision."""

import torch

from modelstitch.errors import ModelstitchError


def choose_device(device: str) -> str:
    """`auto` is the GPU where there is one.

    Raises:
        ModelstitchError: if `cuda` is asked for and there is none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelstitchError("jobs.device: cuda: torch finds no GPU here: expected cpu or auto")
    return device


def fast_bfloat16(device: str) -> bool:
    """Whether the device has instructions for bfloat16: a processor without them is several times slower in it."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch has no public name for these two.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def choose_precision(precision: str, device: str) -> torch.dtype:
    """`auto` is bfloat16 where the device computes it fast, and float32 elsewhere."""
    if precision == "auto":
        precision = "bfloat16" if fast_bfloat16(device) else "float32"
    return getattr(torch, precision)


def device_name(device: str) -> str:
    """Name of the device as its maker gives it, for records."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"cpu ({capability})"
