"""Tensors as files: safetensors with digests in the header, which show whether the file is as it was written.

The header has a SHA-256 of the tensors (`tensors`), which identifies the weights, and one of all the header's texts
(`digest`), so that a header can be trusted without reading the tensors.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import replacing, to_json
from modelstitch.headers import DIGEST, TENSORS, digest_of_header, read_header


def write(path: Path | str, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write tensors, and texts in the header.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    header = dict(texts) | {TENSORS: digest(tensors)}
    with replacing(path) as temporary:
        save_file(_apart(tensors), temporary, metadata=header | {DIGEST: digest_of_header(header)})


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU, with copies of those that share memory, as safetensors demands."""
    seen: set[int] = set()
    found = {}
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        place = value.untyped_storage().data_ptr()
        found[name] = value.clone() if place in seen else value
        seen.add(place)
    return found


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, types, shapes and bits of tensors."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        found.update(to_json([name, str(value.dtype), list(value.shape)]).encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def read(path: Path | str, what: str, advice: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header's texts of a file that `write` wrote.

    Args:
        path: path of the file.
        what: what the file is, for errors: `network`.
        advice: what to do if it is damaged, for errors.

    Raises:
        ModelstitchError: if the file can't be opened, is no safetensors or isn't what was written.
    """
    texts = read_header(path, what, advice)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, ValueError, MemoryError) as error:
        raise ModelstitchError(f"{path}: is no {what}, or a damaged one ({first_line(error)}): {advice}") from error
    if digest(tensors) != texts[TENSORS]:
        raise ModelstitchError(
            f"{path}: is no {what}, or a damaged one (its SHA-256 is not the one it was written with): {advice}"
        )
    return tensors, texts
