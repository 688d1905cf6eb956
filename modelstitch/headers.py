"""The headers of safetensors files that modelstitch wrote (`modelstitch.tensors`), read without torch."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelstitch.errors import ModelstitchError
from modelstitch.files import opened, parse_json, to_json

TENSORS, DIGEST = "tensors", "digest"
LONGEST = 100_000_000  # bytes of a header, as safetensors allows


def digest_of_header(texts: Mapping[str, str]) -> str:
    """SHA-256 of a header's texts, except the digest itself."""
    kept = {name: text for name, text in texts.items() if name != DIGEST}
    return hashlib.sha256(to_json(kept, sort_keys=True).encode()).hexdigest()


def read_header(path: Path | str, what: str, advice: str) -> dict[str, str]:
    """The texts in a header.

    Args:
        path: path of the file.
        what: what the file is, for errors: `network`.
        advice: what to do if it is damaged, for errors.

    Raises:
        ModelstitchError: if the file can't be opened, is no safetensors of modelstitch, or its header isn't what was
            written.
    """
    with opened(path, what) as file:
        length = int.from_bytes(file.read(8), "little")
        header: Any = file.read(length) if length <= LONGEST else b""
    try:
        header = parse_json(header.decode())
        texts = header.get("__metadata__", {})
    except (ValueError, AttributeError) as error:
        raise ModelstitchError(
            f"{path}: is no {what}, or a damaged one (its header is not readable): {advice}"
        ) from error
    if not isinstance(texts, dict) or not {TENSORS, DIGEST} <= texts.keys():
        raise ModelstitchError(f"{path}: is no {what} that modelstitch saved: {advice}")
    if digest_of_header(texts) != texts[DIGEST]:
        raise ModelstitchError(
            f"{path}: is no {what}, or a damaged one (its SHA-256 is not the one it was written with): {advice}"
        )
    return texts


def read_json(path: Path | str, texts: Mapping[str, str], name: str) -> dict[str, Any]:
    """A text of a header that holds a mapping as JSON.

    Raises:
        ModelstitchError: if it is missing, or holds anything else.
    """
    try:
        value = parse_json(texts[name])
    except KeyError as error:
        raise ModelstitchError(f"{path}: {name}: is missing in the header") from error
    except ValueError as error:
        raise ModelstitchError(f"{path}: {name}: is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelstitchError(f"{path}: {name}: is a {type(value).__name__}: expected a mapping")
    return value
