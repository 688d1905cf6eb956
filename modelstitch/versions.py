"""The releases of packages that a result was computed with."""

import platform
from importlib import metadata

import modelstitch

PACKAGES = ("torch", "numpy", "h5py", "safetensors")


def installed_versions() -> dict[str, str]:
    """Release of this package, of Python, and of the packages that numbers or files depend on."""
    releases = {"modelstitch": modelstitch.__version__, "python": platform.python_version()}
    return releases | {name: metadata.version(name) for name in PACKAGES}
