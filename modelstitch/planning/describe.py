"""Descriptions of networks, made in a separate process, so that planning needs no torch, and kept in a folder.

`python -m modelstitch.planning.describe` reads what to describe from standard input, and prints the descriptions.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from modelstitch.config.networks import LIBRARY, Architecture
from modelstitch.config.section import read
from modelstitch.data.datasets import Sizes
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.networks.description import Description

PACKAGES = ("torch", "torchvision", "timm")


def describe_all(
    architectures: Mapping[str, Architecture], sizes: Sizes, folder: Path | str, code: str
) -> dict[str, Description]:
    """Describe architectures for the images of a data set.

    Descriptions that were made before are read from `folder`. If it can't be written, nothing is kept.

    Args:
        architectures: complete architectures, by their place in the study file, which errors name.
        sizes: the data set's sizes.
        folder: where descriptions are kept.
        code: fingerprint of the code that makes descriptions.

    Returns:
        Descriptions by the names of the architectures.

    Raises:
        ModelstitchError: one line for each architecture that can't be built or cut.
    """
    wanted = {place: _request(architecture, sizes) for place, architecture in architectures.items()}
    files = {place: Path(folder) / f"{_digest(request, code)}.json" for place, request in wanted.items()}
    found = {place: kept for place, file in files.items() if (kept := _kept(file)) is not None}
    if missing := {place: request for place, request in wanted.items() if place not in found}:
        new = _described(missing)
        for place, values in new.items():
            if "error" not in values:
                found[place] = values
                with contextlib.suppress(ModelstitchError), replacing(files[place]) as temporary:
                    temporary.write_text(json.dumps(values))
        if problems := [f"{place}: {value['error']}" for place, value in new.items() if "error" in value]:
            raise ModelstitchError("\n".join(problems))
    return {architectures[place].name: Description.from_json(found[place]) for place in wanted}


def _request(architecture: Architecture, sizes: Sizes) -> dict[str, Any]:
    """Everything that a description depends on, as JSON."""
    kept = {"model", "name", "arguments", "stem", "image_size", "layers"}
    request = architecture.model_dump(mode="json", include=kept)
    for name in ("mean", "std"):  # of which only their number tells anything
        request[name] = None if getattr(architecture, name) is None else [1.0] * len(getattr(architecture, name))
    if architecture.weights == LIBRARY:  # its images have the library's size
        request["weights"] = LIBRARY
    return request | {"image": list(sizes.image), "classes": len(architecture.classes or ()) or sizes.classes}


def _digest(request: Mapping[str, Any], code: str) -> str:
    releases = {name: _release(name) for name in PACKAGES}
    file, _, _ = request["model"].rpartition(":")
    own = Path(file).read_text() if file.endswith(".py") and Path(file).is_file() else ""
    return hashlib.sha256(json.dumps([request, releases, own, code]).encode()).hexdigest()[:32]


def _release(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _kept(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def _described(requests: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "modelstitch.planning.describe"],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2] or f"ended by signal {-done.returncode}"
        raise ModelstitchError(f"the networks can't be described: {reason}")
    return json.loads(done.stdout.strip().rpartition("\n")[2])


def main() -> None:
    from modelstitch.planning.description_of import description_of  # torch, after all

    found = {}
    for place, request in json.load(sys.stdin).items():
        image, classes = request.pop("image"), request.pop("classes")
        try:
            found[place] = description_of(read(Architecture, request), tuple(image), classes).as_json()
        except ModelstitchError as error:
            found[place] = {"error": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
