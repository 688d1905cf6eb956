"""The networks of a study as a tidy table, one row per network, from the JSON files beside the weights."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from modelstitch.analysis.tables import in_order
from modelstitch.errors import ModelstitchError

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


def networks(paths: Sequence[Path | str]) -> pd.DataFrame:
    """One row per network, with `COLUMNS`, sorted by recipe and name; `width` is that of a Small ResNet.

    `changes` are those of the images that it was trained on, `accuracy_changed` its accuracy on test images changed so.

    Raises:
        ModelstitchError: if a file is no JSON or lacks one of the columns, naming it.
    """
    table = pd.DataFrame([_network(path) for path in paths], columns=list(COLUMNS)).astype(COLUMNS)
    return in_order(table, ["recipe", "architecture", "seed"])


def _network(path: Path | str) -> dict[str, object]:
    try:
        about = json.loads(Path(path).read_text(encoding="utf-8"))
        return {name: about[name] for name in COLUMNS}
    except (OSError, ValueError) as error:
        raise ModelstitchError(f"{path}: can't be read as JSON ({error}): delete it and run the study again") from error
    except KeyError as error:
        raise ModelstitchError(f"{path}: key {error} is missing: delete it and run the study again") from error
