"""The maker of a result: code, releases and machine, in the first line of a job's log, where the account finds it.

Results themselves do not hold it, so that equal results are equal bytes.
"""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import modelstitch
from modelstitch.files import parse_json, to_json

CHECKOUT = Path(modelstitch.__file__).parents[1]
# What numbers, figures and files depend on.
PACKAGES = (
    "h5py",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "torch",
    "torchvision",
)
CPUINFO = Path("/proc/cpuinfo")
GPUS = Path("/proc/driver/nvidia/gpus")
MARK = "by "  # before the maker, in a log
LONGEST = 2**20  # bytes of a log's first line that are looked at


def describe_maker(params: dict[str, Any]) -> dict[str, Any]:
    """The maker of results in this process: `commit`, `versions`, `machine`, and a job's `params` by name.

    The commit of the checkout ends in `-dirty` if tracked files differ from it, and is "" outside git. A machine is
    described by its hardware, never by its name.
    """
    versions = {"modelstitch": modelstitch.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"commit": commit_of(CHECKOUT), "versions": versions, "machine": _machine(), "params": params}


def commit_of(checkout: Path) -> str:
    """The commit of a checkout; "" if the folder is no checkout, or git can't tell."""
    if not (checkout / ".git").exists():
        return ""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        surroundings = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=surroundings)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _machine() -> dict[str, Any]:
    gpus = [_field(file, "Model") for file in sorted(GPUS.glob("*/information"))]
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _field(CPUINFO, "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpus": [gpu for gpu in gpus if gpu],
    }


def _field(file: Path, name: str) -> str:
    """The first value of a name in a file of lines like `model name : ...`."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def to_line(maker: dict[str, Any]) -> str:
    """A maker as the message of a log's first line."""
    return MARK + to_json(maker, default=str, skipkeys=True)


def maker_of(log: Path | str) -> dict[str, Any] | None:
    """The maker who wrote a job's log and its results; None if the log is gone or has no such line."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            _, mark, text = file.readline(LONGEST).partition(f" {MARK}")
        maker = parse_json(text) if mark else None
    except (OSError, ValueError):
        return None
    return maker if isinstance(maker, dict) else None
