"""Pieces of a traced network, from the value of one node to that of another, for any number of images.

Values that depend only on the number of images (sizes of a reshape, a class token for each image) are computed again in
every piece.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.fx.node import map_arg

from modelstitch.networks.node_values import BATCHES

if TYPE_CHECKING:
    from modelstitch.networks.graphs import Graph


class Piece:
    """Builds the graph of a piece that begins with the value of one node."""

    def __init__(self, whole: Graph, start: fx.Node) -> None:
        self.whole, self.start = whole, start
        self.graph = fx.Graph()
        self.input = self.graph.placeholder("values")
        self.input.meta["image_shape"] = whole.values[start].image_shape
        self.made = {start: self.input}
        self.images: fx.Node | None = None

    def to(self, end: fx.Node, root: nn.Module) -> fx.GraphModule:
        """The piece that ends with the value of `end`, with the modules and parameters of `root`."""
        needed = self.needed(end)
        for node in self.whole.nodes:
            if node in needed:
                arguments = (map_arg(given, self.argument) for given in (node.args, node.kwargs))
                self.made[node] = self.graph.create_node(node.op, node.target, *arguments, name=node.name)
                self.made[node].meta["image_shape"] = self.whole.values[node].image_shape
        self.graph.output(self.made[end])
        return fx.GraphModule(root, self.graph)

    def needed(self, end: fx.Node) -> set[fx.Node]:
        """Nodes that `end` depends on, back to `start`; nodes that give numbers are replaced by the numbers."""
        found: set[fx.Node] = set()
        waiting = [end]
        while waiting:
            node = waiting.pop()
            if node is self.start or node in found or not self.whole.values[node].tensors:
                continue
            if node.op == "placeholder":
                raise ValueError(f"{end.name} needs more of the images than {self.start.name}: not a cut")
            found.add(node)
            waiting.extend(node.all_input_nodes)
        return found

    def argument(self, node: fx.Node) -> Any:
        """What replaces a node of the whole graph in the piece."""
        return self.made[node] if node in self.made else self.written(self.whole.values[node].specs)

    def written(self, specs: tuple[Any, ...]) -> Any:
        """A value without tensors, expressed by the number of images and by type and device of the input."""
        first, second = specs
        if isinstance(first, tuple):
            return tuple(self.written(parts) for parts in zip(first, second, strict=True))
        if isinstance(first, slice):
            return slice(
                *(self.written((getattr(first, end), getattr(second, end))) for end in ("start", "stop", "step"))
            )
        if isinstance(first, torch.dtype) and first == self.whole.dtype:
            return self.graph.call_function(getattr, (self.input, "dtype"))
        if isinstance(first, torch.device):
            return self.graph.call_function(getattr, (self.input, "device"))
        if first == second or not isinstance(first, int):
            return first
        return self.counted(first, second)

    def counted(self, first: int, second: int) -> fx.Node:
        """A number that grows with the number of images by a constant for each."""
        self.images = self.images or self.graph.call_method("size", (self.input, 0))
        each = second - first
        product = self.images if each == 1 else self.graph.call_function(operator.mul, (self.images, each))
        rest = first - each * BATCHES[0]
        return self.graph.call_function(operator.add, (product, rest)) if rest else product
