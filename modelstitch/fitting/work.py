"""The work that the cells of a pair are, from descriptions alone. No torch is imported here."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from modelstitch.networks.description import Description
from modelstitch.stitches.geometry import Cell, Geometry, geometries


@dataclass(frozen=True)
class PairWork:
    """Some cells of an ordered pair.

    Attributes:
        sender, receiver: the networks.
        sender_recipe, receiver_recipe: how they got their weights: a random network teaches nothing.
        sender_layers, receiver_layers: of the cells; receiver layer -1 is its input.
    """

    sender: Description
    receiver: Description
    sender_recipe: str
    receiver_recipe: str
    sender_layers: Sequence[int]
    receiver_layers: Sequence[int]

    @cached_property
    def geometries(self) -> dict[Cell, Geometry]:
        """Of the cells' stitches."""
        return geometries(self.sender.shapes, self.receiver.shapes, self.sender_layers, self.receiver_layers)

    def passes_operations(self, passes: int) -> int:
        """Operations of all cells on one image, the sender's pass shared.

        A frozen suffix costs a forward pass and as much again for the gradient of its input; a stitch, whose input
        needs no gradient, a forward pass and the gradient of its weights.

        Args:
            passes: 2 for a step of training, 1 for an evaluation.
        """
        cells = sum(
            self.receiver.suffix_operations(j) + stitch_operations(at) for (_, j), at in self.geometries.items()
        )
        return self.sender.prefix_operations(max(self.sender_layers)) + passes * cells


def stitch_operations(geometry: Geometry) -> int:
    """Operations of a linear stitch's forward pass for one image."""
    return sum(2 * part.places * part.inputs * part.outputs for part in geometry.parts)


def stitch_numbers(geometry: Geometry) -> int:
    """Weights and biases of a linear stitch."""
    return sum((part.inputs + 1) * part.outputs for part in geometry.parts)


def moments_bytes(work: PairWork) -> int:
    """Bytes of the normal equations of all cells, in float64, while the largest covariance is inverted.

    Parts that see the same share a matrix; six square ones are alive in the inversion.
    """
    outputs: dict[tuple, list[int]] = {}
    for (i, _), geometry in work.geometries.items():
        for place, part in enumerate(geometry.parts):
            key = (i, *geometry.seen_by(place))
            inputs, total = outputs.setdefault(key, [part.inputs, 0])
            outputs[key] = [inputs, total + part.outputs]
    numbers = sum((inputs + 1) * (inputs + 1 + total) + inputs**2 for inputs, total in outputs.values())
    largest = max(inputs for inputs, _ in outputs.values())
    return 8 * (numbers + 6 * largest**2)  # the square of the inputs twice, in float32
