"""Which networks are stitched to which, by their recipes."""

from typing import Annotated

from pydantic import Field

from modelstitch.config.networks import Recipe
from modelstitch.config.section import UNIQUE, Section


class PairRecipes(Section):
    """Every network of the sender's recipe with every network of the receiver's, self-pairs included."""

    sender: Recipe = Field(description="recipe of the network that gives its first layers")
    receiver: Recipe = Field(description="recipe of the network that gives its last layers")


Pairs = Annotated[tuple[PairRecipes, ...], *UNIQUE]
