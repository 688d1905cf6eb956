"""How a stitch maps a representation of one shape to another, for any two shapes: grids, extra tokens, vectors.

| sender's grid | map |
| --- | --- |
| k times larger | k x k patches with stride k |
| of the same size | place by place |
| k times smaller | place by place, then nearest upsampling: equal to upsampling first, and cheaper (arXiv 2303.11277) |
| neither divides the other | bilinear resizing, then place by place (arXiv 2412.11299) |

The tokens of a Transformer are a grid like that of a map, and a vector is a grid of one place. A family may differ:
with a margin around each place, or another way to resize.

No torch is imported here, since planning needs shapes.
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
    """Sizes of one linear map of a stitch.

    Attributes:
        places: number of places of an image where it is applied.
        inputs: number of inputs at each place, D.
        outputs: number of outputs there, O.
    """

    places: int
    inputs: int
    outputs: int


class Geometry(NamedTuple):
    """How a representation of one shape becomes one of another.

    Attributes:
        source, target: the two shapes.
        resize: height and width to which the source's grid is resized first; None to leave it as it is.
        kernel: height and width of the patches, and their strides; 1 x 1 is place by place.
        scale: factors of the upsampling at the end, for height and width.
        margin: number of places around a patch that belong to its input; zeros beyond the border.
        interpolation: `bilinear` or `nearest`; None: by means if the sizes divide, else bilinear.
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
        """The geometry between any two representations."""
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
        """Height and width of the grid of patches, which is the target's grid before upsampling."""
        return tuple(side // factor for side, factor in zip(self.target.grid, self.scale, strict=True))

    @property
    def all_tokens(self) -> bool:
        """Whether extra tokens are mapped to extra tokens by the map of all other tokens."""
        same_places = self.kernel == self.scale == (1, 1) and not self.margin
        return self.source.extra == self.target.extra > 0 and same_places

    @property
    def parts(self) -> tuple[Part, ...]:
        """The linear maps: that of the places, then that of the extra tokens if it is separate.

        A class token is made from the mean of a grid. If only the sender has a class token, it is an additional input
        at every place.
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
        """A key: parts with equal keys have the same inputs from the sender's layer, and share a covariance."""
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
        """The geometry with these values, from `as_json`."""
        ends = (Representation(**values[end]) for end in ("source", "target"))
        resize = values["resize"] and tuple(values["resize"])
        more = values.get("margin", 0), values.get("interpolation")  # of files from before these were
        return cls(*ends, resize, tuple(values["kernel"]), tuple(values["scale"]), *more)


def _pooling(kernel: tuple[int, int], channels: int) -> int:
    """Factors by which a grid is pooled first, so that a patch of it has at most `MOST_INPUTS` numbers."""
    common = math.gcd(*kernel)
    for factor in range(1, common + 1):
        if common % factor == 0 and math.prod(kernel) * channels <= MOST_INPUTS * factor**2:
            return factor
    return max(kernel)


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """Cells in the order of every array along cells: column by column, each from the first sender layer on."""
    return sorted(set(cells), key=lambda cell: (cell[1], cell[0]))


def geometries(
    sources: Mapping[int, Representation],
    targets: Mapping[int, Representation],
    sender_layers: Iterable[int],
    receiver_layers: Iterable[int],
    between: Callable[[Representation, Representation], Geometry] = Geometry.between,
) -> dict[Cell, Geometry]:
    """Geometry of every cell of these layers, `in_order`.

    Args:
        sources, targets: shapes of the outputs of the sender's and the receiver's layers.
        sender_layers, receiver_layers: layers of the cells.
        between: the family's function that returns the geometry between two shapes.
    """
    cells = in_order(itertools.product(sender_layers, receiver_layers))
    return {(i, j): between(sources[i], targets[j]) for i, j in cells}
