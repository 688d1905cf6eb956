"""The graph of a network from images to logits: traced once, run on shapes alone, and taken apart into pieces.

torch.fx traces what it can, torch.export the rest. What a graph computes of the number of images alone (the sizes of a
reshape, a class token for each image) is made anew in every piece, so that a piece takes any number of images.
"""

import copy
import math
import operator
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.graph import _PyTreeCodeGen
from torch.fx.node import map_arg

from modelstitch.errors import ModelstitchError

Given = TypeVar("Given")

BATCHES = (2, 3)  # numbers of images that a graph is run with: what differs between them depends on that number
WRAPPED = "network"
SMALL_IMAGE = 64 * 64  # pixels
OUR_FILES = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))
FUNCTIONAL = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    torch.relu_: torch.relu,
    F.relu_: F.relu,
}


class Value(NamedTuple):
    """What a node gives for each of `BATCHES`: tensors as their shape and type, all else as it is.

    Attributes:
        specs: one for each of `BATCHES`.
        tensors: whether it is a tensor, or holds some.
    """

    specs: tuple[Any, ...]
    tensors: bool

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Shape of one image's part, of a tensor of floating-point numbers with a row an image; None for all else."""
        if not all(isinstance(spec, TensorSpec) and spec.dtype.is_floating_point and spec.shape for spec in self.specs):
            return None
        shapes = {spec.shape[1:] for spec in self.specs}
        rows = tuple(spec.shape[0] for spec in self.specs)
        return shapes.pop() if rows == BATCHES and len(shapes) == 1 else None


class TensorSpec(NamedTuple):
    """Shape and type of a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Graph:
    """A traced network.

    Attributes:
        image: the shape of an image (C, H, W).
        dtype: of the images, that of the network's weights.
        network: a copy of the network, in evaluation mode.
        root: the modules and parameters that the graph names.
        nodes: in the order in which they run.
        values: what every node gives.
        data: the nodes that hold something of an image; the first is the images, the last the logits.
        views: whether the network takes views of its tensors, which have to lie in memory in their order for that.
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
        """The module of a call, as `path_of` names it."""
        return self.network.get_submodule(call.partition("@")[0])

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls as a whole; None for any other node."""
        return self.root.get_submodule(node.target) if node.op == "call_module" else None

    def cuts(self) -> list[fx.Node]:
        """Nodes after which nothing else that depends on the image is still needed, images and logits left out."""
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
        """How many numbers of one image all nodes give."""
        return sum(_count(self.values[node].specs[0]) for node in self.data) // BATCHES[0]

    def largest(self, start: fx.Node, end: fx.Node) -> int:
        """How many numbers of one image the largest tensor from `start` to `end` holds."""
        between = self.data[self.data.index(start) : self.data.index(end) + 1]
        return max(_count(self.values[node].specs[0]) for node in between) // BATCHES[0]

    def piece(self, start: fx.Node, end: fx.Node, root: nn.Module) -> fx.GraphModule:
        """What leads from the value of `start` to that of `end`, for any number of images.

        Args:
            start, end: cuts, the images or the logits.
            root: modules and parameters, named as in the graph's own; the piece shares them.
        """
        return _Piece(self, start).to(end, root)


def path_of(node: fx.Node) -> list[str]:
    """Calls of modules that a node runs in, the outermost below the network first; a module called whole, too.

    By the modules' names; `block@1` is the second call of `block`.
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
    """The type of a network's weights: of the first that are floating-point numbers, by default float32."""
    return next((value.dtype for value in network.parameters() if value.dtype.is_floating_point), torch.float32)


def trace(network: nn.Module, image: tuple[int, int, int]) -> Graph:
    """The graph of a network in evaluation mode, for images (C, H, W); the network is left as it is.

    Arguments of its `forward` beside the images keep their defaults.

    Raises:
        ModelstitchError: if the network can't be traced (names the line where that fails), takes no such images, or
            gives anything but logits (N, classes).
    """
    wrapped = _Images(copy.deepcopy(network)).cpu().eval().requires_grad_(False)
    traced = _traced(wrapped, image)
    views = _without_views(traced)
    _make_functional(traced)
    values = _run(traced, wrapped, image)
    nodes = tuple(node for node in traced.graph.nodes if node.op != "output")
    logits = _logits(traced, values, type(network).__name__)
    data: list[fx.Node] = []
    known: set[fx.Node] = set()
    for node in nodes:
        if node.op == "placeholder" or (values[node].tensors and not known.isdisjoint(node.all_input_nodes)):
            data.append(node)
            known.add(node)
    upto_logits = tuple(data[: data.index(logits) + 1])
    return Graph(image, dtype_of(network), wrapped.network, traced, nodes, values, upto_logits, views)


class _Images(nn.Module):
    """The network as a function of images alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


class _Tracer(fx.Tracer):
    """Modules of torch are called as a whole, and those that say so: `traced_whole = True`."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return getattr(module, "traced_whole", False) or super().is_leaf_module(module, name)


def _traced(wrapped: _Images, image: tuple[int, int, int]) -> fx.GraphModule:
    try:
        return fx.GraphModule(wrapped, _Tracer().trace(wrapped))
    except Exception as error:
        symbolic = error
    name = type(wrapped.network).__name__
    images = torch.zeros(BATCHES[0], *image, dtype=dtype_of(wrapped))
    _expect_logits(_tried(wrapped, images, name), name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = torch.export.Dim("batch", min=1)
            exported = torch.export.export(wrapped, (images,), dynamic_shapes=({0: batch},))
            if any(map(_writes_into_a_view, exported.graph.nodes)):
                exported = exported.run_decompositions(FUNCTIONAL)  # into operations that write into nothing
            return exported.module()
    except Exception as error:
        raise ModelstitchError(
            f"{name} can't be traced: {_place(symbolic)}{_told(symbolic)}; nor exported: {_told(error)}: expected a "
            "`forward` whose steps do not depend on the images' values"
        ) from symbolic


def _copied(values: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """What writing a source into all of some values leaves there; torch's own operation has no derivative."""
    return source.to(values).expand(values.shape)


FUNCTIONAL = {torch.ops.aten.copy.default: _copied}


def _writes_into_a_view(node: fx.Node) -> bool:
    """Whether an operation of an exported graph changes a part of another tensor."""
    if not (isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable):
        return False
    written = node.args[0]
    if not (isinstance(written, fx.Node) and isinstance(written.target, torch._ops.OpOverload)):
        return False
    schema = written.target._schema
    return not schema.is_mutable and any(returned.alias_info is not None for returned in schema.returns)


@torch.no_grad()
def _tried(network: nn.Module, images: Tensor, name: str) -> Any:
    """What a network gives for images (N, C, H, W).

    Raises:
        ModelstitchError: if it takes none of this size.
    """
    try:
        return network(images)
    except Exception as error:
        size = " x ".join(map(str, images.shape[1:]))
        raise ModelstitchError(f"{name} takes no images of {size}: {_place(error)}{_told(error)}") from error


def _expect_logits(given: Any, name: str) -> None:
    if not isinstance(given, (Tensor, TensorSpec)):
        kind = type(given).__name__.removeprefix("immutable_")  # as fx has them
        raise ModelstitchError(
            f"{name} gives a {kind}: expected logits (N, classes): wrap it in a module that gives them"
        )
    if len(given.shape) != 2:
        raise ModelstitchError(f"{name} gives a tensor {tuple(given.shape)}: expected logits (N, classes)")


def _logits(traced: fx.GraphModule, values: Mapping[fx.Node, Value], name: str) -> fx.Node:
    """The node of the logits; torch.export gives a list of one."""
    (output,) = (node for node in traced.graph.nodes if node.op == "output")
    given = output.args[0]
    if isinstance(given, (tuple, list)) and len(given) == 1 and isinstance(traced.graph._codegen, _PyTreeCodeGen):
        given = given[0]
    _expect_logits(values[given].specs[0] if isinstance(given, fx.Node) else given, name)
    return given


def _place(error: BaseException) -> str:
    """The line of the network's own code where an error came up."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(OUR_FILES) and "<" not in frame.filename]
    return f"{own[-1].filename}:{own[-1].lineno}: {own[-1].line}: " if own else ""


def _told(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]


def _without_views(traced: fx.GraphModule) -> bool:
    """Make every view a reshape, which is one where it can be; whether there was any."""
    replaced = False
    for node in traced.graph.nodes:
        of_type = any(isinstance(given, torch.dtype) for given in node.args)
        if node.op == "call_method" and node.target in ("view", "view_as") and not of_type:
            node.target = node.target.replace("view", "reshape")
        elif node.target is torch.ops.aten.view.default:
            node.target = torch.ops.aten.reshape.default
        else:
            continue
        replaced = True
    return replaced


def _make_functional(traced: fx.GraphModule) -> None:
    """Operations that write into their input become those that don't: a piece must leave what it is given."""
    for module in traced.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    for node in traced.graph.nodes:
        if node.op == "call_function" and node.target in FUNCTIONAL:
            node.target = FUNCTIONAL[node.target]
        elif node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload):
            packet = node.target._schema.name.rpartition("::")[2]
            if packet.endswith("_") and not packet.endswith("__"):
                functional = getattr(torch.ops.aten, packet[:-1], None)
                if functional is not None:
                    node.target = getattr(functional, node.target._overloadname)
        elif node.op == "call_method" and node.target.endswith("_") and not node.target.endswith("__"):
            node.target = node.target[:-1]
        if node.kwargs.get("inplace"):
            node.kwargs = {**node.kwargs, "inplace": False}
    traced.recompile()


def without_values(root: nn.Module, image: tuple[int, int, int], run: Callable[[nn.Module, Tensor], Given]) -> Given:
    """What `run` gives of a copy of modules and an image of zeros (1, C, H, W), of which shapes alone count.

    Large images are run on the `meta` device, which computes nothing; its kernels import torch's compiler, which takes
    a second, as long as a small pair's training. So small ones are run on the CPU, and what has no shapes on `meta`.
    """
    devices = ["cpu"] if math.prod(image[1:]) <= SMALL_IMAGE else ["meta", "cpu"]
    for device in devices:
        try:
            return run(copy.deepcopy(root).to(device), torch.zeros(1, *image, device=device, dtype=dtype_of(root)))
        except Exception:
            if device == devices[-1]:
                raise
    raise AssertionError("unreachable")


class _Recorder(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.specs: dict[fx.Node, Any] = {}

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        self.specs[node] = _spec(value)
        return value


def _spec(value: Any) -> Any:
    if isinstance(value, Tensor):
        return TensorSpec(tuple(value.shape), value.dtype)
    if isinstance(value, (tuple, list)):
        return tuple(map(_spec, value))
    return value


def _has_tensors(spec: Any) -> bool:
    return isinstance(spec, TensorSpec) or (isinstance(spec, tuple) and any(map(_has_tensors, spec)))


def _count(spec: Any) -> int:
    """Numbers in the largest tensor of a value."""
    if isinstance(spec, TensorSpec):
        return math.prod(spec.shape)
    return max(map(_count, spec), default=0) if isinstance(spec, tuple) else 0


def _run(traced: fx.GraphModule, wrapped: _Images, image: tuple[int, int, int]) -> dict[fx.Node, Value]:
    """What every node gives for images of zeros."""
    try:
        specs = without_values(traced, image, _recorded)
    except Exception:
        images = torch.zeros(BATCHES[0], *image, dtype=dtype_of(wrapped))
        _tried(wrapped, images, type(wrapped.network).__name__)
        raise
    nodes = traced.graph.nodes
    return {node: Value(tuple(found), _has_tensors(found[0])) for node, *found in zip(nodes, *specs, strict=True)}


@torch.no_grad()
def _recorded(traced: nn.Module, image: Tensor) -> list[list[Any]]:
    """What every node gives for each of `BATCHES`."""
    found = []
    for batch in BATCHES:
        recorder = _Recorder(traced)
        recorder.run(image.expand(batch, -1, -1, -1))
        found.append([recorder.specs[node] for node in traced.graph.nodes])
    return found


class _Piece:
    """A graph from the value of one node on, as it is put together."""

    def __init__(self, whole: Graph, start: fx.Node) -> None:
        self.whole, self.start = whole, start
        self.graph = fx.Graph()
        self.input = self.graph.placeholder("values")
        self.input.meta["image_shape"] = whole.values[start].image_shape
        self.made = {start: self.input}
        self.images: fx.Node | None = None

    def to(self, end: fx.Node, root: nn.Module) -> fx.GraphModule:
        needed = self.needed(end)
        for node in self.whole.nodes:
            if node in needed:
                arguments = (map_arg(given, self.argument) for given in (node.args, node.kwargs))
                self.made[node] = self.graph.create_node(node.op, node.target, *arguments, name=node.name)
                self.made[node].meta["image_shape"] = self.whole.values[node].image_shape
        self.graph.output(self.made[end])
        return fx.GraphModule(root, self.graph)

    def needed(self, end: fx.Node) -> set[fx.Node]:
        """Nodes that `end` is made of, up to `start`; numbers are written out instead."""
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
        return self.made[node] if node in self.made else self.written(self.whole.values[node].specs)

    def written(self, specs: tuple[Any, ...]) -> Any:
        """A value without tensors, in terms of the number of images, and of the type and device of the input."""
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
