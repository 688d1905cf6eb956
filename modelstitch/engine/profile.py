"""How much a frozen network keeps for its backward pass, measured by running its pieces."""

import torch
from torch import Tensor

from modelstitch.networks.frozen import FrozenNetwork

IMAGES = 2


def kept_numbers(network: FrozenNetwork) -> list[int]:
    """How many numbers per image autograd keeps for the gradient of each piece's input.

    The pieces are run on the network's device; on device `meta` nothing is computed.
    """
    device = next(network.pieces.parameters()).device
    values = torch.zeros(IMAGES, *network.shapes[-1].shape, dtype=network.dtype, device=device)
    found = []
    for piece in network.pieces:
        own = {parameter.untyped_storage()._cdata for parameter in [*piece.parameters(), *piece.buffers()]}
        kept: dict[int, int] = {}

        def keep(tensor: Tensor, own: set[int] = own, kept: dict[int, int] = kept) -> Tensor:
            storage = tensor.untyped_storage()._cdata
            if storage not in own:
                kept[storage] = max(kept.get(storage, 0), tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            values = piece(values.detach().requires_grad_())
        found.append(sum(kept.values()) // IMAGES)
    return found
