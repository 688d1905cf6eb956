"""What jobs ask a scheduler for covers what they take, and grows with their work."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modelstitch.data.datasets import Sizes
from modelstitch.engine.grouping import CPU_BYTES, group_bytes
from modelstitch.engine.pair import StitchedPair
from modelstitch.fitting.beginning import moments_of, new_stitches
from modelstitch.fitting.work import PairWork, moments_bytes
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.representations import Representation
from modelstitch.networks.winograd import WinogradConvolution
from modelstitch.planning import requests
from modelstitch.planning.description_of import described
from modelstitch.stitches.normal_equations import Moments
from tests.checkout import ROOT
from tests.planning.plans import describe, planned, study_of, with_task
from tests.settings import FAST, architecture, small_resnet

SAME = ("R1111_trained_s0", "R1111_trained_s0", range(5), range(5))
# Peak memory of a job in MiB, with few training images and one cell whose normal equations are large. (getrusage counts
# what forked it.)
JOB = """
import sys, torch
from modelstitch.data import datasets
from modelstitch.fitting.pair import train_pair
from tests.settings import FAST, initialised
torch.set_num_threads(1)
dataset = datasets.read(sys.argv[1])
network = initialised(("R1111", "random", 0), dataset, width=32)
train_pair(network, network, dataset, FAST, study_seed=0, sender_layers=[0], receiver_layers=[4])
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
print(int(status['VmHWM'].split()[0]) / 1024)
"""


def small(jobs=None, width=4, **task):
    """The default study with one architecture and few images, its stitches for the task made otherwise."""
    study = study_of("config", networks={"architectures": ["R1111"], "width": width}, jobs=jobs or {})
    return planned(with_task(study, **task), Sizes((1, 32, 32), 203, 101, 10))


def asked(plan, sender="R1111_trained_s0", receiver="R1111_trained_s0", rows=range(5), columns=range(5)):
    """Memory and minutes of a pair's job."""
    cells = ("task", sender, receiver, rows, columns)
    return requests.pair_mb(plan, *cells), requests.pair_minutes(plan, *cells)


def test_requests_cover_what_was_measured():
    """Of R1122 to itself in the laptop study: 4.2 minutes of one busy AVX2 core and 1,075 MB; 8.6 to train R1122."""
    laptop = planned(study_of("cifar10-laptop"))
    pair = ("R1122_trained_s0", "R1122_trained_s0", range(7), range(7))
    memory, minutes = asked(laptop, *pair)
    assert 2 * 4.2 < minutes < 20 * 4.2
    assert 1075 < memory < 4 * 1075
    assert 2 * 8.6 < requests.network_minutes(laptop, pair[0]) < 20 * 8.6


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
def test_a_job_asks_for_more_memory_than_it_takes(few_digits_path):
    command = [sys.executable, "-c", JOB, str(few_digits_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    memory, _ = asked(small(width=32, batch=FAST.batch), *["R1111_random_s0"] * 2, [0], [4])
    assert float(done.stdout) < memory < 4 * float(done.stdout)


def test_a_job_of_the_paper_asks_for_more_than_one_of_the_default_study():
    paper, default = planned(study_of("paper-schedule")), planned(study_of("config"))
    for more, less in zip(asked(paper, *SAME), asked(default, *SAME), strict=True):
        assert more > less
    for ask in (requests.network_mb, requests.network_minutes):
        assert ask(paper, SAME[0]) > ask(default, SAME[0])
    assert requests.dataset_mb(paper) > requests.dataset_mb(default)
    assert requests.joining_mb(paper, *SAME[:2]) > requests.joining_mb(default, *SAME[:2])


def test_more_cores_take_less_time():
    eight, one = (
        requests.network_minutes(
            planned(study_of("cifar10-laptop", jobs={"device": "cpu", "threads": threads})), SAME[0]
        )
        for threads in (8, 1)
    )
    assert eight < one


def test_a_gpu_takes_more_memory_and_less_time():
    gpu, cpu, auto = (asked(small({"device": name}, epochs=5000, batch=29)) for name in ("cuda", "cpu", "auto"))
    assert gpu[0] > cpu[0] and gpu[1] < cpu[1]
    assert auto == cpu


def test_what_a_gpu_holds_is_not_asked_of_the_computer():
    gpu, larger = (asked(small({"device": "cuda"}, batch=batch))[0] for batch in (29, 2900))
    assert gpu == larger
    cpu, larger = (asked(small({"device": "cpu"}, batch=batch))[0] for batch in (29, 2900))
    assert cpu < larger


def test_a_pairs_memory_grows_with_its_sender_receiver_cells_batch_and_images():
    plan = planned(study_of("cifar10-laptop"))
    deep, shallow = "R1122_trained_s0", "R1111_trained_s0"
    memory, _ = asked(plan, shallow, shallow)
    assert asked(plan, deep, shallow, range(7), range(5))[0] > memory
    assert asked(plan, shallow, deep, range(5), range(7))[0] > memory
    assert asked(plan, shallow, shallow, [0], range(5))[0] < memory
    assert asked(plan, shallow, shallow, range(5), [0])[0] < memory
    assert asked(planned(with_task(plan.study, batch=1000)), shallow, shallow)[0] > memory
    more_images = planned(plan.study, plan.sizes._replace(train_images=10 * plan.sizes.train_images))
    assert asked(more_images, shallow, shallow)[0] > memory


def test_a_pairs_minutes_grow_with_its_cells_and_epochs():
    plan = planned(with_task(study_of("cifar10-laptop"), epochs=10.0))
    minutes = asked(plan, *SAME)[1]
    for cells in ((*SAME[:2], [4], range(5)), (*SAME[:3], [4])):
        assert asked(plan, *cells)[1] < minutes
    assert asked(planned(with_task(plan.study, epochs=20.0)), *SAME)[1] > 1.8 * minutes
    assert asked(plan, "R1122_trained_s0", "R1122_trained_s0", range(7), range(7))[1] > minutes


def test_a_networks_request_is_its_own_and_that_of_its_own_training():
    own = study_of("cifar10-laptop").networks.training.model_dump(mode="json")
    architectures = [
        "R1111",
        "R2222",
        {"model": "R1111", "name": "large", "training": own | {"batch": 5000}},
        {"model": "R1111", "name": "long", "training": own | {"epochs": 800}},
        {"model": "R1111", "name": "tall", "image_size": 64},
    ]
    plan = planned(study_of("cifar10-laptop", networks={"architectures": architectures}))
    memory = {name: requests.network_mb(plan, f"{name}_trained_s0") for name in plan.descriptions}
    minutes = {name: requests.network_minutes(plan, f"{name}_trained_s0") for name in plan.descriptions}
    assert min(memory["R2222"], memory["large"], memory["tall"]) > memory["R1111"] == memory["long"]
    assert min(minutes["R2222"], minutes["long"], minutes["tall"]) > minutes["R1111"] == minutes["large"]
    assert requests.network_minutes(plan, "long_random_s0") < minutes["long"]


def test_each_objective_reserves_for_itself():
    laptop = planned(study_of("paper-laptop"))
    pair = ("R1112_trained_s0", "R1112_trained_s0", range(6), range(6))
    minutes = {objective: requests.pair_minutes(laptop, objective, *pair) for objective in ("task", "similarity")}
    for objective, asked_for in minutes.items():
        stitches = laptop.study.stitches.model_copy(
            update={other: None for other in (*minutes, "remapped") if other != objective}
        )
        alone = planned(
            laptop.study.model_copy(update={"stitches": stitches, "measures": type(laptop.study.measures)()})
        )
        assert asked_for == requests.pair_minutes(alone, objective, *pair)
    assert len(set(minutes.values())) == 2


def test_the_transformed_weights_of_wide_networks_are_counted():
    wide = WinogradConvolution(torch.nn.Conv2d(128, 128, 3, padding=1, bias=False).double())
    held = sum(tensor.nbytes for tensor in (wide.weights, wide.turned, wide.exact))
    assert held == requests.WINOGRAD_BYTES * 128**2
    description = describe(architecture("R1111", width=64), (1, 32, 32), 10)
    # The second convolution of each block of 128 channels and more; the first ones have a stride.
    assert description.winograd == 128**2 + 256**2 + 512**2
    frozen = FrozenNetwork(small_resnet("R1111", width=64))
    used = [part.direct for part in frozen.modules() if isinstance(part, WinogradConvolution)]
    assert description.winograd == sum(part.in_channels * part.out_channels for part in used)


def test_the_largest_group_of_a_request_is_that_of_the_engine():
    networks = [small_resnet(name, width=8, channels=3) for name in ("R1111", "R1112")]
    frozen = [FrozenNetwork(network) for network in networks]
    work = PairWork(*map(described, networks), "trained", "trained", range(5), range(-1, 6))
    pair = StitchedPair(*frozen, new_stitches(work.geometries, FAST.family, (0,), "cpu"))
    largest = max(group_bytes(suffix, CPU_BYTES) for suffix in pair.suffixes.values())
    assert requests._largest_group(work.receiver, work.receiver_layers) == largest


def test_normal_equations_are_counted_as_they_are_held(few_digits):
    networks = [small_resnet(name) for name in ("R1111", "R1112")]
    frozen = [FrozenNetwork(network) for network in networks]
    work = PairWork(*map(described, networks), "trained", "trained", range(5), range(6))
    moments = moments_of(*frozen, work.geometries, [torch.rand(3, 1, 32, 32)], torch.float32)
    assert moments_bytes(work) == held_by(moments)


def held_by(moments):
    """Products in float64, twice the square of the inputs in float32, and six squares of the largest."""
    sizes = [len(product) - 1 for product in moments.products.values()]
    whitening = sum(2 * 4 * size**2 for size in sizes)
    return sum(product.nbytes for product in moments.products.values()) + whitening + 6 * 8 * max(sizes) ** 2


def test_normal_equations_of_tokens_are_about_as_large_as_what_is_asked_for():
    """Of a Transformer with a class token, behind a stem that gives a map, to itself."""
    layers = (
        Representation(6, 8, 8),
        Representation(8, 4, 4),
        *[Representation(8, 4, 4, "tokens", 1)] * 2,
        Representation(8, layout="vector"),
    )
    network = dataclasses.replace(describe(architecture(), (1, 32, 32), 10), layers=layers)
    work = PairWork(network, network, "trained", "trained", range(5), range(5))
    moments = Moments(work.geometries)
    values = {layer: torch.rand(3, *one.shape) for layer, one in enumerate(layers)}
    moments.add(values, values)
    assert moments_bytes(work) == pytest.approx(held_by(moments), rel=0.05)


def test_comparing_layers_asks_for_a_matrix_of_all_images_for_each_layer():
    """R1111 of width 8 with itself, 3,000 CIFAR images: 1,806 MB."""
    pair = ("R1111_trained_s0", "R1111_trained_s0")
    asked = []
    for images in (3000, 6000):
        measures = {"statistical_similarity": {"images": images, "permutations": 2, "neighbours": 10}}
        asked.append(requests.similarity_mb(planned(study_of("cifar10-laptop", measures=measures)), *pair))
    assert 1.2 * 1806 < asked[0] < 2 * 1806
    assert asked[1] - asked[0] > 4 * (5 + 2) * (6000**2 - 3000**2) / 2**20


def test_gathering_asks_by_the_number_of_cells_and_images():
    """256 pairs of 38 cells and 10,000 images took 15 s and 774 MB; figures of 1,024 pairs 235 s."""
    default, paper = (planned(study_of(name)) for name in ("config", "paper"))
    cells = requests.cells_of_study(paper)
    scale = cells / (1024 * 49)
    assert cells == sum(
        len(paper.sender_layers(objective, pair.sender)) * len(paper.receiver_layers(objective, pair.receiver))
        for objective, pair in paper.study.stitched_pairs()
    )
    assert 2 * 774 < requests.tables_mb(paper) < 3000
    trained = [{"sender": "trained", "receiver": "trained"}]
    task = dict.fromkeys(("remapped", "similarity"))
    large = study_of("paper", networks={"seeds": list(range(15))}, pairs=trained, stitches=task, measures={})
    assert large.is_large and requests.tables_mb(planned(large)) < 4500
    assert 2 * 41 * scale < 60 * requests.tables_minutes(paper) < 60 * 60
    assert 60 * requests.pair_figures_minutes(paper) > 2 * 235
    assert requests.tables_mb(default) < 1500
    assert requests.pair_figures_minutes(default) < 20
    assert requests.dataset_minutes(default) < requests.dataset_minutes(paper)


def test_a_measure_asks_by_its_networks_and_their_size():
    laptop, paper = (planned(study_of(name)) for name in ("cifar10-laptop", "paper"))
    one = requests.measure_minutes(laptop, "R1111_trained_s0")
    assert one < requests.measure_minutes(laptop, "R1111_trained_s0", "R1122_trained_s0")
    assert requests.measure_minutes(paper, "R1111_trained_s0") < requests.measure_minutes(paper, "R2222_trained_s0")
