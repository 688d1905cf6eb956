"""Optimisers: SGD and AdamW by torch's own fused steps, without torch's optimiser classes.

Torch's classes import its compiler, some nine hundred modules, which takes a second of a processor: as long as the
training of a small pair. The results are the same to the last bit.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd


class Optimiser:
    """Updates parameters by their gradients, with a learning `rate` that may be set before each step."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = list(parameters)
        self.rate = 0.0

    def zero_grad(self) -> None:
        """Delete all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Update every parameter once."""
        raise NotImplementedError

    def state(self) -> dict[str, list[Tensor | None]]:
        """Memory of earlier steps: lists with an entry per parameter, which `step` changes in place."""
        raise NotImplementedError

    def gradients(self) -> list[Tensor]:
        """The gradients of all parameters.

        Raises:
            RuntimeError: if one is missing, since the step would be a different one.
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

    def state(self) -> dict[str, list[Tensor | None]]:
        return {"momentum": self.momenta}

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


class AdamW(Optimiser):
    """Adam with decoupled weight decay, as `torch.optim.AdamW` (arXiv 1711.05101); no decay for vectors and scalars."""

    BETAS, EPSILON = (0.9, 0.999), 1e-8

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float = 0.0) -> None:
        super().__init__(parameters)
        self.weight_decay = weight_decay
        self.means, self.squares = ([torch.zeros_like(each) for each in self.parameters] for _ in range(2))
        self.steps = [torch.zeros((), dtype=torch.float32, device=each.device) for each in self.parameters]

    def state(self) -> dict[str, list[Tensor | None]]:
        return {"mean": self.means, "square": self.squares, "step": self.steps}

    @torch.no_grad()
    def step(self) -> None:
        gradients = self.gradients()
        for decay, vectors in ((self.weight_decay, False), (0.0, True)):
            chosen = [place for place, each in enumerate(self.parameters) if (each.ndim < 2) is vectors]
            lists = (self.parameters, gradients, self.means, self.squares)
            adamw(
                *([values[place] for place in chosen] for values in lists),
                [],
                [self.steps[place] for place in chosen],
                fused=True,
                amsgrad=False,
                beta1=self.BETAS[0],
                beta2=self.BETAS[1],
                lr=self.rate,
                weight_decay=decay,
                eps=self.EPSILON,
                maximize=False,
            )
