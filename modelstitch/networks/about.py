"""What the header of a network's file says about it, read without weights and without torch."""

from pathlib import Path
from typing import Any

from modelstitch.files import replacing, to_json
from modelstitch.headers import TENSORS, read_header, read_json

WHAT = "network"
OTHER = (
    "of a checkpoint of your own, load the weights into its module, and give that to Network(module), or name the file "
    "as weights in a study (recipe pretrained); if a study made it, run the study again with --forcerun and this file"
)


def read(path: Path | str) -> dict[str, Any]:
    """A network's `about`, with `weights`: the SHA-256 of its weights.

    Raises:
        ModelstitchError: if the file is missing, of another kind, or its header is damaged.
    """
    texts = read_header(path, WHAT, OTHER)
    return read_json(path, texts, "about") | {"weights": texts[TENSORS]}


def write_json(network: Path | str, path: Path | str) -> None:
    """Write a network's `about`, read from its file, as readable JSON.

    Raises:
        ModelstitchError: as `read`, or if the file can't be written.
    """
    about = read(network)
    with replacing(path) as temporary:
        temporary.write_text(to_json(about, indent=2) + "\n", encoding="utf-8")
