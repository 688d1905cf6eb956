"""What an objective is asked for: the cells of a pair, the images, and how they are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from modelstitch.config.stitches import LeastSquares, TrainedStitches
from modelstitch.stitches.geometry import Cell, Geometry

if TYPE_CHECKING:
    from modelstitch.data.images import DeviceImages
    from modelstitch.networks.frozen import FrozenNetwork


class FitInputs(NamedTuple):
    """Stitches to fit.

    Attributes:
        sender, receiver: the frozen networks.
        geometries: of the cells' stitches, `in_order`.
        images: the training images; a closed form takes them as they are, without augmentation.
        settings: the protocol and its numbers.
        seed: what random numbers are seeded with: the study's, then the networks, then the objective, its number
            included.
        label: names the work in its progress.
    """

    sender: FrozenNetwork
    receiver: FrozenNetwork
    geometries: Mapping[Cell, Geometry]
    images: DeviceImages
    settings: TrainedStitches | LeastSquares
    seed: Sequence[object]
    label: str = "stitches"

    def as_for_the_task(self) -> FitInputs:
        """The same, seeded as the task's: its stitches start alike and see the images in the same order."""
        return self._replace(seed=(*self.seed[:-1], "task"))
