"""The input of an objective: the cells of a pair, the images, and how the stitches are trained."""

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
        geometries: the geometry of each cell's stitch, `in_order`.
        images: the training images; protocols in closed form use them without augmentation.
        settings: the protocol and its settings.
        seed: the seed of random numbers: the study's seed, the names of the networks, and the objective with its
            number.
        label: the name of the work in progress lines.
    """

    sender: FrozenNetwork
    receiver: FrozenNetwork
    geometries: Mapping[Cell, Geometry]
    images: DeviceImages
    settings: TrainedStitches | LeastSquares
    seed: Sequence[object]
    label: str = "stitches"

    def as_for_the_task(self) -> FitInputs:
        """The same with the seed of the task: stitches start as for the task and see the images in the same order."""
        return self._replace(seed=(*self.seed[:-1], "task"))
