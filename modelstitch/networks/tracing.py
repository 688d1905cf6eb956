"""Tracing a network into a graph: torch.fx traces what it can, torch.export the rest."""

import contextlib
import copy
import math
import operator
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.graph import _PyTreeCodeGen

from modelstitch.errors import ModelstitchError, first_line
from modelstitch.networks.graphs import Graph, dtype_of
from modelstitch.networks.node_values import BATCHES, TensorSpec, Value, has_tensors, spec_of

Given = TypeVar("Given")

SMALL_IMAGE = 64 * 64  # pixels
OUR_FILES = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))
# Functions of Python that write into their first argument, and those that don't.
NOT_WRITING = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


def trace(network: nn.Module, image: tuple[int, int, int]) -> Graph:
    """The graph of a network in evaluation mode, for images (C, H, W); the network is left as it is.

    Arguments of its `forward` other than the images keep their defaults.

    Raises:
        ModelstitchError: if the network can't be traced (the line where it fails is named), does not take these images,
            or returns anything but logits (N, classes).
    """
    try:
        copied = copy.deepcopy(network)
    except RuntimeError as error:
        raise ModelstitchError(
            f"{type(network).__name__} can't be copied: {first_line(error)}: expected parameters that are not made of "
            "others (torch.nn.utils.parametrizations in place of torch.nn.utils.weight_norm)"
        ) from error
    wrapped = _Images(copied).cpu().eval().requires_grad_(False)
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
    """A tracer that calls torch's modules as a whole, and modules with `traced_whole = True`.

    The exception is torch's `nn.TransformerEncoder`, which is nearly a whole network: its layers are called one by one.
    """

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        whole = super().is_leaf_module(module, name) and not _is_encoder(module)
        return whole or getattr(module, "traced_whole", False)

    def call_module(self, module: nn.Module, forward: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def by_layers(src: fx.Proxy, *masks: Any, **named_masks: Any) -> fx.Proxy:
            if any(mask is not None for mask in (*masks, *named_masks.values())):  # its way depends on their values
                return self.create_proxy("call_module", self.path_of_module(module), args, kwargs)
            for layer in module.layers:
                src = layer(src, src_mask=None, is_causal=False, src_key_padding_mask=None)
            return src if module.norm is None else module.norm(src)

        return super().call_module(module, by_layers if _is_encoder(module) else forward, args, kwargs)


def _is_encoder(module: nn.Module) -> bool:
    """Whether a module is an `nn.TransformerEncoder` with torch's own `forward`."""
    return type(module).forward is nn.TransformerEncoder.forward


def _traced(wrapped: _Images, image: tuple[int, int, int]) -> fx.GraphModule:
    try:
        return fx.GraphModule(wrapped, _Tracer().trace(wrapped))
    except Exception as error:
        symbolic = error
    name = type(wrapped.network).__name__
    images = torch.zeros(BATCHES[0], *image, dtype=dtype_of(wrapped))
    _expect_logits(_tried(wrapped, images, name), name)
    failed: list[Exception] = []
    for strict in (False, True):  # only the strict way, which takes longer, follows `len(images)`
        try:
            return _exported(wrapped, images, strict)
        except Exception as error:
            failed.append(error)
    raise ModelstitchError(
        f"{name} can't be traced: {_place(symbolic)}{first_line(symbolic)}; nor exported: {first_line(failed[0])}: "
        "expected a `forward` whose steps do not depend on the images' values"
    ) from symbolic


def _exported(wrapped: _Images, images: Tensor, strict: bool) -> fx.GraphModule:
    """The graph that torch.export makes of a network, for any number of images."""
    with warnings.catch_warnings(), _attention_with_derivatives():
        warnings.simplefilter("ignore")
        sizes = ({0: torch.export.Dim("batch", min=1)},)
        exported = torch.export.export(wrapped, (images,), dynamic_shapes=sizes, strict=strict)
        if any(map(_writes_into_a_view, exported.graph.nodes)):
            exported = exported.run_decompositions(DECOMPOSITIONS)  # into operations that write into nothing
        return exported.module()


@contextlib.contextmanager
def _attention_with_derivatives() -> Iterator[None]:
    """A context in which attention is exported in steps: torch's single operation for inference has no derivative."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _copied(values: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """The result of copying `source` over all of `values`; torch's own operation for it has no derivative."""
    return source.to(values).expand(values.shape)


DECOMPOSITIONS = {torch.ops.aten.copy.default: _copied}


def _writes_into_a_view(node: fx.Node) -> bool:
    """Whether an operation of an exported graph writes into a part of another tensor."""
    if not (isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable):
        return False
    written = node.args[0]
    if not (isinstance(written, fx.Node) and isinstance(written.target, torch._ops.OpOverload)):
        return False
    schema = written.target._schema
    return not schema.is_mutable and any(returned.alias_info is not None for returned in schema.returns)


@torch.no_grad()
def _tried(network: nn.Module, images: Tensor, name: str) -> Any:
    """A network's output for images (N, C, H, W).

    Raises:
        ModelstitchError: if it does not take images of this size.
    """
    try:
        return network(images)
    except Exception as error:
        size = " x ".join(map(str, images.shape[1:]))
        raise ModelstitchError(
            f"{name} takes no images of {size}: {_place(error)}{first_line(error)}: give it the size that it takes, by "
            "image_size in a study, or Network(module, image=(channels, height, width))"
        ) from error


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
    """The line of the network's code where an error occurred."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(OUR_FILES) and "<" not in frame.filename]
    return f"{own[-1].filename}:{own[-1].lineno}: {own[-1].line}: " if own else ""


def _without_views(traced: fx.GraphModule) -> bool:
    """Turn every view into a reshape, which is a view if possible; return whether there was any."""
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
    """Replace operations that write into their input, since a piece must not change what it is given."""
    for module in traced.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    for node in traced.graph.nodes:
        if node.op == "call_function":
            node.target = _not_writing(node.target)
        elif node.op == "call_method" and _writes(node.target):
            node.target = node.target[:-1]
        if node.kwargs.get("inplace"):
            node.kwargs = {**node.kwargs, "inplace": False}
    traced.recompile()


def _writes(name: str) -> bool:
    """Whether an operation of torch of this name writes into its input: `relu_`."""
    return name.endswith("_") and not name.endswith("__")


def _not_writing(function: Callable) -> Callable:
    """The variant of a function that does not write into its input; the function itself if there is none."""
    if function in NOT_WRITING:
        return NOT_WRITING[function]
    if isinstance(function, torch._ops.OpOverload):
        name = function._schema.name.rpartition("::")[2]
        found = getattr(torch.ops.aten, name[:-1], None) if _writes(name) else None
        return function if found is None else getattr(found, function._overloadname)
    name = getattr(function, "__name__", "")
    return getattr(torch, name[:-1], None) or getattr(F, name[:-1], function) if _writes(name) else function


def run_for_shapes(root: nn.Module, image: tuple[int, int, int], run: Callable[[nn.Module, Tensor], Given]) -> Given:
    """The result of `run` with a copy of modules and an image of zeros (1, C, H, W), for the shapes alone.

    Large images run on the `meta` device, which computes nothing. But its kernels import torch's compiler, which takes
    a second, as long as the training of a small pair. So small images run on the CPU, as do operations that `meta`
    lacks.
    """

    def given(device: str) -> Given:
        return run(copy.deepcopy(root).to(device), torch.zeros(1, *image, device=device, dtype=dtype_of(root)))

    if math.prod(image[1:]) > SMALL_IMAGE:
        with contextlib.suppress(Exception):
            return given("meta")
    return given("cpu")


class _Recorder(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.specs: dict[fx.Node, Any] = {}

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        self.specs[node] = spec_of(value)
        return value


def _run(traced: fx.GraphModule, wrapped: _Images, image: tuple[int, int, int]) -> dict[fx.Node, Value]:
    """Outputs of every node for images of zeros."""
    try:
        specs = run_for_shapes(traced, image, _recorded)
    except Exception:
        images = torch.zeros(BATCHES[0], *image, dtype=dtype_of(wrapped))
        _tried(wrapped, images, type(wrapped.network).__name__)
        raise
    nodes = traced.graph.nodes
    return {node: Value(tuple(found), has_tensors(found[0])) for node, *found in zip(nodes, *specs, strict=True)}


@torch.no_grad()
def _recorded(traced: nn.Module, image: Tensor) -> list[list[Any]]:
    """Outputs of every node for each of `BATCHES`."""
    found = []
    for batch in BATCHES:
        recorder = _Recorder(traced)
        recorder.run(image.expand(batch, -1, -1, -1))
        found.append([recorder.specs[node] for node in traced.graph.nodes])
    return found
