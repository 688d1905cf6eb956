"""How the shape of one representation becomes that of another, whatever the two are: grids, extra tokens, vectors.

From a grid that is k times larger, k x k patches with stride k; from one of the same size, place by place; from a
smaller one, place by place and nearest upsampling, which equals upsampling first and is up to k**2 times cheaper (arXiv
2303.11277). Sizes of which neither divides the other: bilinear resizing, then place by place (arXiv 2412.11299). The
grid of a Transformer's tokens is one as that of a map; a vector is a grid of one place. A family may say otherwise:
with a margin around each place, or another way to resize.

No torch is imported here: planning a study asks for shapes.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from modelstitch.networks.representations import Representation

Cell = tuple[int, int]  # sender layer, receiver layer

# Of one output of a stitch. The covariance of so many is half a GiB in float64; the paper's largest patches have 4096.
MOST_INPUTS = 8192


class Part(NamedTuple):
    """One linear map of a stitch: how many numbers go in and come out, at how many places of an image.

    Attributes:
        places: how many.
        inputs: what it sees at each place, D.
        outputs: what it gives there, O.
    """

    places: int
    inputs: int
    outputs: int


class Geometry(NamedTuple):
    """How a representation of one shape becomes one of another.

    Attributes:
        source, target: the shapes.
        resize: height and width that the source's grid is resized to before anything else; None: as it is.
        kernel: height and width of the patches, and their stride; 1 x 1 is place by place.
        scale: upsampling at the end, of height and width.
        margin: how many places around a patch are seen with it, zeros beyond the border.
        interpolation: how the grid is resized, `bilinear` or `nearest`; None: by means where it divides, else bilinear.
    """

    source: Representation
    target: Representation
    resize: tuple[int, int] | None
    kernel: tuple[int, int]
    scale: tuple[int, int]
    margin: int = 0
    interpolation: str | None = None

    @classmethod
    def between(cls, source: Representation, target: Representation) -> "Geometry":
        """The geometry from any representation to any other."""
        sizes = list(zip(source.grid, target.grid, strict=True))
        resized = cls(source, target, target.grid, (1, 1), (1, 1))
        if any(before % after and after % before for before, after in sizes):
            return resized
        kernel = tuple(max(1, before // after) for before, after in sizes)
        scale = tuple(max(1, after // before) for before, after in sizes)
        pooling = _pooling(kernel, source.channels)
        if pooling == 1:
            return cls(source, target, None, kernel, scale)
        kernel = tuple(max(1, side // pooling) for side in kernel)
        resize = tuple(side * after // times for side, after, times in zip(kernel, target.grid, scale, strict=True))
        return cls(source, target, resize, kernel, scale)

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the grid of patches: that of the target, before upsampling."""
        return tuple(side // factor for side, factor in zip(self.target.grid, self.scale, strict=True))

    @property
    def all_tokens(self) -> bool:
        """Whether extra tokens go to extra tokens by the map of all others."""
        same_places = self.kernel == self.scale == (1, 1) and not self.margin
        return self.source.extra == self.target.extra > 0 and same_places

    @property
    def parts(self) -> tuple[Part, ...]:
        """The linear maps: of the places, then of the extra tokens, where those have one of their own.

        To a class token from a grid: from the mean of the grid. From a class token to a grid without one: it is seen at
        every place beside the place itself.
        """
        source, target = self.source, self.target
        patch = math.prod(side + 2 * self.margin for side in self.kernel) * source.channels
        places = math.prod(self.grid)
        if self.all_tokens:
            return (Part(places + target.extra, patch, target.channels),)
        if not target.extra:
            return (Part(places, patch + source.extra * source.channels, target.channels),)
        extra = Part(1, max(1, source.extra) * source.channels, target.extra * target.channels)
        return Part(places, patch, target.channels), extra

    def seen_by(self, part: int) -> tuple[Any, ...]:
        """A key: parts with equal keys see the same numbers of the sender's layer, as often, and share a covariance."""
        if part:
            return ("extra",)
        beside = self.source.extra > 0 and not self.target.extra
        return *self[2:], self.grid, self.all_tokens, beside

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file's header."""
        return {
            "source": self.source._asdict(),
            "target": self.target._asdict(),
            "resize": self.resize,
            "kernel": self.kernel,
            "scale": self.scale,
            "margin": self.margin,
            "interpolation": self.interpolation,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Geometry":
        """The geometry whose `as_json` these are."""
        ends = (Representation(**values[end]) for end in ("source", "target"))
        resize = values["resize"] and tuple(values["resize"])
        more = values.get("margin", 0), values.get("interpolation")  # of files from before these were
        return cls(*ends, resize, tuple(values["kernel"]), tuple(values["scale"]), *more)


def _pooling(kernel: tuple[int, int], channels: int) -> int:
    """How many times a grid is made smaller first, so that a patch of it has at most `MOST_INPUTS` numbers."""
    common = math.gcd(*kernel)
    for factor in range(1, common + 1):
        if common % factor == 0 and math.prod(kernel) * channels <= MOST_INPUTS * factor**2:
            return factor
    return max(kernel)


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """Cells as every array along cells has them: columns after each other, each from the first sender layer on."""
    return sorted(set(cells), key=lambda cell: (cell[1], cell[0]))


def geometries(
    sources: Mapping[int, Representation],
    targets: Mapping[int, Representation],
    sender_layers: Iterable[int],
    receiver_layers: Iterable[int],
    between: Callable[[Representation, Representation], Geometry] = Geometry.between,
) -> dict[Cell, Geometry]:
    """Geometry of every cell of some layers, `in_order`, from what both networks' layers give.

    Args:
        sources, targets: what the layers of sender and receiver give.
        sender_layers, receiver_layers: of the cells.
        between: the family's geometry from one representation to another.
    """
    cells = in_order(itertools.product(sender_layers, receiver_layers))
    return {(i, j): between(sources[i], targets[j]) for i, j in cells}
