"""Names of architectures, networks and pairs, in file names, tables and wildcards."""

import re
from pathlib import Path
from typing import NamedTuple

from modelstitch.errors import ModelstitchError

RECIPES = ("trained", "random", "calibrated", "pretrained")
ARCHITECTURE = r"[A-Za-z0-9][A-Za-z0-9._+-]*"  # a name by which results are filed
SMALL_RESNET = "R[1-9]{4}"
NETWORK = rf"{ARCHITECTURE}_[a-z]+_s\d+"


class NetworkId(NamedTuple):
    """Architecture, recipe and seed of a network: `R1112_trained_s0`. Nothing else is ever read out of an id.

    Recipes: `trained`, from scratch; `random`, the initial weights; `calibrated`, the same random weights with their
    batch-norm statistics settled by one pass over the training images; `pretrained`, weights from elsewhere.
    """

    architecture: str
    recipe: str
    seed: int

    def __str__(self) -> str:
        return f"{self.architecture}_{self.recipe}_s{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "NetworkId":
        """The network id with this name.

        Raises:
            ModelstitchError: if `text` is not `<architecture>_<recipe>_s<seed>`.
        """
        match = re.fullmatch(rf"({ARCHITECTURE})_([a-z]+)_s(\d+)", text)
        if match is None or match[2] not in RECIPES:
            raise ModelstitchError(
                f"{text!r} is not a network: expected <architecture>_<recipe>_s<seed>, "
                f"with a recipe of {', '.join(RECIPES)} (R1112_trained_s0)"
            )
        return cls(match[1], match[2], int(match[3]))


class PairIds(NamedTuple):
    """An ordered pair: the sender's first half goes into the receiver's second half."""

    sender: NetworkId
    receiver: NetworkId


def place_of(path: Path | str, folders: int = 0) -> dict[str, str]:
    """The objective, sender and receiver that a path `.../<objective>/<sender>/<receiver>.<suffix>` names.

    Args:
        path: of a file of a pair.
        folders: how many there are between those of objective and sender.
    """
    parts = Path(path).parts
    return {"objective": parts[-3 - folders], "sender": parts[-2], "receiver": Path(path).stem}
