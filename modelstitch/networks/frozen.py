"""Frozen networks: in pieces between their layers, with batch norm folded, channels-last, without gradients of weights.

The networks around a stitch never change, so this is done once, and every pass is faster.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_weights

from modelstitch.errors import ModelstitchError
from modelstitch.hardware import choose_precision
from modelstitch.networks.fused import FUSING_DEVICES, FusedConvolution
from modelstitch.networks.graphs import operation_of
from modelstitch.networks.network import INPUT, Network
from modelstitch.networks.representations import Representation
from modelstitch.networks.winograd import WinogradConvolution

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
CONVOLUTION_OPERATIONS = ("conv1d", "conv2d", "conv3d")
# Whose gradient needs nothing of their output, so that it may be written over.
OVERWRITABLE = (*CONVOLUTIONS, *BATCH_NORMS, nn.Linear, WinogradConvolution)
OVERWRITABLE_OPERATIONS = (*CONVOLUTION_OPERATIONS, "linear", "batch_norm", "add", "add_")
# Arguments of functions in their order: of batch norm, torch's and that of an exported graph, and of convolutions.
FUNCTION = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
OVERLOAD = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
CONVOLUTION_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
PRECISIONS = (torch.float32, torch.bfloat16)  # that networks run in; float64 is for exact comparisons
TRIED_IMAGES, TOLERANCE = 2, 1e-3


class FrozenNetwork(nn.Module):
    """A network in evaluation mode that can be entered after any of its layers.

    Args:
        network: the network, which is left as it is.
        dtype: type of weights and activations; convolutions are folded in float64.
        device: device on which it runs.
        check: whether its pieces are compared with the whole, on the CPU.

    Attributes:
        source: the network.
        layers: the network's layers.
        shapes: shape of every layer's output for one image, by layer; -1 is the prepared image.
        pieces: modules from each layer to the next; the first takes prepared images, the last returns logits.
        largest: size of the largest tensor of each piece for one image, in numbers.

    Raises:
        ModelstitchError: if the pieces together do not return the network's logits.
    """

    def __init__(
        self, network: Network, dtype: torch.dtype = torch.float32, device: str = "cpu", check: bool = True
    ) -> None:
        super().__init__()
        self.source, self.dtype, self.layers = network, dtype, network.layers
        self.shapes = {INPUT: Representation(*network.image)}
        self.shapes |= {layer.index: layer.representation for layer in self.layers}
        self.largest = [network.graph.largest(*nodes) for nodes in network.ends]
        fused = device in FUSING_DEVICES and dtype in PRECISIONS
        self.pieces = _pieces(network, dtype, device, fused)
        if check and dtype in PRECISIONS:
            plain = (dtype, device) == (torch.float32, "cpu")
            _check(network, self.pieces if plain else _pieces(network, torch.float32, "cpu", fused))

    @torch.no_grad()
    def representations(self, images: Tensor, last: int | None = None) -> dict[int, Tensor]:
        """Outputs of layers up to `last` (by default all) for images (N, C, H, W) from 0 to 1; -1: prepared images."""
        outputs = {INPUT: self.prepared(images)}
        for layer, piece in enumerate(self.pieces[:-1][: None if last is None else last + 1]):
            outputs[layer] = piece(outputs[layer - 1])
        return outputs

    def prepared(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) from 0 to 1, prepared for the network and in its precision."""
        return self.source.prepared(images, self.dtype)

    def suffix(self, layer: int, values: Tensor) -> Tensor:
        """Logits (N, classes) for values (N, *shape) in place of the output of `layer` (-1: of the prepared images)."""
        for piece in self.pieces[layer + 1 :]:
            values = piece(values)
        return values

    def stages(self, layer: int, values: Tensor) -> list[Tensor]:
        """Activations that follow from values (N, *shape) at a layer: the values, later layers' outputs, the logits."""
        stages = [values]
        for piece in self.pieces[layer + 1 :]:
            stages.append(piece(stages[-1]))
        return stages

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W) from 0 to 1."""
        return self.suffix(INPUT, self.prepared(images))


def freeze(network: Network, precision: str, device: str) -> FrozenNetwork:
    """Freeze a network in a precision of a study, such as `auto`; no other place decides the precision of a job."""
    return FrozenNetwork(network, choose_precision(precision, device), device)


def _pieces(network: Network, dtype: torch.dtype, device: str, fused: bool) -> nn.ModuleList:
    """What leads from each layer of a network to the next, as `FrozenNetwork` has it."""
    root, found = network.root(), nn.ModuleList()
    for nodes in network.ends:
        piece = network.graph.piece(*nodes, root)
        fold(piece)
        if dtype == torch.float32 and device == "cpu":
            use_winograd(piece)
        if fused:
            fuse(piece)
        overwrite(piece)
        piece.delete_all_unused_submodules()
        piece.recompile()
        found.append(piece)
    found.requires_grad_(False).to(device=device, dtype=dtype)
    for tensor in (*found.parameters(), *found.buffers()):
        if tensor.ndim == 4:  # torch refuses others
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return found


@torch.no_grad()
def _check(network: Network, pieces: nn.ModuleList) -> None:
    """Refuse pieces, in float32 on the CPU, that give other logits than the network itself."""
    images = torch.rand(TRIED_IMAGES, *network.image, generator=torch.Generator().manual_seed(0))
    if any(value.device.type != "cpu" for value in network.module.state_dict().values()):
        network = replace(network, module=copy.deepcopy(network.module).cpu())
    expected, found = network.logits(images), network.prepared(images, torch.float32)
    for piece in pieces:
        found = piece(found)
    # A head may begin with zeros.
    error = (found - expected).abs().max() / expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    if expected.isfinite().all() and not error <= TOLERANCE:
        raise ModelstitchError(
            f"{network.name}: its pieces give other logits than the whole (by {error:.1e} of the largest): "
            "expected a `forward` that does not write into its intermediate results"
        )


class _Norm(NamedTuple):
    """A batch norm in a graph: its input, its statistics, and its scale and shift, which may be None."""

    input: fx.Node
    mean: Tensor
    variance: Tensor
    epsilon: float
    weight: Tensor | None
    bias: Tensor | None


def fold(piece: fx.GraphModule) -> None:
    """Fold every batch norm into the convolution before it, if nothing else uses the convolution's output."""
    for node in list(piece.graph.nodes):
        norm = _norm(piece, node)
        if norm is None or len(norm.input.users) > 1:
            continue
        convolution = norm.input
        module = _module(piece, convolution)
        if isinstance(module, CONVOLUTIONS):
            folded = copy.deepcopy(module).double()
            folded.__class__ = next(kind for kind in CONVOLUTIONS if isinstance(module, kind))  # strides as it says
            folded.weight, folded.bias = _folded(folded.weight, folded.bias, norm)
            convolution.target = f"folded_{node.name}"
            piece.add_submodule(convolution.target, folded)
        elif module is None and operation_of(convolution) in CONVOLUTION_OPERATIONS:
            given = _arguments(convolution, CONVOLUTION_ARGUMENTS)
            weight, bias = given.pop("weight"), given.pop("bias", None)
            if not _kept(weight, bias):
                continue
            values = _folded(_attribute(piece, weight), bias and _attribute(piece, bias), norm)
            names = [f"folded_{node.name}_{kind}" for kind in ("weight", "bias")]
            with piece.graph.inserting_before(convolution):
                for name, value in zip(names, values, strict=True):
                    piece.register_parameter(name, value)
                convolution.args = (given.pop("input"), *map(piece.graph.get_attr, names))
                convolution.kwargs = given
        else:
            continue
        node.replace_all_uses_with(convolution)
        piece.graph.erase_node(node)
    piece.graph.eliminate_dead_code()


def _folded(weight: Tensor, bias: Tensor | None, norm: _Norm) -> tuple[nn.Parameter, nn.Parameter]:
    """Weight and bias of the convolution with the norm folded in, in float64."""
    given = (weight, bias, norm.mean, norm.variance, norm.weight, norm.bias)
    weight, bias, mean, variance, scale, shift = (None if value is None else value.double() for value in given)
    folded = fuse_conv_bn_weights(weight, bias, mean, variance, norm.epsilon, scale, shift)
    return tuple(parameter.requires_grad_(False) for parameter in folded)


def _norm(piece: fx.GraphModule, node: fx.Node) -> _Norm | None:
    module = _module(piece, node)
    if type(module) in BATCH_NORMS and module.running_mean is not None:
        statistics = module.running_mean, module.running_var, module.eps
        return _Norm(node.args[0], *statistics, module.weight, module.bias)
    if module is not None or operation_of(node) != "batch_norm":
        return None
    given = _arguments(node, OVERLOAD if isinstance(node.target, torch._ops.OpOverload) else FUNCTION)
    if given.get("training", False) is not False or given["running_mean"] is None:
        return None
    kept = ("running_mean", "running_var", "weight", "bias")
    values = [given.get(name) and _attribute(piece, given[name]) for name in kept]
    return _Norm(given["input"], *values[:2], given["eps"], *values[2:])


def _arguments(node: fx.Node, names: Sequence[str]) -> dict[str, Any]:
    """A function's arguments by name."""
    return dict(zip(names, node.args, strict=False)) | node.kwargs


def _module(piece: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return piece.get_submodule(node.target) if node.op == "call_module" else None


def _attribute(piece: fx.GraphModule, node: fx.Node) -> Tensor:
    return reduce(getattr, node.target.split("."), piece)


def use_winograd(piece: fx.GraphModule) -> None:
    """Replace wide convolutions by Winograd's, which is faster in float32 on a CPU."""
    for node in piece.graph.nodes:
        convolution = _convolution(piece, node)
        if convolution is not None and WinogradConvolution.suits(convolution):
            node.args, node.kwargs = (_arguments(node, CONVOLUTION_ARGUMENTS)["input"],), {}
            node.op, node.target = "call_module", f"winograd_{node.name}"
            piece.add_submodule(node.target, WinogradConvolution(copy.deepcopy(convolution).double()))
    piece.graph.eliminate_dead_code()


def _convolution(piece: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The convolution that a node calls, or one made from a `conv2d` of the network's own weights; else None."""
    if (module := _module(piece, node)) is not None or node.op != "call_function" or operation_of(node) != "conv2d":
        return module
    given = _arguments(node, CONVOLUTION_ARGUMENTS)
    _, weight, bias = given.pop("input"), given.pop("weight"), given.pop("bias", None)
    if not _kept(weight, bias):
        return None
    weight, bias = (one and nn.Parameter(_attribute(piece, one), requires_grad=False) for one in (weight, bias))
    sizes = weight.shape[1] * given.get("groups", 1), weight.shape[0], tuple(weight.shape[2:])
    convolution = nn.Conv2d(*sizes, bias=bias is not None, device="meta", **given)
    convolution.weight, convolution.bias = weight, bias
    return convolution


def fuse(piece: fx.GraphModule) -> None:
    """Replace a convolution, a sum after it if there is one, and a ReLU by one module where no other node uses them."""
    for node in list(piece.graph.nodes):
        if not _is_relu(piece, node):
            continue
        given = _arguments(node, ("input",))["input"]
        before, *others = _summands(piece, given) or (given,)
        if not _only_fused(piece, before):
            continue
        convolution, maps = _convolution(piece, before), _arguments(before, CONVOLUTION_ARGUMENTS)["input"]
        node.op, node.target, node.args, node.kwargs = "call_module", f"fused_{node.name}", (maps, *others), {}
        piece.add_submodule(node.target, FusedConvolution(convolution))
    piece.graph.eliminate_dead_code()


def _summands(piece: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, fx.Node] | None:
    """What a node adds, if it adds two maps of one shape for a single user: first one that a convolution gives."""
    if operation_of(node) in ("add", "add_", "iadd") and len(node.users) == 1:
        for given, other in _added(piece, node):
            if _only_fused(piece, given):
                return given, other
    return None


def _added(piece: fx.GraphModule, node: fx.Node) -> list[tuple[fx.Node, fx.Node]]:
    """The two values of one shape that an addition takes, in either order; none for any other addition."""
    nodes = len(node.args) == 2 and not node.kwargs and all(isinstance(given, fx.Node) for given in node.args)
    if not nodes or _module(piece, node) is not None:
        return []
    shapes = [given.meta.get("image_shape") for given in node.args]
    return [] if shapes[0] is None or shapes[0] != shapes[1] else [node.args, node.args[::-1]]


def _only_fused(piece: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is a convolution whose maps go to one other node."""
    return len(node.users) == 1 and FusedConvolution.suits(_convolution(piece, node))


def _is_relu(piece: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is a ReLU of one other."""
    module = _module(piece, node)
    if type(module) is nn.ReLU:
        return True
    return module is None and operation_of(node) in ("relu", "relu_")


def _kept(weight: fx.Node | None, bias: fx.Node | None) -> bool:
    """Whether a function's weight and bias are parameters of the network, not computed."""
    return all(isinstance(one, fx.Node) and one.op == "get_attr" for one in (weight, bias or weight))


def overwrite(piece: fx.GraphModule) -> None:
    """Let ReLUs and additions write into their input if nothing else needs it."""
    for node in list(piece.graph.nodes):
        if _is_relu(piece, node):
            given = _arguments(node, ("input",))["input"]
            if _may_be_written_over(piece, given):
                node.op, node.target, node.args, node.kwargs = "call_function", torch.relu_, (given,), {}
        elif operation_of(node) == "add":
            for given, other in _added(piece, node):
                if _may_be_written_over(piece, given):
                    node.op, node.target, node.args = "call_method", "add_", (given, other)
                    break


def _may_be_written_over(piece: fx.GraphModule, node: fx.Node) -> bool:
    if len(node.users) > 1:
        return False
    module = _module(piece, node)
    if module is not None:
        return isinstance(module, OVERWRITABLE)
    return node.op in ("call_function", "call_method") and operation_of(node) in OVERWRITABLE_OPERATIONS
