"""What is known of a network from its shapes alone: layers, operations, memory, bytes. No torch is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from modelstitch.networks.representations import Representation


@dataclass(frozen=True)
class Description:
    """A network as a forecast sees it. A piece leads from one layer to the next, the first from the image, the last to
    the logits; all counts are for one image.

    Attributes:
        image: shape (C, H, W) of the images that it takes.
        names: of its layers, L of them.
        layers: what they give.
        operations: of the forward pass of each of L + 1 pieces, a multiplication and an addition being two.
        largest: numbers of each piece's largest tensor.
        kept: numbers that autograd keeps of each frozen piece for the gradient of its input.
        activations: numbers that all operations of the network give.
        parameters: weights and statistics, in numbers.
        tensors: of how many tensors these are.
        winograd: products of input and output channels over the convolutions that take fewer multiplications.
    """

    image: tuple[int, int, int]
    names: tuple[str, ...]
    layers: tuple[Representation, ...]
    operations: tuple[int, ...]
    largest: tuple[int, ...]
    kept: tuple[int, ...]
    activations: int
    parameters: int
    tensors: int
    winograd: int

    @property
    def shapes(self) -> dict[int, Representation]:
        """What every layer gives, by layer; -1 is the image."""
        return dict(enumerate((Representation(*self.image), *self.layers), start=-1))

    @property
    def total_operations(self) -> int:
        """Of a forward pass."""
        return sum(self.operations)

    def prefix_operations(self, layer: int) -> int:
        """Of a forward pass up to a layer."""
        return sum(self.operations[: layer + 1])

    def suffix_operations(self, layer: int) -> int:
        """Of a forward pass from a layer on."""
        return sum(self.operations[layer + 1 :])

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes it again."""
        return asdict(self) | {"layers": [layer._asdict() for layer in self.layers]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Description:
        """The description whose `as_json` these are."""
        lists = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**lists | {"layers": tuple(Representation(**layer) for layer in values["layers"])})
