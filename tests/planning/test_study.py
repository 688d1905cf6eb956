"""A study as its planning sees it: which layers its stitches join, and what is refused."""

import subprocess
import sys

import pytest

from modelstitch.config.study import Study, load_study
from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import NetworkId
from modelstitch.planning.study import SIZES
from tests.checkout import ROOT
from tests.config.studies import changed
from tests.planning.plans import planned, study_of


def small_plan(architectures=("R1111", "R1112"), **layers):
    """The small study with other layers of its stitches for the task."""
    values = changed("networks.architectures", list(architectures))
    values["stitches"]["task"] |= layers
    return planned(load_study(values, "study.yaml"))


def test_all_layers_are_those_of_the_architecture_and_listed_ones_are_sorted():
    plan = small_plan(receiver_layers=[4, 0])
    network = NetworkId("R1112", "trained", 0)
    assert plan.sender_layers("task", network) == plan.sender_layers("task", str(network)) == [0, 1, 2, 3, 4, 5]
    assert plan.receiver_layers("task", network) == [0, 4]
    assert [plan.layers(f"{name}_random_s3") for name in ("R1111", "R1112")] == [5, 6]


def test_the_papers_study_stitches_12_544_cells_of_trained_networks():
    """Layers are counted by torch; at width 1, which does not change them."""
    paper = planned(study_of("paper", networks={"width": 1}))
    cells = {
        (pair, i, j)
        for pair in paper.study.ordered_pairs()
        if (pair.sender.recipe, pair.receiver.recipe) == ("trained", "trained")
        for i in paper.sender_layers("task", pair.sender)
        for j in paper.receiver_layers("task", pair.receiver)
    }
    assert len(cells) == 12_544


def test_the_work_of_a_pair_is_that_of_its_cells_and_recipes():
    work = small_plan().work("R1111_random_s0", NetworkId("R1112", "trained", 0), [0, 2], [-1, 5])
    assert list(work.geometries) == [(0, -1), (2, -1), (0, 5), (2, 5)]
    assert (work.sender_recipe, work.receiver_recipe) == ("random", "trained")
    assert [len(network.layers) for network in (work.sender, work.receiver)] == [5, 6]
    assert work.geometries[0, -1].target.shape == (1, 32, 32)


def refusal(**layers):
    with pytest.raises(ModelstitchError) as caught:
        small_plan(("R2222", "R1112"), **layers).check_layers("study.yaml")
    return str(caught.value).splitlines()


def test_layers_that_every_architecture_has_are_accepted():
    small_plan(sender_layers=[0, 4], receiver_layers="all").check_layers("study.yaml")
    small_plan(sender_layers="all", receiver_layers=[4]).check_layers("study.yaml")


def test_a_layer_out_of_range_is_told_with_the_shallowest_architecture():
    assert refusal(sender_layers=[0, 6]) == [
        "study.yaml: stitches.task.sender_layers[1]: no layer 6 in R1112: it has 6 layers, 0 to 5"
    ]


def test_every_layer_out_of_range_is_told():
    assert refusal(sender_layers=[0, 5, 7], receiver_layers=[6]) == [
        "study.yaml: stitches.task.sender_layers[2]: no layer 7 in R1112: it has 6 layers, 0 to 5",
        "study.yaml: stitches.task.receiver_layers[0]: no layer 6 in R1112: it has 6 layers, 0 to 5",
    ]


def test_layers_are_those_that_a_study_names():
    named = {"model": "R1112", "name": "named", "layers": ["layers.4", "layers.1"]}
    plan = small_plan(("R1111", named), sender_layers="all", receiver_layers=[1, 0])
    assert plan.descriptions["named"].names == ("layers.1", "layers.4")
    assert plan.sender_layers("task", "named_trained_s0") == [0, 1]
    assert plan.layers("named_trained_s0") == 2


def test_sizes_are_known_of_every_source():
    schema = Study.model_json_schema()["$defs"]
    sources = {
        source
        for name in ("Embedded", "Published", "ImageFolder")
        for source in [
            *schema[name]["properties"]["source"].get("enum", []),
            schema[name]["properties"]["source"].get("const"),
        ]
        if source
    }
    assert sources == SIZES.keys()


def test_the_sizes_of_the_digits_are_those_of_the_data_set(digits):
    found = (digits.train.images.shape[1:], len(digits.train.labels), len(digits.test.labels), len(digits.classes))
    assert SIZES["digits"] == found


def test_what_a_study_names_is_planned_without_torch():
    """Objectives and protocols are found by their names: no import tells that planning asks them what they cost."""
    study = study_of("paper-laptop")
    command = f"""
import sys
from modelstitch.data import sources
from modelstitch.fitting.objectives import objective_of
from modelstitch.fitting.protocols import protocol_of
from modelstitch.planning import operations, requests
objectives = [objective_of(name) for name in {study.objectives()}]
protocols = [protocol_of(name) for name in ("paper", "fast", "adam", "least-squares")]
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT).returncode == 0
