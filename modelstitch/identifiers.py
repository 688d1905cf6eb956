"""Names of networks and pairs, as they stand in file names, tables and wildcards."""

import re
from typing import NamedTuple

from modelstitch.errors import ModelstitchError
from modelstitch.networks.architectures import PATTERN

RECIPES = ("trained", "random", "calibrated")


class NetworkId(NamedTuple):
    """Architecture, recipe and seed of a network: `R1112_trained_s0`.

    Recipes: `trained`; `random`, the initial weights; `calibrated`, the same random weights with their batch-norm
    statistics settled by one pass over the training images.
    """

    architecture: str
    recipe: str
    seed: int

    def __str__(self) -> str:
        return f"{self.architecture}_{self.recipe}_s{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "NetworkId":
        """Network id from its name.

        Raises:
            ModelstitchError: if `text` is not `<architecture>_<recipe>_s<seed>`.
        """
        match = re.fullmatch(rf"({PATTERN})_([a-z]+)_s(\d+)", text)
        if match is None or match[2] not in RECIPES:
            raise ModelstitchError(
                f"{text!r} is not a network: expected <architecture>_<recipe>_s<seed>, "
                f"with a recipe of {', '.join(RECIPES)} (R1112_trained_s0)"
            )
        return cls(match[1], match[2], int(match[3]))


class Pair(NamedTuple):
    """An ordered pair: the sender's first half goes into the receiver's second half."""

    sender: NetworkId
    receiver: NetworkId
