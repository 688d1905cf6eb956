"""What moves parameters: SGD by torch's own fused step, without its optimiser classes.

The first of those that a process makes imports torch's compiler, some nine hundred modules: a second of a processor, as
long as a small pair's training. What they compute is the same to the last bit.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.sgd import sgd


class Optimiser:
    """Moves parameters by their gradients, at a `rate` that may be set before each step."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = list(parameters)
        self.rate = 0.0

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Move every parameter once."""
        raise NotImplementedError

    def gradients(self) -> list[Tensor]:
        """Of every parameter.

        Raises:
            RuntimeError: if one has none: the step would be another one.
        """
        gradients = [parameter.grad for parameter in self.parameters]
        if any(gradient is None for gradient in gradients):
            raise RuntimeError("a parameter has no gradient")
        return gradients


class SGD(Optimiser):
    """Stochastic gradient descent with momentum and weight decay, as `torch.optim.SGD`."""

    def __init__(self, parameters: Iterable[Tensor], momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        super().__init__(parameters)
        self.momentum, self.weight_decay = momentum, weight_decay
        self.momenta: list[Tensor | None] = [None] * len(self.parameters)

    @torch.no_grad()
    def step(self) -> None:
        sgd(
            self.parameters,
            self.gradients(),
            self.momenta,
            fused=True,
            lr=self.rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
