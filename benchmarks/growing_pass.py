"""One growing pass against column by column: two ways to take a training step of all cells of a pair.

    python benchmarks/growing_pass.py --threads 1 --width 8 16 --batch 32 256 --precision float32 bfloat16

The engine runs the receiver's suffix once for each column. Instead, the maps of a column can join those of the columns
before it: the receiver's layers run once for all, on more and more cells, and there is one backward pass. The
convolutions are the same, in fewer and larger calls, and all that autograd keeps is there at once; where the largest
map would outgrow the engine's limit, the batch is cut. Both are also measured with layers compiled by `torch.compile`.
Every way's first step stands apart (`_first`): a compiled one's has the compiling in it. A row for each combination:
seconds a step, and how far losses are apart. The last line is JSON.
"""

import statistics

import torch
from common import Combination, Engine, freeze, measure_combinations, random_batch, random_network, significant, timed
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from modelstitch.engine.grouping import even_parts
from modelstitch.engine.stitching import cross_entropies

# A layer is compiled for every size of its maps.
torch._dynamo.config.recompile_limit = 100
torch._dynamo.config.fail_on_recompile_limit_hit = True


class GrowingPass(Engine):
    """The engine's stitches, optimiser and batch, and the other way to take a step."""

    def step(self) -> Tensor:
        """Losses (cells,) of a step, columns after each other."""
        self.optimiser.zero_grad()
        parts = even_parts(len(self.images), self.images_at_once())
        losses = sum(self.add_gradients(self.images[part], self.labels[part]) for part in parts)
        self.optimiser.step()
        return losses.cpu() / len(self.images)

    def add_gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        """Loss sums (cells,) of some of the images, (N, C, H, W) and (N,), with their gradients."""
        pair = self.pair
        representations = pair.sender.representations(images, pair.last_sender_layer)
        maps: list[Tensor] = []
        for j, layer in enumerate(pair.receiver.layers):
            if maps:
                maps = [layer(torch.cat(maps))]
            maps += [pair.stitches[i, j](representations[i]) for i in pair.columns.get(j, [])]
        logits = pair.receiver.head(torch.cat(maps).mean(dim=(2, 3))).float()
        losses = cross_entropies(logits.unflatten(0, (len(pair.stitches), -1)), labels)
        (losses.sum() / len(self.images)).backward()
        return losses.detach().sum(dim=1)

    def images_at_once(self) -> int:
        """How many of the batch's images keep the largest map within the engine's limit."""
        cells, largest = 0, 0
        for j, shape in self.pair.receiver.shapes(tuple(self.images.shape[1:])).items():
            cells += len(self.pair.columns.get(j, []))
            largest = max(largest, cells * shape.channels * shape.height * shape.width)
        return min(len(self.images), max(1, self.pair.limit_for(self.images) // (largest * self.images.element_size())))


def compiled(engine: Engine) -> Engine:
    """The same engine, its receiver's layers replaced by compiled ones, in place."""
    layers = engine.pair.receiver.layers
    for index, layer in enumerate(layers):
        layers[index] = torch.compile(layer, dynamic=False)
    return engine


def measure(combination: Combination, device: str, repeats: int) -> dict:
    """A row of the table."""
    torch._dynamo.reset()
    networks = [random_network(name, combination.width, seed) for seed, name in enumerate(combination[:2])]
    batch = random_batch(combination.batch, device, combination.dtype)
    ways = {
        name: kind(freeze(networks, combination.dtype, device), *batch)
        for name, kind in (
            ("columns", Engine),
            ("growing", GrowingPass),
            ("columns_compiled", lambda *setup: compiled(Engine(*setup))),
            ("growing_compiled", lambda *setup: compiled(GrowingPass(*setup))),
        )
    }
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
    differences = [(found - losses["columns"]).abs().max().item() for found in losses.values()]
    return combination._asdict() | first | medians | {"max_difference": max(differences)}


if __name__ == "__main__":
    measure_combinations(__doc__, measure)
