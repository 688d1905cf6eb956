"""Description of a network from its shapes: layers, operations, memory, bytes. No torch is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from modelstitch.networks.representations import Representation


@dataclass(frozen=True)
class Description:
    """A network as a forecast sees it, with L layers. All counts are for one image.

    A piece is the part from one layer to the next; the first begins at the image, the last ends at the logits.

    Attributes:
        image: shape (C, H, W) of its images.
        names: names of the layers.
        layers: shapes of the layers' outputs.
        operations: operations of the forward pass of each of L + 1 pieces; a multiplication with an addition is two.
        largest: size of each piece's largest tensor, in numbers.
        kept: numbers that autograd keeps of each frozen piece for the gradient of its input.
        activations: numbers in the outputs of all operations.
        parameters: numbers in weights and statistics.
        tensors: number of these tensors.
        winograd: input times output channels, summed over the convolutions that use `winograd`.
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
        """Shape of every layer's output, by layer; -1 is the image."""
        return dict(enumerate((Representation(*self.image), *self.layers), start=-1))

    @property
    def total_operations(self) -> int:
        """Operations of a forward pass."""
        return sum(self.operations)

    def prefix_operations(self, layer: int) -> int:
        """Operations of a forward pass up to a layer."""
        return sum(self.operations[: layer + 1])

    def suffix_operations(self, layer: int) -> int:
        """Operations of a forward pass from a layer on."""
        return sum(self.operations[layer + 1 :])

    def as_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        return asdict(self) | {"layers": [layer._asdict() for layer in self.layers]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Description:
        """The description with these values, from `as_json`."""
        lists = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**lists | {"layers": tuple(Representation(**layer) for layer in values["layers"])})
