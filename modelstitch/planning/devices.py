"""Whether jobs on this machine may use a GPU, found out without torch, whose import takes seconds."""

import os
from importlib import metadata
from pathlib import Path

NO_GPU = "device cuda: torch finds no GPU here: expected cpu or auto"  # as `hardware.choose_device` says it
# Of NVIDIA's driver, of AMD's, and of Windows beneath Linux.
FILES = ("/dev/nvidia0", "/dev/kfd", "/dev/dxg")


def may_have_gpu() -> bool:
    """Whether a driver has a GPU, torch is built for it, and the environment does not hide it."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or _torch_is_for_processors():
        return False
    return any(Path(file).exists() for file in FILES)


def _torch_is_for_processors() -> bool:
    try:
        return metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:  # Snakemake makes the jobs' environment
        return False
