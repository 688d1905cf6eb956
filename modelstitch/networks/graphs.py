"""The graph of a network from images to logits: where it can be cut, and the pieces between two cuts."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import fx, nn

from modelstitch.networks.node_values import BATCHES, Value, count
from modelstitch.networks.pieces import Piece

WRAPPED = "network"  # the name under which a traced module holds the network


@dataclass(frozen=True)
class Graph:
    """A traced network.

    Attributes:
        image: shape of an image (C, H, W).
        dtype: type of the images, which is that of the network's weights.
        network: a copy of the network, in evaluation mode.
        root: the modules and parameters that the graph uses, by name.
        nodes: all nodes, in the order in which they run.
        values: shape and type of every node's output.
        data: the nodes that depend on the images; the first is the images, the last the logits.
        views: whether the network takes views of tensors, which then can't be channels-last.
    """

    image: tuple[int, int, int]
    dtype: torch.dtype
    network: nn.Module
    root: nn.Module
    nodes: tuple[fx.Node, ...]
    values: Mapping[fx.Node, Value]
    data: tuple[fx.Node, ...]
    views: bool

    @property
    def images(self) -> fx.Node:
        """The node of the input."""
        return self.data[0]

    @property
    def logits(self) -> fx.Node:
        """The node of the output."""
        return self.data[-1]

    def called(self, call: str) -> nn.Module:
        """The module of a call with a name from `path_of`."""
        return self.network.get_submodule(call.partition("@")[0])

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls as a whole; None for any other node."""
        return self.root.get_submodule(node.target) if node.op == "call_module" else None

    def cuts(self) -> list[fx.Node]:
        """Nodes after which no other node that depends on the image is needed; images and logits are left out."""
        place = {node: index for index, node in enumerate(self.data)}
        last = [max((place[user] for user in node.users if user in place), default=-1) for node in self.data]
        found, open_until = [], -1
        for index, node in enumerate(self.data[:-1]):
            if open_until <= index and last[index] > index and self.values[node].image_shape is not None:
                found.append(node)
            open_until = max(open_until, last[index])
        return [node for node in found if node is not self.images]

    @property
    def activations(self) -> int:
        """Numbers in the outputs of all nodes for one image."""
        return sum(count(self.values[node].specs[0]) for node in self.data) // BATCHES[0]

    def largest(self, start: fx.Node, end: fx.Node) -> int:
        """Size of the largest tensor from `start` to `end` for one image, in numbers."""
        between = self.data[self.data.index(start) : self.data.index(end) + 1]
        return max(count(self.values[node].specs[0]) for node in between) // BATCHES[0]

    def piece(self, start: fx.Node, end: fx.Node, root: nn.Module) -> fx.GraphModule:
        """A module that computes the value of `end` from that of `start`, for any number of images.

        Args:
            start, end: cuts, the images or the logits.
            root: modules and parameters with the names of the graph's `root`; the piece shares them.
        """
        return Piece(self, start).to(end, root)


def path_of(node: fx.Node) -> list[str]:
    """Names of the module calls around a node, the outermost first, including a module that the node calls as a whole.

    `block@1` is the second call of `block`.
    """
    found = []
    for key, (path, _) in node.meta.get("nn_module_stack", {}).items():
        _, again, count = key.rpartition("@")
        if path.startswith(f"{WRAPPED}."):
            found.append(path.removeprefix(f"{WRAPPED}.") + again + (count if again else ""))
    return found


def operation_of(node: fx.Node) -> str:
    """Name of the function or method that a node calls: `add`, `flatten`, `conv2d`."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return name.rpartition("::")[2].split(".")[0]


def dtype_of(network: nn.Module) -> torch.dtype:
    """The type of a network's first floating-point weights; float32 if it has none."""
    return next((value.dtype for value in network.parameters() if value.dtype.is_floating_point), torch.float32)
