"""Steps on batches of one shape, again and again: a GPU records one as a CUDA graph, and launches it as a whole.

A step of a narrow network is some eight hundred kernels, and to launch them one by one takes a processor several times
as long as the GPU takes to run them (docs/performance.md).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from modelstitch.errors import ModelstitchError, first_line
from modelstitch.hardware import release_memory
from modelstitch.optimisers import Optimiser
from modelstitch.progress import say

# Kernel by kernel: cuDNN chooses kernels, groups that are too large are halved, the optimiser allocates its state.
FIRST_STEPS = 2


class RepeatedStep:
    """A step that is taken many times, on the same tensors.

    Except for the batch, the step must read and write the same tensors each time, and must not wait for the device.
    Where a GPU can't record it, it is taken kernel by kernel, and the log says why.

    Args:
        step: takes images (N, C, H, W) and labels (N,), all of one shape, on the device.
        optimiser: what the step moves parameters by; its rate is set before each.
        device: where it happens.
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
        """Take the step on a batch, at a learning rate."""
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
        """Take the step on the stream that records it later, since autograd remembers the stream of each tensor."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.step(images, labels)
        torch.cuda.current_stream().wait_stream(self.stream)

    def _record(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images.clone(), labels.clone()
        graph = torch.cuda.CUDAGraph()
        release_memory()  # a recorded step has memory of its own
        try:
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                self.step(self.images, self.labels)
        except (RuntimeError, ModelstitchError) as error:
            say(f"a step is not recorded, and taken kernel by kernel: {first_line(error)}")
            self.records = False
            self.optimiser.zero_grad()
            release_memory()
        else:
            self.graph = graph
