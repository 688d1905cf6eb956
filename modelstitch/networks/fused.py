"""Frozen convolutions with their bias, an optional sum and a ReLU in one call of cuDNN.

Without this, even the bias is added in a separate pass: at width 64 on an H100, biases, sums and ReLUs took a quarter
of a training step (docs/performance.md). A CPU gains nothing: oneDNN's fused call takes the same time, for the same
bits.
"""

from typing import Any

import torch
from torch import Tensor, nn

from modelstitch.errors import first_line
from modelstitch.progress import say

FUSING_DEVICES = ("cuda",)


class FusedConvolution(nn.Module):
    """A frozen convolution, followed by an optional sum and a ReLU; its weights get no gradient.

    Args:
        convolution: a convolution that `suits` accepts.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.unsupported = False  # whether cuDNN has refused the fused call

    @staticmethod
    def suits(convolution: nn.Module | None) -> bool:
        """Whether a module is a plain convolution of maps (N, C, H, W), padded with zeros by given sizes."""
        plain = type(convolution) is nn.Conv2d and convolution.padding_mode == "zeros"
        return plain and not isinstance(convolution.padding, str)

    def forward(self, maps: Tensor, others: Tensor | None = None) -> Tensor:
        """ReLU of the convolution of maps (N, C_in, H, W), after adding `others` (N, C_out, H', W') if given."""
        if not self.unsupported and maps.device.type in FUSING_DEVICES:
            try:
                return _Fused.apply(maps, others, self.convolution)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
                    raise  # an error of the recording does not mean that the call is unsupported
                say(f"{self.convolution}: its ReLU is taken in a call of its own: {first_line(error)}")
                self.unsupported = True
        given = self.convolution(maps)
        return torch.relu_(given if others is None else given.add_(others))


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, maps: Tensor, others: Tensor | None, convolution: nn.Conv2d) -> Tensor:
        weight, bias = convolution.weight, convolution.bias
        sizes = (convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
        if others is None:
            result = torch.cudnn_convolution_relu(maps, weight, bias, *sizes)
        else:
            result = torch.cudnn_convolution_add_relu(maps, weight, others, 1.0, bias, *sizes)
        context.convolution = convolution
        context.save_for_backward(maps, result)
        return result

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        maps, result = context.saved_tensors
        of_maps, of_others, _ = context.needs_input_grad
        gradient = torch.ops.aten.threshold_backward(gradient, result, 0)
        of_input = _input_gradient(gradient, maps, context.convolution) if of_maps else None
        return of_input, gradient if of_others else None, None


def _input_gradient(gradient: Tensor, maps: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The gradient of a convolution's input (N, C_in, H, W), from the gradient of its output (N, C_out, H', W')."""
    sizes = (convolution.stride, convolution.padding, convolution.dilation)
    weight, groups = convolution.weight, convolution.groups
    found = torch.ops.aten.convolution_backward(
        gradient, maps, weight, None, *sizes, False, [0, 0], groups, [True, False, False]
    )
    return found[0]
