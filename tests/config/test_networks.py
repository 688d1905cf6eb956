"""Architectures of a study: by name or with what they need, complete, or refused with what was expected."""

import json

import jsonschema
import pytest
from pydantic import ValidationError

from modelstitch.config.networks import Architecture, Changes, Training, default_name
from modelstitch.config.section import read
from modelstitch.config.study import load_study
from modelstitch.identifiers import NetworkId
from tests.checkout import ROOT
from tests.config.studies import changed, problems

SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "config/schema.json").read_text()))
WEIGHTS = {"model": "R1111", "weights": "w{seed}.pt", "mean": [0.5], "std": [0.5], "classes": ["cat", "dog"]}


def with_architectures(*architectures, **networks):
    """The small study with other architectures, and with some keys of `networks` set anew."""
    values = changed("networks.architectures", list(architectures))
    values["networks"] |= networks
    return values


def networks_of(*architectures, **networks):
    return load_study(with_architectures(*architectures, **networks), "study.yaml").networks


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("R1122", "R1122"),
        ("ResNet34", "R3463"),
        ("torchvision:vgg11_bn", "vgg11_bn"),
        ("torchvision:VisionTransformer", "VisionTransformer"),
        ("timm:vit_tiny_patch16_224.augreg_in21k", "vit_tiny_patch16_224.augreg_in21k"),
        ("nets/mine.py:SmallViT", "SmallViT"),
    ],
)
def test_a_name_alone_is_short_for_a_model_that_gives_its_name(model, name):
    assert default_name(model) == name
    for given in (model, {"model": model}):
        (found,) = networks_of(given).architectures
        assert (found.name, found.model) == (name, "R3463" if model == "ResNet34" else model)
        assert found == Architecture(model=model)


def test_names_and_mappings_stand_side_by_side():
    tall = {"model": "R1111", "name": "tall", "image_size": [64, 32], "layers": ["layers.0", "layers.2"]}
    found = networks_of("R1111", tall, "torchvision:vgg11_bn").architectures
    assert [one.name for one in found] == ["R1111", "tall", "vgg11_bn"]
    assert (found[1].image_size, found[1].layers) == ((64, 32), ("layers.0", "layers.2"))
    assert [one.size([32, 48]) for one in found] == [(32, 48), (64, 32), (32, 48)]
    assert Architecture(model="R1111", image_size=64).size([32, 48]) == (64, 64)


def test_a_name_of_its_own_files_the_networks():
    values = with_architectures({"model": "torchvision:vgg11_bn", "name": "vgg-wide+1"})
    names = set(map(str, load_study(values, "study.yaml").networks_needed()))
    assert names == {"vgg-wide+1_trained_s0", "vgg-wide+1_random_s0"}
    assert NetworkId.parse("vgg-wide+1_trained_s0").architecture == "vgg-wide+1"


def test_an_architecture_is_complete_with_the_familys_width_and_training():
    own = {"optimiser": "adamw", "epochs": 7, "batch": 16, "learning_rate": 0.001, "weight_decay": 0.05}
    own |= {"warmup_epochs": 0, "augmentation": {"flip": True, "shift": 0, "cutout": 0}, "precision": "auto"}
    wide = {"model": "R1112", "arguments": {"width": 16}, "training": own}
    networks = networks_of("R1111", wide, {"model": "torchvision:vgg11_bn", "arguments": {"dropout": 0.0}})
    assert networks.complete("R1111").arguments == {"width": 4}
    assert networks.complete("R1111").training == networks.training
    assert networks.complete("R1112").arguments == {"width": 16}
    assert networks.complete("R1112").training == Training(**own) != networks.training
    assert networks.complete("vgg11_bn").arguments == {"dropout": 0.0}


def test_an_architecture_may_have_seeds_of_its_own():
    values = with_architectures("R1111", {"model": "R1112", "seeds": [4, 2]}, seeds=[0])
    study = load_study(values, "study.yaml")
    assert [str(network) for network in study.networks_needed() if network.recipe == "trained"] == [
        "R1111_trained_s0",
        "R1112_trained_s4",
        "R1112_trained_s2",
    ]
    assert len(study.ordered_pairs()) == 2 * 3 * 3


def test_pretrained_are_only_those_that_have_weights():
    values = with_architectures("R1112", WEIGHTS, {"model": "torchvision:resnet18", "weights": "library"})
    values["networks"]["seeds"] = [0, 1]
    values["pairs"] = [{"sender": "pretrained", "receiver": "trained"}]
    study = load_study(values, "study.yaml")
    pretrained = [network for network in study.networks_needed() if network.recipe == "pretrained"]
    assert sorted(map(str, pretrained)) == [
        "R1111_pretrained_s0",
        "R1111_pretrained_s1",
        "resnet18_pretrained_s0",
        "resnet18_pretrained_s1",
    ]
    assert len(study.ordered_pairs()) == 4 * 6


def test_weights_of_a_seed_are_the_file_whose_name_has_it(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert [Architecture(**WEIGHTS).weights_of(seed) for seed in (0, 12)] == ["w0.pt", "w12.pt"]
    assert Architecture(**WEIGHTS | {"weights": "~/w.pt"}).weights_of(3) == "/home/someone/w.pt"
    assert Architecture(model="timm:resnet18", weights="library").weights_of(0) is None
    assert Architecture(model="R1111").weights_of(0) is None


def test_an_architecture_comes_back_from_plain_values():
    for given in ("ResNet18", WEIGHTS, {"model": "nets/mine.py:Net", "image_size": [48, 32], "seeds": [3]}):
        (found,) = networks_of(given).architectures
        plain = json.loads(json.dumps(found.model_dump(mode="json")))
        assert read(Architecture, plain) == found


def test_an_architecture_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Architecture(model="R1111").name = "other"


@pytest.mark.parametrize(
    ("architectures", "expected"),
    [
        (["R1111", {"model": "R1111"}], "[1]: repeats architectures[0] (R1111): list each once"),
        (
            ["R1111", {"model": "R1111", "arguments": {"width": 8}}],
            "[1]: repeats architectures[0] (R1111): give one of them a name of its own",
        ),
        (
            ["torchvision:resnet18", "timm:resnet18"],
            "[1]: repeats architectures[0] (resnet18): give one of them a name of its own",
        ),
        ([{"name": "mine"}], "[0].model: missing key: R1122, torchvision:<name>, timm:<name> or <file>.py:<class>"),
        ([{"model": 1111}], "[0].model: 1111 is a whole number: expected text (put it in quotes)"),
        ([1111], "[0]: 1111 is a whole number: expected a mapping (key: value)"),
        (
            [{"model": "keras:resnet"}],
            "[0].model: 'keras:resnet' is not an architecture: expected R and four digits from 1 to 9 (R1122), "
            "ResNet18 or ResNet34, torchvision:<name>, timm:<name>, or <file>.py:<class> of your own",
        ),
        (
            [{"model": "R1111", "name": "two words"}],
            "[0].name: 'two words' can't be used here: by which results are filed; by default that of the model",
        ),
        (
            [{"model": "R1111", "argument": {}}],
            "[0].argument: unknown key (did you mean 'arguments'?)",
        ),
        ([{"model": "R1111", "stem": "large"}], "[0].stem: 'large' is not known: expected own or small"),
        ([{"model": "R1111", "mean": [0.5]}], "[0].std: missing key: mean and std go together"),
        ([{"model": "R1111", "std": [0.5]}], "[0].mean: missing key: mean and std go together"),
        ([{"model": "R1111", "mean": 0.5, "std": [1]}], "[0].mean: 0.5 is a number: expected a list (write [0.5])"),
        ([{"model": "R1111", "mean": [], "std": [1]}], "[0].mean: empty list: expected at least one entry"),
        (
            [WEIGHTS | {"classes": None}],
            "[0].classes: missing key: that its logits mean, in their order",
        ),
        (
            [WEIGHTS | {"mean": None, "std": None}],
            "[0].mean: missing key: that its images were normalised with ([0] and std [1]: not at all)",
        ),
        ([WEIGHTS | {"classes": ["cat", "cat"]}], "[0].classes[1]: repeats classes[0] (cat): list each once"),
        (
            [{"model": "R1111", "weights": "library"}],
            "[0].weights: library: only for models of torchvision or timm: expected a file",
        ),
        ([{"model": "R1111", "layers": []}], "[0].layers: empty list: expected at least one entry"),
        ([{"model": "R1111", "layers": ["a", "b", "a"]}], "[0].layers[2]: repeats layers[0] (a): list each once"),
        ([{"model": "R1111", "seeds": [1, 1]}], "[0].seeds[1]: repeats seeds[0]: list each once"),
        ([{"model": "R1111", "seeds": [-1]}], "[0].seeds[0]: -1 is out of range: expected at least 0"),
    ],
)
def test_a_problem_of_an_architecture_is_told_with_what_was_expected(architectures, expected):
    assert problems(with_architectures(*architectures)) == [f"study.yaml: networks.architectures{expected}"]


@pytest.mark.parametrize("size", [0, [0, 32], [32], [32, 32, 3], "big", [], [32.5, 32]])
def test_a_size_that_is_none_is_told_by_its_key(size):
    found = problems(with_architectures({"model": "R1111", "image_size": size}))
    assert found and all(line.startswith("study.yaml: networks.architectures[0].image_size") for line in found)


def test_images_can_not_be_divided_by_a_deviation_of_zero():
    found = problems(with_architectures({"model": "R1111", "mean": [0.5], "std": [0.0]}))
    assert found == [
        "study.yaml: networks.architectures[0].std[0]: 0.0 is out of range: expected more than 0",
    ]


def test_a_problem_of_an_architectures_own_training_is_told_by_its_place():
    own = changed("networks.training.epochs", 3)["networks"]["training"] | {"batch": 0}
    assert problems(with_architectures("R1112", {"model": "R1111", "training": own})) == [
        "study.yaml: networks.architectures[1].training.batch: 0 is out of range: expected at least 1"
    ]


def with_changes(changes):
    own = changed("networks.training.epochs", 3)["networks"]["training"] | {"changes": changes}
    return with_architectures("R1112", {"model": "R1111", "training": own})


@pytest.mark.parametrize(
    "changes",
    [
        None,
        {},
        {"labels": "shuffled"},
        {"shortcut": 0},
        {"shortcut": 1, "classes": [0, 4]},
        {"share": 0.1, "shortcut": 0.25},
    ],
)
def test_changes_of_the_training_images_come_back_from_plain_values(changes):
    SCHEMA.validate(with_changes(changes))
    (plain, architecture) = load_study(with_changes(changes), "study.yaml").networks.architectures
    assert plain.training is None
    values = json.loads(json.dumps(architecture.training.model_dump(mode="json")))
    assert read(Training, values) == architecture.training
    found = architecture.training.changes
    assert (found and found.model_dump(mode="json", exclude_none=True)) == changes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"labels": "random"}, "labels: 'random' is not known: expected shuffled"),
        ({"shortcut": 1.5}, "shortcut: 1.5 is out of range: expected at most 1"),
        ({"shortcut": "0.5"}, "shortcut: '0.5' is text: expected a number (YAML reads it as text: write 0.5)"),
        ({"share": 1}, "share: 1 is out of range: expected less than 1"),
        ({"share": 0}, "share: 0 is out of range: expected more than 0"),
        ({"classes": []}, "classes: empty list: expected at least one entry"),
        ({"classes": [1, 0, 1]}, "classes[2]: repeats classes[0]: list each once"),
        ({"classes": ["cat"]}, "classes[0]: 'cat' is text: expected a whole number"),
        ({"classes": [-1]}, "classes[0]: -1 is out of range: expected at least 0"),
        ({"shortcuts": 1}, "shortcuts: unknown key (did you mean 'shortcut'?)"),
    ],
)
def test_a_change_that_is_none_is_told_by_its_place(changes, expected):
    assert problems(with_changes(changes)) == [f"study.yaml: networks.architectures[1].training.changes.{expected}"]


def test_the_part_of_the_images_that_changes_leave():
    assert Changes().part(10) == Changes(shortcut=1, labels="shuffled").part(10) == 1
    assert Changes(classes=(0, 1, 2)).part(10) == pytest.approx(0.3)
    assert Changes(classes=(0, 1, 2, 3, 4), share=0.1).part(10) == pytest.approx(0.05)


def test_pretrained_without_weights_is_told_for_each_pair():
    values = with_architectures("R1111")
    values["pairs"] = [{"sender": "pretrained", "receiver": "trained"}, {"sender": "trained", "receiver": "pretrained"}]
    expected = "pretrained: no architecture has weights: expected networks.architectures[...].weights"
    assert problems(values) == [
        f"study.yaml: pairs[0].sender: {expected}",
        f"study.yaml: pairs[1].receiver: {expected}",
    ]


def test_adamw_has_no_momentum_and_sgd_needs_one():
    assert problems(changed("networks.training.optimiser", "adamw")) == [
        "study.yaml: networks.training.momentum: adamw has none: leave it out"
    ]
    for missing in (..., None):
        assert problems(changed("networks.training.momentum", missing)) == [
            "study.yaml: networks.training.momentum: missing key: momentum of sgd"
        ]
    values = changed("networks.training.momentum", ...)
    values["networks"]["training"]["optimiser"] = "adamw"
    assert load_study(values, "study.yaml").networks.training.momentum is None


@pytest.mark.parametrize("optimiser", [..., "adam"])
def test_an_optimiser_is_named_and_known(optimiser):
    (problem,) = problems(changed("networks.training.optimiser", optimiser))
    assert problem.startswith("study.yaml: networks.training.optimiser: ") and "sgd" in problem and "adamw" in problem


def test_a_width_is_needed_for_small_resnets_alone():
    networks = networks_of("torchvision:vgg11_bn", width=None)
    assert (networks.width, networks.complete("vgg11_bn").arguments) == (None, {})
    assert problems(with_architectures("torchvision:vgg11_bn", "R1112", width=None)) == [
        "study.yaml: networks.width: missing key: the width of R1112, channels of its first stage"
    ]
    values = with_architectures("torchvision:vgg11_bn")
    del values["networks"]["width"]
    assert load_study(values, "study.yaml").networks.width is None


def test_a_small_resnet_with_a_width_of_its_own_needs_no_other():
    networks = networks_of({"model": "R1111", "arguments": {"width": 8}}, width=None)
    assert networks.complete("R1111").arguments == {"width": 8}


@pytest.mark.parametrize(
    "architecture",
    [
        "R1122",
        "ResNet34",
        "torchvision:vgg11_bn",
        "timm:vit_tiny_patch16_224.augreg_in21k",
        "nets/mine.py:SmallViT",
        {"model": "R1122"},
        WEIGHTS,
        {"model": "torchvision:resnet18", "name": "r18", "stem": "small", "arguments": {"width_per_group": 32}},
        {"model": "R1111", "image_size": 64, "layers": ["layers.0"], "seeds": [3]},
        {"model": "R1111", "image_size": [64, 32]},
    ],
)
def test_the_schema_accepts_names_and_mappings(architecture):
    values = with_architectures(architecture)
    load_study(values, "study.yaml")
    SCHEMA.validate(values)


@pytest.mark.parametrize(
    "architecture",
    [
        "resnet",
        "keras:resnet",
        {"name": "mine"},
        {"model": "R1111", "argument": {}},
        {"model": "R1111", "stem": "large"},
        {"model": "R1111", "image_size": [64]},
        {"model": "R1111", "layers": []},
        {"model": "R1111", "layers": ["a", "a"]},
    ],
)
def test_the_schema_refuses_what_an_editor_should_underline(architecture):
    assert not SCHEMA.is_valid(with_architectures(architecture))
