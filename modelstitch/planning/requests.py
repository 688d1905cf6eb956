"""Memory (MB) and minutes that jobs ask a scheduler for: high on purpose, since it kills jobs that exceed them.

This is the only model of memory; `speed` measures times on a machine.
"""

import math
from collections.abc import Sequence

from modelstitch.config.families import LINEAR, Family
from modelstitch.engine.grouping import CPU_BYTES, Suffix, group_bytes
from modelstitch.fitting.protocols import protocol_of
from modelstitch.identifiers import NetworkId
from modelstitch.networks.description import Description
from modelstitch.planning import operations
from modelstitch.planning.study import PlannedStudy

MIB = 2**20
# Slowest expected, not typical: one old core in float32, which narrow networks leave idle half the time; a small GPU.
# One busy AVX2 core did 9e9 at width 4 and batch 16, and 4e10 at width 8 and batch 32.
FLOPS_PER_SECOND_OF_CORE_AND_CHANNEL, FLOPS_PER_SECOND_OF_CORE = 1e9, 2e10
FLOPS_PER_SECOND_OF_GPU = 1e12
PROCESS_MB = {"cpu": 1000, "auto": 1000, "cuda": 4000}
GROUP_MB = 320  # at least, of what a step holds of a group on a CPU
# Copies of a network's weights in a job: as read, its graph's, those of the pieces, and convolutions in float64.
COPIES = 6
# Of a training: the numbers that its operations give are kept and have gradients, now and then a copy.
TRAINING_COPIES = 1.6
STATES = 4  # weights, gradients, and what an optimiser remembers
# Wide convolutions (`winograd`): 36 weights in float32 for each of two directions, and 9 in float64.
WINOGRAD_BYTES = 2 * 36 * 4 + 9 * 8
FEWEST_EVALUATED = 500
SPECTRA_BATCH = 50  # of `measures.stitch_spectra`
# Gathering 256 pairs of 38 cells and 10,000 images took 15 s, the triangle 11 s and 774 MB; drawing a pair 0.2 s.
GATHERING_SECONDS, GATHERING_BYTES = 3e-7, 1.5  # for each prediction of a test image, of one sender at a time
CELL_BYTES, LARGE_CELL_BYTES = 4000, 800  # of a table's row: all columns, and those that figures of all pairs need
RESAMPLED_BYTES = 8 * 1001  # of a cell: its accuracies in all resamples of the images
DRAWN_BYTES = 30 * 1001  # of a test image: how often it is in each resample, as drawn and twice as numbers
DRAWING_SECONDS = 1.0  # for each pair and kind of file
IMAGE_SECONDS = 0.005  # reading an image file
# A measure sees each image of the data set in each layer of a network, forwards and backwards.
MEASURE_PASSES, LEAST_MEASURE_MINUTES = 9, 50
SNAKEMAKE_MB, PAIR_BYTES = 150, 12_000  # a job of a small study; of 57,600 pairs 650 MB
START_MINUTES = 10  # a slow file system, and what is the same for all


def dataset_mb(plan: PlannedStudy) -> int:
    """Making the data set's file."""
    return PROCESS_MB["cpu"] + math.ceil(6 * _images_mb(plan))


def dataset_minutes(plan: PlannedStudy) -> int:
    """Making the data set's file."""
    return START_MINUTES + math.ceil(IMAGE_SECONDS * (plan.sizes.train_images + plan.sizes.test_images) / 60)


def snakemake_mb(plan: PlannedStudy) -> int:
    """The two Snakemake processes beside each job on a cluster, which read the study like the one that submits jobs."""
    return 2 * (SNAKEMAKE_MB + math.ceil(PAIR_BYTES * len(plan.study.stitched_pairs()) / MIB))


def tables_mb(plan: PlannedStudy) -> int:
    """Making tables: all that one sender's records hold; in a small study also rows and outcomes of all cells."""
    cells, images = cells_of_study(plan), plan.sizes.test_images
    of_sender = 2 * cells / len({sender for _, (sender, _) in plan.study.stitched_pairs()})
    rows, outcomes = CELL_BYTES + 3 * images / 8, GATHERING_BYTES * images + RESAMPLED_BYTES
    every = LARGE_CELL_BYTES * cells + rows * of_sender if plan.study.is_large else rows * cells
    return PROCESS_MB["cpu"] + math.ceil((every + outcomes * of_sender + DRAWN_BYTES * images) / MIB)


def tables_minutes(plan: PlannedStudy) -> int:
    """Gathering all records, or drawing the overviews of all pairs."""
    return START_MINUTES + math.ceil(GATHERING_SECONDS * cells_of_study(plan) * plan.sizes.test_images / 60)


def pair_figures_minutes(plan: PlannedStudy) -> int:
    """Drawing a figure for each pair and objective."""
    figures = len(plan.study.stitched_pairs()) * len(plan.study.figures.formats)
    return tables_minutes(plan) + math.ceil(DRAWING_SECONDS * figures / 60)


def cells_of_study(plan: PlannedStudy) -> int:
    """Cells of all pairs and objectives."""
    cells: dict[tuple[str, str, str], int] = {}  # of a pair, by objective and architectures
    total = 0
    for objective, (sender, receiver) in plan.study.stitched_pairs():
        kind = (objective, sender.architecture, receiver.architecture)
        if kind not in cells:
            cells[kind] = len(plan.sender_layers(objective, sender)) * len(plan.receiver_layers(objective, receiver))
        total += cells[kind]
    return total


def network_mb(plan: PlannedStudy, network: str | NetworkId) -> int:
    """Training a network, or evaluating it."""
    description = plan.description(network)
    architecture, recipe, _ = NetworkId.parse(str(network))
    batch = plan.study.networks.complete(architecture).training.batch if recipe == "trained" else 0
    held = TRAINING_COPIES * max(batch, FEWEST_EVALUATED) * description.activations
    weights = (STATES + COPIES) * description.parameters
    return _base_mb(plan) + math.ceil((_host_bytes(plan, 4 * held) + 4 * weights) / MIB)


def network_minutes(plan: PlannedStudy, network: str | NetworkId) -> int:
    """Making a network."""
    return _minutes(plan, operations.network(plan, network), [plan.description(network)])


def pair_mb(
    plan: PlannedStudy,
    objective: str,
    sender: str | NetworkId,
    receiver: str | NetworkId,
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
) -> int:
    """Training cells of a pair: a batch in the sender, a group in the receiver, the stitches and their optimiser."""
    settings = plan.settings[objective]
    work = plan.work(sender, receiver, sender_layers, receiver_layers, settings.family)
    batch = max(getattr(settings, "batch", 0), FEWEST_EVALUATED)
    sent = 2 * 4 * batch * sum(layer.size for layer in work.sender.shapes.values())
    stitches = 4 * STATES * sum(work.stitch_numbers)
    beside = protocol_of(settings.protocol).memory_bytes(settings, work)
    networks = sum(4 * COPIES * one.parameters + WINOGRAD_BYTES * one.winograd for one in (work.sender, work.receiver))
    groups = GROUP_MB * MIB + 2 * _largest_group(work.receiver, work.receiver_layers)
    return _base_mb(plan) + math.ceil((_host_bytes(plan, sent + beside + groups) + stitches + networks) / MIB)


def pair_minutes(
    plan: PlannedStudy,
    objective: str,
    sender: str | NetworkId,
    receiver: str | NetworkId,
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
) -> int:
    """Training cells of a pair for an objective, and evaluating them."""
    cells = (sender, receiver, sender_layers, receiver_layers)
    family = plan.settings[objective].family
    count = operations.training(plan, objective, *cells) + operations.evaluation(plan, *cells, family)
    return _minutes(plan, count, [plan.description(network) for network in (sender, receiver)])


def measure_minutes(plan: PlannedStudy, *networks: str | NetworkId) -> int:
    """A measure of some networks that sees every image in every layer."""
    described = [plan.description(network) for network in networks]
    images = plan.sizes.train_images + plan.sizes.test_images
    count = sum(MEASURE_PASSES * images * one.total_operations for one in described)
    return LEAST_MEASURE_MINUTES + _minutes(plan, count, described)


def probe_mb(plan: PlannedStudy, network: str | NetworkId) -> int:
    """Probing a network: the input of a stitch from every layer to the last, for all images, three times."""
    layers = range(plan.layers(network))
    stitches = plan.work(network, network, layers, [layers[-1]]).geometries.values()
    features = sum(geometry.parts[0].inputs for geometry in stitches)
    return network_mb(plan, network) + 3 * 4 * features * plan.study.measures.probes.images // MIB


def hacking_mb(
    plan: PlannedStudy,
    objective: str,
    sender: str | NetworkId,
    receiver: str | NetworkId,
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
) -> int:
    """Measuring hacking: four features per channel of every cell for training and test images, and all distances."""
    images = min(plan.study.measures.hacking.images, plan.sizes.train_images)
    shapes = plan.description(receiver).shapes
    features = (len(sender_layers) + 1) * sum(shapes[j].channels * (4 + shapes[j].extra) for j in receiver_layers)
    pair = pair_mb(plan, objective, sender, receiver, sender_layers, receiver_layers)
    return pair + (2 * 4 * features * images + 6 * 8 * images**2) // MIB


def similarity_mb(plan: PlannedStudy, sender: str | NetworkId, receiver: str | NetworkId) -> int:
    """Comparing the layers of a pair: a matrix over all images per sender layer, eight more, and all features."""
    images = min(plan.study.measures.statistical_similarity.images, plan.sizes.test_images)
    features = sum(
        shape.channels * (1 + shape.extra)
        for network in (sender, receiver)
        for shape in plan.description(network).shapes.values()
    )
    numbers = (plan.layers(sender) + 8) * images**2 + 4 * features * images
    return max(network_mb(plan, network) for network in (sender, receiver)) + 4 * numbers // MIB


def spectra_mb(plan: PlannedStudy, objective: str, sender: str | NetworkId, receiver: str | NetworkId) -> int:
    """Measuring spectra: gradients of logits at every receiver layer, and layers in float64, beside a pair's own."""
    layers = plan.sender_layers(objective, sender), plan.receiver_layers(objective, receiver)
    description = plan.description(receiver)
    held = sum(description.kept) + 6 * sum(shape.size for shape in description.shapes.values())
    held = _host_bytes(plan, 4 * SPECTRA_BATCH * held)
    return pair_mb(plan, objective, sender, receiver, *layers) + math.ceil(held / MIB)


def noise_mb(plan: PlannedStudy, network: str | NetworkId) -> int:
    """Stitching noise into a network: a batch for every layer and sigma, three times, and the largest group."""
    noise, description = plan.study.measures.clustered_noise, plan.description(network)
    layers = range(plan.layers(network))
    sent = len(noise.sigmas) * max(noise.batch, FEWEST_EVALUATED) * sum(description.shapes[j].size for j in layers)
    groups = GROUP_MB * MIB + 2 * _largest_group(description, layers)
    return network_mb(plan, network) + math.ceil((_host_bytes(plan, groups) + 3 * 4 * sent) / MIB)


def rank_mb(plan: PlannedStudy, sender: str | NetworkId, receiver: str | NetworkId) -> int:
    """A pair's cells with each sender layer at every rank: representations of a batch, and features of probes."""
    images, layers = plan.study.measures.rank_sensitivity.images, range(plan.layers(sender))
    shapes = [plan.description(sender).shapes[i] for i in layers]
    batch = max(plan.study.stitches.task.batch, FEWEST_EVALUATED)
    sent = sum(shape.channels.bit_length() * shape.size for shape in shapes) * batch
    probed = plan.work(sender, sender, layers, [layers[-1]]).geometries.values()
    ranks = max(shape.channels.bit_length() for shape in shapes)
    features = ranks * sum(geometry.parts[0].inputs for geometry in probed)
    count = features * (images + plan.sizes.test_images)
    pair = pair_mb(plan, "task", sender, receiver, layers, range(plan.layers(receiver)))
    return pair + math.ceil((_host_bytes(plan, 4 * 3 * sent) + 4 * 2 * count) / MIB)


def joining_mb(plan: PlannedStudy, sender: str | NetworkId, receiver: str | NetworkId, family: Family = LINEAR) -> int:
    """Joining the blocks of a pair: its stitches are held twice."""
    layers = (range(plan.layers(network)) for network in (sender, receiver))
    numbers = plan.work(sender, receiver, *layers, family).stitch_numbers
    return PROCESS_MB["cpu"] + math.ceil(2 * 4 * sum(numbers) / MIB)


def _host_bytes(plan: PlannedStudy, size: float) -> float:
    """Bytes of a computer's memory that values of this size take: none where a GPU works, which holds them itself."""
    return 0 if plan.study.jobs.device == "cuda" else size


def _largest_group(receiver: Description, layers: Sequence[int]) -> int:
    """Bytes of the largest group of any column on a CPU, where one image alone may exceed the limit."""
    found, shapes = 0, receiver.shapes
    for j in layers:
        suffix = Suffix(shapes[j].size, max(receiver.largest[j + 1 :]), sum(receiver.kept[j + 1 :]))
        found = max(found, group_bytes(suffix, max(CPU_BYTES, 4 * suffix.largest)))
    return found


def _base_mb(plan: PlannedStudy) -> int:
    return PROCESS_MB[plan.study.jobs.device] + math.ceil(3 * _images_mb(plan))


def _images_mb(plan: PlannedStudy) -> float:
    image, train_images, test_images, _ = plan.sizes
    return (train_images + test_images) * math.prod(image) / MIB


def _minutes(plan: PlannedStudy, count: float, networks: Sequence[Description]) -> int:
    channels = min(one.layers[0].channels for one in networks)
    core = min(FLOPS_PER_SECOND_OF_CORE_AND_CHANNEL * channels, FLOPS_PER_SECOND_OF_CORE)
    speed = FLOPS_PER_SECOND_OF_GPU if plan.study.jobs.device == "cuda" else core * plan.study.jobs.threads
    return START_MINUTES + math.ceil(count / speed / 60)
