"""A network: a module from images to logits, the form of its images, and the layers after which it is cut."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from modelstitch import tensors
from modelstitch.errors import ModelstitchError
from modelstitch.networks import cutting, graphs
from modelstitch.networks.representations import Representation
from modelstitch.networks.tracing import run_for_shapes, trace

INPUT = -1  # the layer that is the normalised image

Image = tuple[int, int, int]


@dataclass(frozen=True)
class Layer:
    """A place after which a network is cut.

    Attributes:
        index: 0 for the first; -1 is the normalised image.
        name: name of the block, module or operation whose output it is.
        representation: the shape of its output for one image.
    """

    index: int
    name: str
    representation: Representation


@dataclass(frozen=True, eq=False)
class Network:
    """A classifier that can be taken apart.

    Attributes:
        module: from images (N, C, H, W) to logits (N, classes). It is kept, not copied.
        name: its name in records and figures; by default the name of its class.
        image: shape (C, H, W) of the images that the module takes; by default the shape of the images it is given. Grey
            images become three equal channels if it takes three, and images of other sizes are resized.
        mean, std: with which images of values from 0 to 1 are normalised, a number or one per channel. By default the
            module is given the images as they are.
        layer_names: names of the layers after which it is cut, from `places` or names of modules; by default the end of
            each block.
        classes: names of the classes, in the order of the logits.
        about: what is known of the weights: accuracy, data set, how they were trained.
        blueprint: how the module is built again from a file; None for a module of one's own.
    """

    module: nn.Module
    name: str = ""
    image: Image | None = None
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    layer_names: Sequence[str] | None = None
    classes: Sequence[str] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    blueprint: Any = None
    _constants: dict[tuple[Any, ...], Tensor] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise ModelstitchError(f"a network is a torch.nn.Module, not a {type(self.module).__name__}")
        if not self.name:
            object.__setattr__(self, "name", type(self.module).__name__)

    @staticmethod
    def load(path: Path | str) -> Network:
        """Read a network from a file that a study made; it is in evaluation mode, on the CPU.

        Raises:
            ModelstitchError: if the file is missing, damaged or of another kind.
        """
        from modelstitch.networks import weights

        return weights.load(path)

    def with_images(self, image: Image) -> Network:
        """The network for images of this shape (C, H, W): unchanged if it has an image shape of its own.

        Raises:
            ModelstitchError: if its channels differ from those of the images, and these are not grey.
        """
        known = self if self.image is not None else replace(self, image=tuple(image))
        known.check_images(image)
        return known

    def check_images(self, image: Image) -> None:
        """Refuse images of a shape (C, H, W) that do not fit the network.

        Raises:
            ModelstitchError: if their channels differ from the network's, and they are not grey, or from those of its
                mean or deviation.
        """
        for name in ("mean", "std"):
            count = np.size(getattr(self, name) if getattr(self, name) is not None else 0)
            if count not in (1, self.image[0]):
                raise ModelstitchError(f"{self.name}: {name} has {count} numbers: expected 1 or {self.image[0]}")
        if image[0] not in (1, self.image[0]):
            raise ModelstitchError(f"{self.name} takes images of {self.image[0]} channels, not of {image[0]}")

    def accuracy_in(self, precision: str) -> float:
        """Its own test accuracy, in this precision if that was measured; NaN if it is not known."""
        return self.about.get(f"accuracy_{precision}", self.about.get("accuracy", float("nan")))

    @property
    def digest(self) -> str:
        """SHA-256 of its weights, as in the header of its file."""
        return tensors.digest(self.module.state_dict())

    def cut_at(self, names: Sequence[str] | None) -> Network:
        """The same network with other layers: those with these names, or by default the end of each block."""
        return replace(self, layer_names=names)

    @cached_property
    def graph(self) -> graphs.Graph:
        """The traced module.

        Raises:
            ModelstitchError: if it can't be traced, does not take these images, returns anything but logits, or if the
                shape of its images is not known.
        """
        if self.image is None:
            raise ModelstitchError(
                f"{self.name}: the shape of its images is not known: write Network(module, image=(3, 32, 32))"
            )
        return trace(self.module, self.image)

    @cached_property
    def cuts(self) -> list[cutting.Cut]:
        """The cut of each layer in the graph."""
        try:
            if self.layer_names is None:
                return cutting.block_cuts(self.graph)
            return cutting.named_cuts(self.graph, self.layer_names)
        except ModelstitchError as error:
            raise ModelstitchError(f"{self.name}: {error}") from error

    @property
    def places(self) -> tuple[str, ...]:
        """Names of all places where the network can be cut, in order; `layer_names` chooses some of them."""
        return tuple(cut.name for cut in cutting.all_cuts(self.graph))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order, beginning with the first."""
        return tuple(Layer(index, cut.name, cut.representation) for index, cut in enumerate(self.cuts))

    @property
    def ends(self) -> list[tuple[fx.Node, fx.Node]]:
        """Nodes at which pieces begin and end: the images, each layer, the logits."""
        nodes = [self.graph.images, *(cut.node for cut in self.cuts), self.graph.logits]
        return list(itertools.pairwise(nodes))

    @cached_property
    def operations(self) -> list[int]:
        """Floating-point operations of each piece for one image; a multiplication with an addition is two.

        Torch counts them, for convolutions, matrix products and attention. A network that a study made has them in its
        file, since torch's counter imports its compiler, which takes a second.
        """
        if self.about.get("layers") == [layer.name for layer in self.layers]:
            return self.about["operations"]
        return run_for_shapes(self.graph.root, self.image, self._count)

    def _count(self, root: nn.Module, values: Tensor) -> list[int]:
        """Operations of each piece for one image."""
        found = []
        for start, end in self.ends:
            # Of what attention is without a gradient, and on a CPU, torch counts nothing: here it is matrix products.
            with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
                values = self.graph.piece(start, end, root)(values.detach().requires_grad_())
            found.append(counter.get_total_flops())
        return found

    @property
    def outputs(self) -> int:
        """Number of classes in the logits."""
        (outputs,) = self.graph.values[self.graph.logits].image_shape or (0,)
        return outputs

    def prepared(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Images (N, C, H, W) from 0 to 1, resized and normalised for the module."""
        channels, *size = self.image or images.shape[1:]
        if images.shape[1] != channels:
            images = images.expand(-1, channels, -1, -1)
        if list(images.shape[2:]) != size:
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        for name, normalise in (("mean", torch.sub), ("std", torch.div)):
            if (amount := self._per_channel(name, images)) is not None:
                images = normalise(images, amount)
        return images.to(dtype, memory_format=self.memory_format)

    @property
    def memory_format(self) -> torch.memory_format:
        """Memory format of images and weights for the module itself: channels-last, unless it takes views."""
        contiguous = self.image is None or self.graph.views
        return torch.contiguous_format if contiguous else torch.channels_last

    def _per_channel(self, name: str, images: Tensor) -> Tensor | None:
        """`mean` or `std`, (1, C, 1, 1) or (1, 1, 1, 1), in the precision and on the device of images.

        It is kept, since a process waits for a copy to a device.
        """
        key = (name, images.dtype, images.device)
        if key not in self._constants and (amount := getattr(self, name)) is not None:
            self._constants[key] = torch.as_tensor(amount, dtype=torch.float32).to(images).reshape(1, -1, 1, 1)
        return self._constants.get(key)

    def restored(self, images: Tensor) -> Tensor:
        """Undo the normalisation of prepared images (N, C, H, W): values from 0 to 1 again, in float32."""
        images = images.float()
        for name, restore in (("std", torch.mul), ("mean", torch.add)):
            if (amount := self._per_channel(name, images)) is not None:
                images = restore(images, amount)
        return images

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W) from 0 to 1, by the module itself in evaluation mode."""
        modes = {module: module.training for module in self.module.modules()}
        device = next(iter(self.module.parameters()), images).device
        logits = self.module.eval()(self.prepared(images.to(device), graphs.dtype_of(self.module)))
        for module, training in modes.items():
            module.training = training
        return logits.to(images.device)

    def root(self) -> nn.Module:
        """A copy on the CPU of the modules and parameters that the graph uses, with the present weights."""
        root = copy.deepcopy(self.graph.root)
        weights = {f"{graphs.WRAPPED}.{key}": value for key, value in self.module.state_dict().items()}
        root.load_state_dict(weights, strict=False)
        return root
