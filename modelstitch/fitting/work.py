"""Operations and memory that the cells of a pair need, from the networks' descriptions. No torch is imported here."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from modelstitch.config.families import LINEAR, Family
from modelstitch.config.stitches import AdamStitches, PaperStitches
from modelstitch.networks.description import Description
from modelstitch.stitches.families import family_of, geometry_of, has_statistics
from modelstitch.stitches.geometry import Cell, Geometry, geometries


@dataclass(frozen=True)
class PairWork:
    """Some cells of an ordered pair.

    Attributes:
        sender, receiver: the networks.
        sender_recipe, receiver_recipe: how they got their weights: a random network is left out of the teacher.
        sender_layers, receiver_layers: the layers of the cells; -1 is the network's input.
        family: the config section of the stitches' family.
    """

    sender: Description
    receiver: Description
    sender_recipe: str
    receiver_recipe: str
    sender_layers: Sequence[int]
    receiver_layers: Sequence[int]
    family: Family = LINEAR

    @cached_property
    def geometries(self) -> dict[Cell, Geometry]:
        """The geometry of each cell's stitch."""
        layers = self.sender_layers, self.receiver_layers
        return geometries(self.sender.shapes, self.receiver.shapes, *layers, geometry_of(self.family))

    @property
    def stitch_operations(self) -> int:
        """Operations of one forward pass of every stitch for one image."""
        return sum(stitch_operations(geometry, self.family) for geometry in self.geometries.values())

    @property
    def stitch_numbers(self) -> list[int]:
        """How many numbers (weights, biases and the like) each stitch has."""
        return [stitch_numbers(geometry, self.family) for geometry in self.geometries.values()]

    def passes_operations(self, passes: int) -> int:
        """Operations of all cells on one image; the sender's pass is shared.

        In training, a frozen suffix costs a forward pass and as much again for the gradient of its input. A stitch,
        whose input needs no gradient, costs a forward pass and the gradient of its weights. Anything else a family
        does, such as the gradient of a hidden layer, is not counted: a forecast measures how long these operations
        take on its machine.

        Args:
            passes: 2 for a step of training, 1 for an evaluation.
        """
        cells = sum(self.receiver.suffix_operations(j) for _, j in self.geometries) + self.stitch_operations
        return self.sender.prefix_operations(max(self.sender_layers)) + passes * cells


@cache
def stitch_operations(geometry: Geometry, family: Family = LINEAR) -> int:
    """Operations of a stitch's forward pass for one image."""
    return family_of(family.name).operations(geometry, family)


@cache
def stitch_numbers(geometry: Geometry, family: Family = LINEAR) -> int:
    """How many numbers (weights, biases and the like) a stitch has."""
    return family_of(family.name).numbers(geometry, family)


def needs_moments(settings: AdamStitches | PaperStitches) -> bool:
    """Whether stitches start from least squares, or have tensors that are always taken from it."""
    return settings.start == "least-squares" or has_statistics(settings.family)


def moments_bytes(work: PairWork) -> int:
    """Bytes of the normal equations of all cells, in float64, while the largest covariance is inverted.

    Parts with the same inputs share a matrix. The inversion holds six square matrices.
    """
    outputs: dict[tuple, list[int]] = {}
    for (i, _), geometry in work.geometries.items():
        for place, part in enumerate(geometry.parts):
            key = (i, *geometry.seen_by(place))
            inputs, total = outputs.setdefault(key, [part.inputs, 0])
            outputs[key] = [inputs, total + part.outputs]
    numbers = sum((inputs + 1) * (inputs + 1 + total) + inputs**2 for inputs, total in outputs.values())
    largest = max(inputs for inputs, _ in outputs.values())
    return 8 * (numbers + 6 * largest**2)  # `inputs**2` stands for two float32 matrices
