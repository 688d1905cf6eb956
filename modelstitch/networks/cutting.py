"""Where a network is cut: by default after each of its blocks, the repeated parts of which it is built.

A block is an indivisible module: no single tensor inside it carries everything that follows, because of a residual
connection for example. Outside blocks (in a stem, or in a network without blocks) a layer is a convolution or linear
map with the normalisation, activation and pooling behind it. Everything after the last layer is the head: pooling, the
linear map to the logits, and what belongs to them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from torch import fx, nn

from modelstitch.config.messages import nearest
from modelstitch.errors import ModelstitchError
from modelstitch.networks.graphs import Graph, operation_of, path_of
from modelstitch.networks.representations import Representation

# Operations that hold weights, by the name of the function; modules tell by their parameters.
WEIGHTED = {"conv1d", "conv2d", "conv3d", "convolution", "_convolution", "linear", "addmm"}
# What makes one vector of a whole map: the beginning of a head.
POOLING = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
POOLING_OPERATIONS = {"adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "mean", "amax"}
ADDING = {"add", "iadd"}
TRANSPOSING = {"transpose", "permute", "swapaxes", "t", "movedim", "rearrange"}
MOST_EXTRA = 16  # tokens before those of the grid


@dataclass(frozen=True)
class Cut:
    """A place where one tensor carries everything that follows.

    Attributes:
        name: name of the block or module that returns the tensor, or of the operation and the module it runs in:
            `layer1.0`, `features.3`, `encoder.add_1`.
        node: the node that returns the tensor.
        representation: shape of the tensor.
    """

    name: str
    node: fx.Node
    representation: Representation


def all_cuts(graph: Graph) -> list[Cut]:
    """Every cut whose tensor can be stitched: a map, tokens or a vector."""
    names = _names(graph)
    shapes = {node: representation(graph, node) for node in graph.cuts()}
    return [Cut(names[node], node, shape) for node, shape in shapes.items() if shape is not None]


def block_cuts(graph: Graph) -> list[Cut]:
    """The last cut of each block, or of each weighted operation if there are no blocks; the head has none.

    Raises:
        ModelstitchError: if there is none.
    """
    cuts = {cut.node: cut for cut in all_cuts(graph)}
    found = []
    for unit in _Units(graph).of(graph.data[1:])[:-1]:
        if (last := _last_cut(graph, unit, cuts)) is not None:
            found.append(Cut(_module_within(graph, unit, last.node) or last.name, last.node, last.representation))
    if not found:
        raise ModelstitchError("no layer to cut after: nothing before the logits carries everything that follows")
    return found


def named_cuts(graph: Graph, names: Sequence[str]) -> list[Cut]:
    """The cuts with these names, in the order of the network.

    A name is that of a cut, or that of a module, which means the last cut inside it.

    Raises:
        ModelstitchError: if a name belongs to no cut, or two names to the same one.
    """
    cuts = all_cuts(graph)
    own = {cut.name: cut for cut in cuts}
    for cut in cuts:
        for path in path_of(cut.node):
            own[path] = Cut(path, cut.node, cut.representation)
    chosen: dict[fx.Node, Cut] = {}
    for name in names:
        if name not in own:
            expected = "expected one of those that Network.places and `python -m modelstitch layers` list"
            raise ModelstitchError(f"{name!r} is no place to cut{nearest(name, own)}: {expected}")
        if own[name].node in chosen:
            raise ModelstitchError(f"{name!r} is the same place as {chosen[own[name].node].name!r}: list one of them")
        chosen[own[name].node] = own[name]
    return [chosen[node] for node in graph.data if node in chosen]


def _names(graph: Graph) -> dict[fx.Node, str]:
    """The name of every node: the module that it calls, or its operation and the module around it, perhaps numbered.

    An operation outside modules is named after the module before it: `conv1.relu`.
    """
    counts: dict[str, int] = {}
    before: dict[fx.Node, list[str]] = {}
    found = {}
    for node in graph.data:
        path = path_of(node)
        whole = node.op == "call_module" or (bool(path) and not _has_parts(graph, path[-1]))
        before[node] = path or next(
            (before[given] for given in reversed(node.all_input_nodes) if before.get(given)), []
        )
        name = path[-1] if whole else ".".join([*before[node][-1:], operation_of(node)])
        counts[name] = counts.get(name, -1) + 1
        found[node] = f"{name}_{counts[name]}" if counts[name] else name
    return found


def _has_parts(graph: Graph, path: str) -> bool:
    """Whether a module consists of other modules, and is not called as a whole."""
    module = graph.called(path)
    return bool(module._modules) and not getattr(module, "traced_whole", False)


def _weighted(graph: Graph, node: fx.Node) -> bool:
    if (module := graph.module(node)) is not None:
        return any(parameter.ndim > 1 for parameter in module.parameters())
    return operation_of(node) in WEIGHTED


def _pools(graph: Graph, node: fx.Node) -> bool:
    path = path_of(node)
    return operation_of(node) in POOLING_OPERATIONS or (bool(path) and isinstance(graph.called(path[-1]), POOLING))


@dataclass
class _Unit:
    """Consecutive nodes: a block, or a weighted operation with the operations that belong to it."""

    block: str | None  # path of the module, if it is one
    nodes: list[fx.Node]
    tail: list[fx.Node] = field(default_factory=list)  # without weights of its own, behind a block or an operation


class _Call(NamedTuple):
    """One call of a module with parts: the number of modules around it, and its nodes."""

    depth: int
    nodes: list[fx.Node]


class _Units:
    """Groups a network's nodes into units, from the images to the logits."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.cuts = graph, set(graph.cuts())
        self.paths = {node: path_of(node) for node in graph.data[1:]}
        self.calls: dict[type, list[_Call]] = {}
        self.divided: dict[type, bool] = {}
        for depth in range(max(map(len, self.paths.values()), default=0)):
            for path, nodes in groupby(self.paths, key=lambda node: self.part(node, depth)):
                if path is not None:
                    self.calls.setdefault(self.kind(path), []).append(_Call(depth, list(nodes)))

    def kind(self, path: str) -> type:
        return type(self.graph.called(path))

    def part(self, node: fx.Node, depth: int) -> str | None:
        """The module with parts in which a node runs at this depth, if there is one."""
        path = self.paths[node]
        return path[depth] if len(path) > depth and _has_parts(self.graph, path[depth]) else None

    def of(self, nodes: Iterable[fx.Node], depth: int = 0) -> list[_Unit]:
        """The units of nodes that run in the same modules down to this depth."""
        units: list[_Unit] = []
        waiting: list[fx.Node] = []  # behind a block, and before what they belong to
        for block, members in self.parts(nodes, depth):
            weighted = block is not None or _weighted(self.graph, members[0])
            if weighted:
                units.append(_Unit(block, [*waiting, *members]))
                waiting = []
            elif units and not waiting and (self.ends_alone(units[-1]) or self.closes_shortcut(members[0], units[-1])):
                units[-1].tail.extend(members)
            else:
                waiting.extend(members)
        if waiting:
            units = units or [_Unit(None, [])]
            units[-1].tail.extend(waiting)
        return units

    def has_cut(self, unit: _Unit) -> bool:
        """Whether there is a cut in a unit."""
        return not self.cuts.isdisjoint(unit.nodes + unit.tail)

    def closes_shortcut(self, node: fx.Node, unit: _Unit) -> bool:
        """Whether a node adds a shortcut around a block, outside the block: `x + attention(x)`."""
        added = operation_of(node) in ADDING and unit.nodes[-1] in node.all_input_nodes
        return added and node in self.cuts and not self.has_cut(unit)

    def ends_alone(self, unit: _Unit) -> bool:
        """Whether later operations belong to a unit: a position embedding to a stem, but no norm to the last block."""
        return unit.block is None or len(self.calls[self.kind(unit.block)]) == 1

    def parts(self, nodes: Iterable[fx.Node], depth: int) -> Iterator[tuple[str | None, list[fx.Node]]]:
        """Blocks, by their paths, and all other nodes one by one, in the order of the network."""
        for path, run in groupby(nodes, key=lambda node: self.part(node, depth)):
            members = list(run)
            if path is None or not any(_weighted(self.graph, node) for node in members):
                yield from ((None, [node]) for node in members)
            elif self.divides(path):
                yield from self.parts(members, depth + 1)
            else:
                yield path, members

    def divides(self, path: str) -> bool:
        """Whether to divide a module: a sequence, or one whose calls all hold blocks to cut after, one of them several.

        A stage may hold a single block. A block is kept whole if it has cuts inside in some calls, where it has no
        shortcut, but not in others.
        """
        kind = self.kind(path)
        if kind.forward is nn.Sequential.forward:
            return True
        if kind not in self.divided:
            self.divided[kind] = False  # inside itself, while this is found out
            calls = [self.cuttable(call) for call in self.calls[kind]]
            blocks = [[self.kind(unit.block) for unit in units if self.is_block(unit)] for units in calls]
            several = any(len(set(kinds)) < len(kinds) for kinds in blocks)
            alone = len(calls) == 1 and len(calls[0]) > 2
            self.divided[kind] = alone or (several and all(blocks))
        return self.divided[kind]

    def cuttable(self, call: _Call) -> list[_Unit]:
        """The units of a call that have a cut."""
        return [unit for unit in self.of(call.nodes, call.depth + 1) if self.has_cut(unit)]

    def is_block(self, unit: _Unit) -> bool:
        """Whether a unit is a block that ends in a cut."""
        return unit.block is not None and unit.nodes[-1] in self.cuts


def _last_cut(graph: Graph, unit: _Unit, cuts: Mapping[fx.Node, Cut]) -> Cut | None:
    """The last cut in a unit at which a map is still a map: pooling it to a vector belongs to the head."""
    found = cuts.get(unit.nodes[-1])
    for node in unit.tail:
        after = cuts.get(node)
        vector = after is not None and after.representation.layout == "vector"
        if found is not None and (_pools(graph, node) or (vector and found.representation.layout != "vector")):
            break
        found = after or found
    return found


def _module_within(graph: Graph, unit: _Unit, node: fx.Node) -> str | None:
    """The outermost module that lies completely in a unit and ends with this node."""
    for path in path_of(node):
        inside = [other for other in graph.data if path in path_of(other)]
        if inside[-1] is node and set(inside) <= {*unit.nodes, *unit.tail}:
            return path
    return None


def representation(graph: Graph, node: fx.Node) -> Representation | None:
    """Shape of a node's tensor for one image; None if it is neither a map, nor tokens, nor a vector."""
    match graph.values[node].image_shape:
        case (channels,):
            return Representation(channels, layout="vector")
        case (tokens, channels) if not _channels_first(graph, node):
            height, width, extra = _grid_of_tokens(graph, node, tokens)
            return Representation(channels, height, width, "tokens", extra)
        case (first, second, third):
            last = _channels_last(graph, node, (first, second, third))
            return Representation(third, first, second, "map-last") if last else Representation(first, second, third)
    return None


def _channels_first(graph: Graph, node: fx.Node) -> bool:
    """Whether a tensor that looks like tokens (T, C) is a map (C, H, W) with a flattened grid, (C, T)."""
    shape = given = graph.values[node].image_shape
    while given == shape and node is not graph.images:
        if operation_of(node) in TRANSPOSING:
            return False
        node = next(before for before in node.all_input_nodes if before in graph.data)
        given = graph.values[node].image_shape
    if given is None or len(given) != 3 or _channels_last(graph, node, given):
        return False
    return shape == (given[0], given[1] * given[2])


def _channels_last(graph: Graph, node: fx.Node, shape: tuple[int, int, int]) -> bool:
    """Whether a map is (H, W, C), not (C, H, W): by the image's proportions, or else by the weights that made it."""
    _, height, width = graph.image
    first, last = (_in_proportion(side, other, height, width) for side, other in (shape[1:], shape[:2]))
    if first != last:
        return last
    data = set(graph.data)
    while node.op != "placeholder" and not _weighted(graph, node):
        if operation_of(node) == "permute" or isinstance(graph.module(node), nn.LayerNorm):
            return True
        node = next(before for before in node.all_input_nodes if before in data)
    return operation_of(node) == "linear" or isinstance(graph.module(node), nn.Linear)


def _in_proportion(height: int, width: int, image_height: int, image_width: int) -> bool:
    """Whether a grid may come from a smaller version of the image: its sides are in proportion, up to rounding."""
    scale = math.sqrt(height * width / (image_height * image_width))
    return abs(height - image_height * scale) <= 1 and abs(width - image_width * scale) <= 1


def _grid_of_tokens(graph: Graph, node: fx.Node, tokens: int) -> tuple[int, int, int]:
    """Height, width and number of extra tokens: as in the last map before, or else as square as possible."""
    for before in reversed(graph.data[: graph.data.index(node)]):
        shape = graph.values[before].image_shape
        if shape is not None and len(shape) == 3:
            last = _channels_last(graph, before, shape)
            height, width = shape[:2] if last else shape[1:]
            if 0 <= tokens - height * width <= MOST_EXTRA and _in_proportion(height, width, *graph.image[1:]):
                return height, width, tokens - height * width
    side = math.isqrt(tokens)
    return (side, side, tokens - side**2) if tokens - side**2 <= MOST_EXTRA else (tokens, 1, 0)
