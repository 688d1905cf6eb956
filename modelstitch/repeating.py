"""Repeats a step on batches of one shape: on a GPU it is recorded as a CUDA graph and launched as a whole.

A step of a narrow network has about 800 kernels. To launch them one by one takes the CPU several times as long as the
GPU takes to run them (docs/performance.md).
"""

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from modelstitch.errors import ModelstitchError, first_line
from modelstitch.hardware import release_memory
from modelstitch.optimisers import Optimiser
from modelstitch.progress import say

# Steps before the recording: cuDNN chooses kernels, too large groups are halved, the optimiser allocates its state.
FIRST_STEPS = 2


class RepeatedStep:
    """A step that is repeated on the same tensors.

    Except for the batch, the step must read and write the same tensors each time, and must not wait for the device. If
    a GPU cannot record it, or it draws from a global generator on the CPU, which a recording would repeat, its kernels
    are launched one by one, and the log says why.

    Args:
        step: the step, a function of images (N, C, H, W) and labels (N,) on the device, always of one shape.
        optimiser: the optimiser that the step uses; its rate is set before each step.
        device: the device of the step.
    """

    def __init__(self, step: Callable[[Tensor, Tensor], None], optimiser: Optimiser, device: str) -> None:
        self.step, self.optimiser = step, optimiser
        self.records = device == "cuda"
        self.taken = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        if self.records:
            self.stream = torch.cuda.Stream()
            self.rate = torch.zeros((), device=device)

    def __call__(self, images: Tensor, labels: Tensor, rate: float) -> None:
        """Take the step on a batch, with a learning rate."""
        if not self.records:
            self.optimiser.rate = rate
            self.step(images, labels)
            return
        self.rate.fill_(rate)
        self.optimiser.rate = self.rate
        if self.graph is None and self.taken >= FIRST_STEPS:
            self._record(images, labels)
        if self.graph is not None:
            self.images.copy_(images)
            self.labels.copy_(labels)
            self.graph.replay()
        else:
            self._take(images, labels)
        self.taken += 1

    def _take(self, images: Tensor, labels: Tensor) -> None:
        """Take the step on the stream that will record it, since autograd remembers the stream of each tensor."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.step(images, labels)
        torch.cuda.current_stream().wait_stream(self.stream)

    def _record(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images.clone(), labels.clone()
        graph: torch.cuda.CUDAGraph | None = torch.cuda.CUDAGraph()
        release_memory()  # a recorded step has its own memory pool
        generators = CpuGenerators()
        try:
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                self.step(self.images, self.labels)
            if generators.drew():
                raise ModelstitchError("it draws random numbers on the CPU")
        except (RuntimeError, ModelstitchError) as error:
            say(f"a step is not recorded, and taken kernel by kernel: {first_line(error)}")
            self.records, graph = False, None
            self.optimiser.zero_grad()
            generators.restore()
            _stop_capturing()
        self.graph = graph
        if graph is None:  # after the `except`: the error's traceback keeps tensors alive
            del self.images, self.labels
            release_memory()


class CpuGenerators:
    """Python's, numpy's and torch's global generators of random numbers on the CPU, as they are at some moment."""

    def __init__(self) -> None:
        self.python, self.torch = random.getstate(), torch.get_rng_state()
        self.numpy = np.random.get_state()  # noqa: NPY002 - a network's own code may draw from it

    def drew(self) -> bool:
        """Whether any random number has been drawn since."""
        now = CpuGenerators()
        same = torch.equal(now.torch, self.torch) and now.python == self.python
        return not (same and all(map(np.array_equal, now.numpy, self.numpy)))

    def restore(self) -> None:
        """Make them draw again what they drew since."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        torch.set_rng_state(self.torch)


def _stop_capturing() -> None:
    """Let the GPU's generator draw again, which after a failed recording still expects one (PyTorch issue 171263).

    Steps that were recorded before keep its earlier state, so that a seed set later does not reach them.
    """
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    generator.graphsafe_set_state(generator.clone_state())
