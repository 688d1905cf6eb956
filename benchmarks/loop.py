"""The loop that everybody writes: each stitch trained alone, by torch's own optimisers, between unfolded networks.

What the engine is compared with. Written from what papers say of their training, none of their code copied. It has two
things for nothing that a loop over programs would pay for each stitch: the images are prepared once per step for all
stitches, and the networks are there.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from common import MOMENTUM, RATE, WEIGHT_DECAY
from torch import Tensor, nn

from modelstitch.fitting.beginning import Stitches
from modelstitch.networks.network import Network


def sgd(parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    """The paper's."""
    return torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)


def adamw(parameters: Sequence[Tensor], weight_decay: float) -> torch.optim.Optimizer:
    """Adam, with a decoupled weight decay of all but vectors."""
    vectors, others = ([each for each in parameters if (each.ndim < 2) is flat] for flat in (True, False))
    return torch.optim.AdamW([{"params": others, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0}])


class Loop:
    """Every stitch alone, one after the other, between networks of a precision.

    Args:
        networks: sender and receiver.
        stitches: of their cells; they are moved in place.
        device: where the stitches are.
        dtype: of the networks.
        optimiser: what moves a stitch, of its parameters.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        stitches: Stitches,
        device: str,
        dtype: torch.dtype = torch.float32,
        optimiser: Callable[[Sequence[Tensor]], torch.optim.Optimizer] = sgd,
    ) -> None:
        self.prepared, self.dtype = networks[0].prepared, dtype
        # A copy, since `to` changes a module in place.
        self.sender, self.receiver = (deepcopy(pieces_of(network)).to(device, dtype) for network in networks)
        # As everybody has them: float32 in rows and columns, bfloat16 in the layout that its kernels want.
        self.layout = torch.contiguous_format if dtype == torch.float32 else torch.channels_last
        self.stitches = [(cell, stitch, optimiser(stitch.parameters)) for cell, stitch in stitches.items()]

    def step(self, images: Tensor, labels: Tensor, rate: float | None = None) -> Tensor:
        """Losses (cells,) of a step on images (N, C, H, W) of 0 to 1 and labels (N,).

        Args:
            images, labels: the batch.
            rate: of this step; by default that of the step before.
        """
        images = self.prepared(images).to(self.dtype, memory_format=self.layout)
        losses = []
        for (i, j), stitch, optimiser in self.stitches:
            with torch.no_grad():
                sent = self.sender[: i + 1](images)
            loss = F.cross_entropy(self.receiver[j + 1 :](stitch(sent)).float(), labels)
            if rate is not None:
                for group in optimiser.param_groups:
                    group["lr"] = rate
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return torch.tensor(losses)


def pieces_of(network: Network) -> nn.Sequential:
    """What leads from each layer to the next, as the network has it."""
    root = network.root()
    return nn.Sequential(*(network.graph.piece(*ends, root) for ends in network.ends))
