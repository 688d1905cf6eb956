"""Which networks are stitched to which, by recipe and architecture."""

from typing import Annotated

from pydantic import Field

from modelstitch.config.networks import Recipe
from modelstitch.config.section import UNIQUE, Section
from modelstitch.identifiers import NetworkId

Architectures = Annotated[tuple[str, ...], Field(min_length=1), *UNIQUE] | None


class PairRecipes(Section):
    """Every network of the sender's recipe with every network of the receiver's, self-pairs included."""

    sender: Recipe = Field(description="recipe of the network that gives its first layers")
    receiver: Recipe = Field(description="recipe of the network that gives its last layers")
    senders: Architectures = Field(default=None, description="only of these architectures, by name; null is all")
    receivers: Architectures = Field(default=None, description="only of these architectures, by name; null is all")

    @property
    def recipes(self) -> tuple[str, str]:
        """Recipes of the sender and of the receiver."""
        return self.sender, self.receiver

    def joins(self, sender: NetworkId, receiver: NetworkId) -> bool:
        """Whether this section contains the pair of networks."""
        return (
            (sender.recipe, receiver.recipe) == self.recipes
            and (self.senders is None or sender.architecture in self.senders)
            and (self.receivers is None or receiver.architecture in self.receivers)
        )


Pairs = Annotated[tuple[PairRecipes, ...], *UNIQUE]
