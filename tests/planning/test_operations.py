"""Operations of networks, stitches and what moves them are those that torch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from modelstitch.config.networks import Architecture
from modelstitch.data.images import DeviceImages
from modelstitch.engine.evaluation import cross_entropies
from modelstitch.engine.pair import StitchedPair
from modelstitch.fitting import beginning
from modelstitch.fitting.muon import WhitenedMuon
from modelstitch.fitting.objectives import objective_of
from modelstitch.fitting.protocols import fast, least_squares
from modelstitch.fitting.steps import steps
from modelstitch.fitting.work import PairWork, stitch_numbers, stitch_operations
from modelstitch.identifiers import RECIPES
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.representations import Representation
from modelstitch.planning import operations
from modelstitch.planning.description_of import described
from modelstitch.schedule import count_steps
from modelstitch.stitches.families.linear import initialise
from modelstitch.stitches.geometry import Geometry, geometries
from modelstitch.stitches.normal_equations import Moments
from tests.planning.plans import describe, planned, study_of, with_task
from tests.settings import FAST, small_resnet, stitch_settings

TRAINED = ("R1111_trained_s0", "R1112_trained_s0", range(5), range(6))
# Of maps that shrink, stay and grow, square or not; of sizes that do not divide; of tokens and vectors.
ENDS = [
    (Representation(4, 32, 32), Representation(8, 16, 16)),
    (Representation(4, 32, 32), Representation(32, 4, 4)),
    (Representation(8, 16, 16), Representation(8, 16, 16)),
    (Representation(32, 4, 4), Representation(4, 32, 32)),
    (Representation(4, 32, 64), Representation(8, 16, 16)),
    (Representation(4, 16, 8), Representation(8, 4, 16)),
    (Representation(2, 8, 32), Representation(2, 8, 8)),
    (Representation(4, 14, 14), Representation(6, 9, 9)),
    (Representation(4, 8, 8), Representation(6, 4, 4, "tokens", 1)),
    (Representation(6, 4, 4, "tokens", 1), Representation(4, 8, 8)),
    (Representation(6, 4, 4, "tokens", 1), Representation(5, 4, 4, "tokens", 1)),
    (Representation(4, 8, 8, "map-last"), Representation(12, layout="vector")),
    (Representation(12, layout="vector"), Representation(4, 8, 8)),
]


def counted(call, *arguments) -> int:
    with FlopCounterMode(display=False) as counter:
        call(*arguments)
    return counter.get_total_flops()


def work_of(sender, receiver, sender_layers, receiver_layers, recipes=("trained", "trained")):
    return PairWork(sender, receiver, *recipes, sender_layers, receiver_layers)


def small(name, width=4, image=(3, 32, 32)):
    return describe(Architecture(model=name, arguments={"width": width}), image, 10)


@pytest.mark.parametrize("architecture", ["R1111", "R1222", "R2112"])
def test_operations_of_a_network_are_those_that_torch_counts(architecture):
    module = small_resnet(architecture, channels=3).module
    description, images = small(architecture), torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        assert description.total_operations == sum(description.operations) == counted(module, images)
        for index in range(len(module.layers)):
            prefix = counted(torch.nn.Sequential(*module.layers[: index + 1]), images)
            assert description.prefix_operations(index) == prefix
            assert description.suffix_operations(index) == description.total_operations - prefix
    assert description.suffix_operations(-1) == description.total_operations


@pytest.mark.parametrize(("source", "target"), ENDS)
def test_operations_and_numbers_of_a_stitch_are_those_that_torch_counts(source, target):
    geometry = Geometry.between(source, target)
    stitch = initialise(geometry, seed=0)
    assert stitch_operations(geometry) == counted(stitch, torch.zeros(1, *source.shape))
    assert stitch_numbers(geometry) == sum(parameter.numel() for parameter in stitch.parameters)


@pytest.mark.parametrize(("source", "target"), ENDS)
def test_operations_of_muon_on_a_stitch_are_those_that_torch_counts(source, target):
    cells = {(0, 0): Geometry.between(source, target)}
    stitches, moments = beginning.new_stitches(cells, FAST.family, (0,), "cpu"), Moments(cells)
    moments.add({0: torch.rand(3, *source.shape)}, {0: torch.rand(3, *target.shape)})
    optimiser = WhitenedMuon(stitches, moments)
    for tensor in optimiser.parameters:
        tensor.grad = torch.ones_like(tensor)
    assert sum(map(fast.muon_operations, cells[0, 0].parts)) == counted(optimiser.step)


def test_blocks_of_a_pair_cost_what_the_pair_costs_and_the_senders_pass_again():
    network = small("R1111", width=8)
    whole, *blocks = (
        work_of(network, network, range(5), layers).passes_operations(passes=2)
        for layers in (range(5), [0, 1], [2, 3], [4])
    )
    assert sum(blocks) == whole + 2 * network.prefix_operations(4)


def test_operations_of_a_pair_are_those_that_torch_counts():
    networks = [small_resnet(name, channels=3) for name in ("R1111", "R1112")]
    frozen = [FrozenNetwork(network) for network in networks]
    work = work_of(*map(described, networks), (1, 3), (-1, 0, 3, 5))
    stitches = beginning.new_stitches(work.geometries, FAST.family, (0,), "cpu")
    pair, images, labels = StitchedPair(*frozen, stitches), torch.zeros(2, 3, 32, 32), torch.zeros(2).long()

    def train():
        for _, group, logits in pair.passes(images):
            cross_entropies(logits, labels[group.images]).sum().backward()

    @torch.no_grad()
    def evaluate():
        list(pair.passes(images))

    for call, passes in ((train, 2), (evaluate, 1)):
        assert counted(call) == len(images) * work.passes_operations(passes)


def test_operations_of_muon_on_a_pair_are_those_that_torch_counts():
    network = FrozenNetwork(small_resnet("R1112", channels=3))
    cells = geometries(network.shapes, network.shapes, (-1, 0, 2), range(6))
    stitches, moments = beginning.new_stitches(cells, FAST.family, (0,), "cpu"), Moments(cells)
    moments.add(*({layer: torch.rand(2, *shape.shape) for layer, shape in network.shapes.items()},) * 2)
    optimiser = WhitenedMuon(stitches, moments)
    for tensor in optimiser.parameters:
        tensor.grad = torch.ones_like(tensor)
    assert counted(optimiser.step) == sum(map(muon_operations, cells.values()))
    plan = planned(study_of("config"))
    pair = ("R1122_trained_s0", "R1122_random_s0", range(7), (2, 3))
    work, task = plan.work(*pair), plan.study.stitches.task
    count = count_steps(task.epochs, task.batch, plan.sizes.train_images)
    passes = work.passes_operations(passes=2) + fast.teaching_operations(work)
    beside = operations.training(plan, "task", *pair) - count * task.batch * passes
    assert beside == count * sum(map(muon_operations, work.geometries.values()))


def muon_operations(geometry):
    return sum(map(fast.muon_operations, geometry.parts))


def test_an_evaluation_costs_a_forward_pass_of_each_cell_over_the_whole_test_set():
    laptop = planned(study_of("cifar10-laptop"))
    sender, receiver = (laptop.descriptions[name] for name in ("R1111", "R1112"))
    training, evaluation = operations.training(laptop, "task", *TRAINED), operations.evaluation(laptop, *TRAINED)
    prefix, head = sender.prefix_operations(4), sender.operations[-1]
    work, steps_taken = laptop.work(*TRAINED), 195
    moving = steps_taken * sum(map(muon_operations, work.geometries.values()))
    soft_labels = head + receiver.total_operations
    images = images_seen(laptop, "task")
    assert images == steps_taken * laptop.study.stitches.task.batch
    assert (training - moving) / images - prefix - soft_labels == 2 * (evaluation / 10_000 - prefix) > 0


def test_soft_labels_cost_what_the_stitches_have_not_run_of_networks_that_know_something():
    laptop = planned(study_of("cifar10-laptop"))
    sender, receiver = (laptop.descriptions[name] for name in ("R1111", "R1112"))
    for recipes, rows, expected in (
        (("trained", "random"), range(5), sender.operations[-1]),
        (("trained", "trained"), [0, 2], sum(sender.operations[3:]) + receiver.total_operations),
        (("pretrained", "pretrained"), [2, 0], sum(sender.operations[3:]) + receiver.total_operations),
        (("random", "trained"), [0], receiver.total_operations),
        (("calibrated", "random"), [0, 2], 0),
        (("random", "random"), [0, 2], 0),
    ):
        assert fast.teaching_operations(work_of(sender, receiver, rows, range(6), recipes)) == expected


def test_a_step_by_the_papers_protocol_costs_nothing_beside_its_passes():
    study = study_of("cifar10-laptop")
    paper = planned(
        study.model_copy(update={"stitches": study.stitches.model_copy(update={"task": stitch_settings()})})
    )
    images = images_seen(paper, "task")
    assert operations.training(paper, "task", *TRAINED) == images * paper.work(*TRAINED).passes_operations(passes=2)


def test_a_network_costs_three_passes_for_an_image_and_an_evaluation_for_an_epoch():
    laptop = planned(study_of("cifar10-laptop"))
    forward = laptop.descriptions["R1111"].total_operations
    assert operations.network(laptop, "R1111_trained_s0") == forward * (10 * (3 * 50_000 + 10_000) + 10_000)
    assert operations.network(laptop, "R1111_calibrated_s0") == forward * (50_000 + 10_000)
    for recipe in ("random", "pretrained"):
        assert operations.network(laptop, f"R1111_{recipe}_s0") == forward * 10_000


def test_a_recipe_that_is_not_trained_costs_its_evaluation():
    laptop = planned(study_of("cifar10-laptop"))
    recipes = {recipe: operations.network(laptop, f"R1111_{recipe}_s0") for recipe in RECIPES}
    assert min(recipes.values()) == recipes["random"] > 0


def test_an_architecture_is_trained_for_its_own_epochs():
    study = study_of("cifar10-laptop")
    longer = study.networks.training.model_copy(update={"epochs": 20}).model_dump(mode="json")
    architectures = ["R1111", {"model": "R1112", "training": longer}]
    plan = planned(study_of("cifar10-laptop", networks={"architectures": architectures}))
    for name, epochs in (("R1111", 10), ("R1112", 20)):
        forward = plan.descriptions[name].total_operations
        assert operations.network(plan, f"{name}_trained_s0") == forward * (epochs * 160_000 + 10_000)


@pytest.mark.parametrize(
    ("changes", "images"),
    [({"share": 0.1}, 5_000), ({"classes": [0, 1, 2]}, 15_000), ({"labels": "shuffled", "shortcut": 1}, 50_000)],
)
def test_fewer_images_to_train_on_cost_less(changes, images):
    training = study_of("cifar10-laptop").networks.training.model_dump(mode="json") | {"changes": changes}
    plan = planned(study_of("cifar10-laptop", networks={"architectures": ["R1111"], "training": training}))
    forward = plan.descriptions["R1111"].total_operations
    assert operations.network(plan, "R1111_trained_s0") == forward * (10 * (3 * images + 10_000) + 10_000)


@pytest.mark.parametrize("epochs", [0.001, 0.37, 1, 2.3])
def test_images_that_stitches_are_trained_on_are_those_of_the_engines_steps(epochs, few_digits):
    plan = planned(with_task(study_of("cifar10-laptop"), epochs=epochs))
    task = plan.study.stitches.task
    assert images_seen(plan, "task") == count_steps(epochs, task.batch, 50_000) * task.batch
    settings = stitch_settings(epochs=epochs)
    taken = list(steps(DeviceImages(few_digits, few_digits.train), settings, ("order",), "steps"))
    few = planned(
        plan.study.model_copy(update={"stitches": plan.study.stitches.model_copy(update={"task": settings})}),
        plan.sizes._replace(train_images=203),
    )
    assert images_seen(few, "task") == sum(len(images) for _, _, images, _ in taken)


def images_seen(plan, objective):
    settings = plan.study.stitches.objectives()[objective]
    return objective_of(objective).images_seen(settings, plan.sizes.train_images)


def test_least_squares_see_every_image_once_and_run_no_suffix():
    plan = planned(study_of("paper-laptop"))
    assert images_seen(plan, "similarity") == 50_000
    work = plan.work(*TRAINED)
    both = sum(plan.descriptions[name].total_operations for name in ("R1111", "R1112"))
    made = operations.training(plan, "similarity", *TRAINED)
    assert made == 50_000 * (both + least_squares.image_operations(work))


def test_operations_of_least_squares_are_twice_those_that_torch_counts_in_float64():
    """Normal equations of a cell alone: its inputs squared, and their products with what the stitch should give."""
    for source, target in ENDS[:7]:
        cells = {(0, 0): Geometry.between(source, target)}
        moments = Moments(cells, torch.float64)
        found = counted(moments.add, {0: torch.rand(1, *source.shape)}, {0: torch.rand(1, *target.shape)})
        (part,) = cells[0, 0].parts
        ones = 2 * part.places * (2 * part.inputs + 1 + part.outputs)  # of the column of ones, for means
        squares = 2 * part.places * part.inputs**2
        assert found == squares + stitch_operations(cells[0, 0]) + ones
