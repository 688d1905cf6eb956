"""The networks of a study as a tidy table, one row per network, from the JSON files beside the weights."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from modelstitch.analysis.tables import in_order
from modelstitch.errors import ModelstitchError
from modelstitch.files import parse_json

COLUMNS = {
    "network": "str",
    "architecture": "str",
    "recipe": "str",
    "seed": "int64",
    "model": "str",
    "arguments": "str",
    "width": "Int64",
    "parameters": "int64",
    "accuracy": "float64",
    "loss": "float64",
    "train_accuracy": "float64",
    "changes": "str",
    "accuracy_changed": "float64",
    "test_images": "int64",
    "classes": "int64",
    "dataset": "str",
}
WORDS = {"str": "text", "float64": "a number, of an accuracy 0 to 1"} | dict.fromkeys(
    ("int64", "Int64"), "a whole number"
)
AGAIN = "delete it and run the study again"


def networks(paths: Sequence[Path | str]) -> pd.DataFrame:
    """One row per network, with `COLUMNS`, sorted by recipe and name; `width` is that of a Small ResNet.

    `changes` says how its training images were changed; `accuracy_changed` is its accuracy on test images with the same
    changes.

    Raises:
        ModelstitchError: if a file is no JSON, or lacks a column or has an impossible value in it; names both.
    """
    table = pd.DataFrame([_network(path) for path in paths], columns=list(COLUMNS)).astype(COLUMNS)
    return in_order(table, ["recipe", "architecture", "seed"])


def read_about(path: Path | str) -> dict[str, object]:
    """The contents of a network's JSON file.

    Raises:
        ModelstitchError: if the file can't be opened, is no JSON or no mapping.
    """
    try:
        about = parse_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelstitchError(f"{path}: can't be opened: {error.strerror}") from error
    except ValueError as error:
        raise ModelstitchError(f"{path}: can't be read as JSON ({error}): {AGAIN}") from error
    if not isinstance(about, dict):
        raise ModelstitchError(f"{path}: is a {type(about).__name__}: expected a mapping: {AGAIN}")
    return about


def _network(path: Path | str) -> dict[str, object]:
    about = read_about(path)
    for name, kind in COLUMNS.items():
        if name not in about:
            raise ModelstitchError(f"{path}: key {name!r} is missing: {AGAIN}")
        if not _fits(name, about[name], kind):
            raise ModelstitchError(f"{path}: {name}: {str(about[name])[:80]!r}: expected {WORDS[kind]}: {AGAIN}")
    if about["network"] != Path(path).stem:
        raise ModelstitchError(f"{path}: network: {about['network']!r}: it is another network's: {AGAIN}")
    return {name: about[name] for name in COLUMNS}


def _fits(name: str, value: object, kind: str) -> bool:
    """Whether a value is of a column's kind, and within its bounds."""
    if value is None:
        return name in ("width", "loss", "train_accuracy", "accuracy_changed")
    if isinstance(value, bool) or not isinstance(value, {"str": str, "float64": int | float}.get(kind, int)):
        return False
    if "accuracy" in name:
        return 0 <= value <= 1
    return kind == "str" or 0 <= value < 2**63
