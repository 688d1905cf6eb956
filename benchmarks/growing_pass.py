"""One growing pass against column by column: two ways to take a training step of all cells of a pair.

    python benchmarks/growing_pass.py --threads 1 --width 8 16 --batch 32 256 --precision float32 bfloat16

The engine runs the receiver's suffix once for each column. Instead, the maps of a column can join those of the columns
before it: the receiver's layers run once for all, on more and more cells, and there is one backward pass. The
convolutions are the same, in fewer and larger calls, and all that autograd keeps is there at once; where the largest
map would outgrow the engine's limit, the batch is cut. Both are also measured with layers compiled by `torch.compile`,
and on a GPU as a CUDA graph: recorded once, then launched as a whole. Every way's first step stands apart (`_first`): a
compiled one's has the compiling in it, and a recorded one's the recording. A row for each combination: seconds per
step, and how far losses are apart. The last line is JSON.
"""

import itertools
import statistics

import torch
from common import RATE, Combination, Engine, freeze, measure_combinations, random_batch, significant, timed
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from modelstitch.engine.evaluation import cross_entropies
from modelstitch.engine.grouping import even_parts
from modelstitch.repeating import FIRST_STEPS, RepeatedStep

# A piece is compiled for every number of images that it is given.
torch._dynamo.config.recompile_limit = 100
torch._dynamo.config.fail_on_recompile_limit_hit = True


class GrowingPass(Engine):
    """The engine's stitches, optimiser and batch, and the other way to take a step."""

    def step(self) -> Tensor:
        """Losses (cells,) of a step, columns after each other."""
        return self.losses().cpu()

    def losses(self) -> Tensor:
        """As `step`, on the device, which may still be at work."""
        self.optimiser.zero_grad()
        parts = even_parts(len(self.images), self.images_at_once())
        losses = sum(self.add_gradients(self.images[part], self.labels[part]) for part in parts)
        self.optimiser.step()
        return losses / len(self.images)

    def add_gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        """Loss sums (cells,) of some of the images, (N, C, H, W) and (N,), with their gradients."""
        pair = self.pair
        representations = pair.sender.representations(images, pair.last_sender_layer)
        values: list[Tensor] = []
        for j, piece in enumerate(pair.receiver.pieces):
            if values:
                values = [piece(torch.cat(values))]
            values += [pair.stitches[i, j](representations[i]) for i in pair.columns.get(j, [])]
        (logits,) = values
        losses = cross_entropies(logits.float().unflatten(0, (len(pair.stitches), -1)), labels)
        (losses.sum() / len(self.images)).backward()
        return losses.detach().sum(dim=1)

    def images_at_once(self) -> int:
        """How many of the batch's images keep the largest tensor within the engine's limit."""
        receiver, columns = self.pair.receiver, self.pair.columns
        cells = itertools.accumulate(len(columns.get(layer.index, [])) for layer in receiver.layers)
        largest = max(count * numbers for count, numbers in zip(cells, receiver.largest[1:], strict=True))
        limit = self.pair.limit_for(self.images) // (largest * receiver.dtype.itemsize)
        return min(len(self.images), max(1, limit))


def compiled(engine: Engine) -> Engine:
    """The same engine, its receiver's pieces replaced by compiled ones, in place."""
    pieces = engine.pair.receiver.pieces
    for index, piece in enumerate(pieces):
        pieces[index] = torch.compile(piece, dynamic=False)
    return engine


class Recorded:
    """An engine whose step is recorded, as a training's; its first step takes those that come before."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.losses = torch.zeros(len(engine.pair.stitches), device=engine.images.device)
        self.repeated = RepeatedStep(self._take, engine.optimiser, engine.images.device.type)

    def _take(self, images: Tensor, labels: Tensor) -> None:
        self.losses.copy_(self.engine.losses())

    def step(self) -> Tensor:
        """Losses (cells,) of a step, which has then ended."""
        for _ in range(1 if self.repeated.graph else FIRST_STEPS + 1):
            self.repeated(self.engine.images, self.engine.labels, RATE)
        return self.losses.cpu()


def measure(combination: Combination, device: str, repeats: int) -> dict:
    """A row of the table."""
    torch._dynamo.reset()
    networks = combination.networks()
    batch = random_batch(combination.batch, combination.image, device)
    kinds = {
        "columns": Engine,
        "growing": GrowingPass,
        "columns_compiled": lambda *setup: compiled(Engine(*setup)),
        "growing_compiled": lambda *setup: compiled(GrowingPass(*setup)),
    }
    if device == "cuda":
        kinds["columns_recorded"] = lambda *setup: Recorded(Engine(*setup))
        kinds["growing_recorded"] = lambda *setup: Recorded(GrowingPass(*setup))
    ways = {name: kind(freeze(networks, combination.dtype, device), *batch) for name, kind in kinds.items()}
    first = {}
    for name in list(ways):
        try:
            first[f"{name}_first"] = significant(timed(ways[name].step, device)[0])
        except TorchDynamoException as error:
            print(f"{name} is left out: torch can't compile here: {str(error).splitlines()[0]}")
            del ways[name]
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        losses = {}
        for name, way in ways.items():
            seconds, losses[name] = timed(way.step, device)
            taken[name].append(seconds)
    medians = {name: significant(statistics.median(seconds)) for name, seconds in taken.items()}
    # A recorded way is some steps ahead of the others.
    alike = [found for name, found in losses.items() if not isinstance(ways[name], Recorded)]
    differences = [(found - losses["columns"]).abs().max().item() for found in alike]
    return combination._asdict() | first | medians | {"max_difference": max(differences)}


if __name__ == "__main__":
    measure_combinations(__doc__, measure)
