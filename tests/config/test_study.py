"""A study file is read as it is meant, or refused with every problem named."""

import datetime
import json
import subprocess
import sys

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from modelstitch.config.stitches import is_measured, objective_settings
from modelstitch.config.study import Study, load_study, write_schema
from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import NetworkId, PairIds
from modelstitch.networks.small_resnet import ARCHITECTURES
from tests.checkout import ROOT
from tests.config.studies import STUDY, changed, problems

CONFIG = ROOT / "config"
STUDY_FILES = sorted(CONFIG.glob("*.yaml"))

LEAST_SQUARES = {"protocol": "least-squares", "ridge": 0.001, "precision": "auto", "keep_stitches": False}
LEAST_SQUARES |= {"sender_layers": "all", "receiver_layers": "all"}
FAST = {"protocol": "fast", "epochs": 1, "batch": 32, "learning_rate": 0.1, "statistics_images": 100}
FAST |= {"augmentation": {"flip": False, "shift": 0, "cutout": 0}, "precision": "auto", "keep_stitches": False}
FAST |= {"sender_layers": "all", "receiver_layers": "all"}
SOURCES = "digits, photo-digits, cifar10, cifar100, svhn, mnist, fashion-mnist, stl10 or imagefolder"
IMAGEFOLDER = {"source": "imagefolder", "path": "data/images.tar.xz"}
BETWEEN_TRAINED = {"sender": "trained", "receiver": "trained"}
YAML_WORDS = "(YAML reads yes, no, on and off as true and false)"


def trained(architecture, seed=0):
    return NetworkId(architecture, "trained", seed)


@pytest.mark.parametrize("path", STUDY_FILES, ids=lambda path: path.stem)
def test_every_study_file_is_a_complete_study(path):
    load_study(yaml.safe_load(path.read_text()), str(path))


def test_repeated_stitches_are_objectives_of_the_same_settings():
    study = load_study(changed("stitches.task.repeats", 3), "a.yaml")
    assert study.objectives() == ["task", "task-2", "task-3"]
    task, *others = study.stitches.objectives().values()
    assert others == [task, task]
    once = load_study(yaml.safe_load(STUDY), "a.yaml").stitches.task
    assert task.plain() == once.plain()  # so that a job and its record know nothing of others
    assert "repeats" not in once.plain()
    values = changed("stitches.task.repeats", 2)
    values["stitches"]["remapped"] = {"permutations": 3, "pairs": None}
    both = load_study(values, "a.yaml")
    assert both.objectives() == ["task", "task-2", "remapped", "remapped-2", "remapped-3"]
    assert [name for name in both.objectives() if is_measured(name)] == ["task"]
    with pytest.raises(ModelstitchError, match=r"stitches\.task\.repeats: 0 is out of range: expected at least 1"):
        load_study(changed("stitches.task.repeats", 0), "a.yaml")


@pytest.mark.parametrize("path", STUDY_FILES, ids=lambda path: path.stem)
def test_the_schema_accepts_every_study_file(path):
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads((CONFIG / "schema.json").read_text()))


def test_the_schema_refuses_what_an_editor_should_underline():
    validator = jsonschema.Draft202012Validator(json.loads((CONFIG / "schema.json").read_text()))
    for key, value in [
        ("networks.architectures", ["R2032"]),
        ("networks.architectures", ["ResNet50"]),
        ("networks.seeds", []),
        ("networks.seeds", [0, 0]),
        ("networks.width", "4"),
        ("networks.widht", 4),
        ("dataset", {"source": "cifar10"}),
        ("stitches.task.sender_layers", "some"),
    ]:
        assert validator.is_valid(changed(key, value)) is False, key


def test_the_committed_schema_is_up_to_date(tmp_path):
    write_schema(tmp_path / "schema.json")
    command = "python -c \"from modelstitch.config.study import write_schema; write_schema('config/schema.json')\""
    assert (tmp_path / "schema.json").read_text() == (CONFIG / "schema.json").read_text(), f"out of date: run {command}"


def test_studies_have_different_results_folders():
    names = [yaml.safe_load(path.read_text())["study"] for path in STUDY_FILES]
    assert sorted(set(names)) == sorted(names)


def test_the_papers_study_plans_the_published_work():
    study = load_study(yaml.safe_load((CONFIG / "paper.yaml").read_text()), "config/paper.yaml")
    pairs = study.ordered_pairs()
    assert tuple(architecture.model for architecture in study.networks.architectures) == ARCHITECTURES
    assert len(study.networks_needed()) == 32
    assert len(pairs) == len(set(pairs)) == 1024
    task = study.stitches.task
    assert (task.epochs, task.momentum, task.weight_decay, task.batch, task.learning_rate) == (4, 0.9, 0.01, 256, 0.01)
    assert (study.networks.width, study.networks.training.epochs, study.dataset.source) == (64, 40, "cifar10")


def test_a_study_plans_only_the_networks_that_its_pairs_name():
    study = load_study(changed("networks.seeds", [0, 1]), "study.yaml")
    assert list(map(str, study.networks_needed())) == [
        "R1111_trained_s0",
        "R1111_trained_s1",
        "R1112_trained_s0",
        "R1112_trained_s1",
        "R1111_random_s0",
        "R1111_random_s1",
        "R1112_random_s0",
        "R1112_random_s1",
    ]


def test_pairs_join_all_networks_of_two_recipes_and_each_with_itself():
    pairs = load_study(changed("networks.seeds", [0, 1]), "study.yaml").ordered_pairs()
    assert len(pairs) == len(set(pairs)) == 2 * 4 * 4
    assert PairIds(trained("R1112", 1), trained("R1112", 1)) in pairs
    assert PairIds(NetworkId("R1111", "random", 1), trained("R1112", 0)) in pairs
    assert not [pair for pair in pairs if pair.receiver.recipe == "random"]


def test_verdicts_need_pairs_of_the_reference():
    values = changed("networks.seeds", [0, 1]) | {"measures": {"verdicts": {"reference": "R1111"}}}
    load_study(values, "study.yaml")
    values["pairs"] = [BETWEEN_TRAINED | {"receivers": ["R1112"]}]
    assert problems(values) == [
        "study.yaml: measures.verdicts.reference: no two trained networks of R1111 are stitched for the task: see "
        "`pairs`"
    ]


def test_pairs_of_some_architectures_join_these_only():
    values = changed("pairs", [BETWEEN_TRAINED | {"receivers": ["R1112"]}, BETWEEN_TRAINED | {"senders": ["R1112"]}])
    values["stitches"]["remapped"] = {"permutations": 1, "pairs": [BETWEEN_TRAINED | {"receivers": ["R1111"]}]}
    study = load_study(values, "study.yaml")
    one, other = trained("R1111", 0), trained("R1112", 0)
    # R1112 with itself is named twice, and is a pair once.
    assert study.ordered_pairs() == study.ordered_pairs("task") == [(one, other), (other, other), (other, one)]
    assert study.ordered_pairs("remapped") == [(other, one)]
    assert study.recipes("remapped") == [("trained", "trained")]
    study = load_study(changed("pairs", [BETWEEN_TRAINED | {"senders": ["R1111"], "receivers": ["R1111"]}]), "")
    assert study.networks_needed() == [one]


def test_resnet18_and_resnet34_are_other_names_of_r2222_and_r3463():
    values = changed("networks.architectures", ["ResNet18", "ResNet34"])
    study = load_study(values, "study.yaml")
    assert [(one.name, one.model) for one in study.networks.architectures] == [("R2222", "R2222"), ("R3463", "R3463")]
    assert "R3463_trained_s0" in map(str, study.networks_needed())
    jsonschema.validate(values, json.loads((CONFIG / "schema.json").read_text()))


def test_a_section_comes_back_from_plain_values():
    study = load_study(changed("dataset", IMAGEFOLDER), "study.yaml")
    plain = json.loads(json.dumps(study.stitches.task.model_dump(mode="json")))
    assert objective_settings("task", plain) == study.stitches.task
    assert Study.model_validate(study.model_dump(mode="json")) == study


def test_predictors_explain_the_cells_of_the_task():
    values = changed("measures", {"predictors": {"folds": 5}})
    assert load_study(values, "study.yaml").measures.predictors.folds == 5
    values["stitches"] = {"similarity": values["stitches"]["task"]}
    assert problems(values) == [
        "study.yaml: measures.predictors: expected stitches.task, whose cells it explains, or no predictors"
    ]


def test_stitches_of_another_objective_than_the_task_have_no_other_start():
    values = changed("stitches.similarity", yaml.safe_load(STUDY)["stitches"]["task"])
    study = load_study(values, "study.yaml")
    assert study.stitches.similarity.start == study.stitches.task.start == "random"
    assert list(study.stitches.objectives()) == study.objectives() == ["task", "similarity"]
    values["stitches"]["task"]["start"] = "least-squares"
    assert load_study(values, "study.yaml").stitches.task.start == "least-squares"
    values["stitches"]["similarity"] = values["stitches"]["task"]
    assert problems(values) == [
        "study.yaml: stitches.similarity.start: least-squares: expected random: least squares is what stitches "
        "for similarity come to"
    ]


def test_what_may_be_left_out_of_stitches_is_the_papers_and_the_fast_protocols():
    fast = load_study(yaml.safe_load((CONFIG / "config.yaml").read_text()), "config.yaml").stitches.task
    paper = load_study(yaml.safe_load(STUDY), "study.yaml").stitches.task
    assert (fast.protocol, fast.start, fast.family.name) == ("fast", "least-squares", "linear")
    assert (paper.protocol, paper.start, paper.family.name) == ("paper", "random", "linear")


def test_a_study_does_not_change():
    study = load_study(yaml.safe_load(STUDY), "study.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        study.networks.width = 8


def budget(sender, receiver, epochs=(1,)):
    return {"training_budget": {"epochs": list(epochs), "pairs": [{"sender": sender, "receiver": receiver}]}}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (
            "networks.architectures",
            ["R1111", "R1112", "R2032"],
            "networks.architectures[2]: 'R2032' is not an architecture: digits must be 1 to 9 (did you mean 'R2132'?)",
        ),
        (
            "networks.architectures",
            ["r1112"],
            "networks.architectures[0]: 'r1112' is not an architecture: R is a capital (did you mean 'R1112'?)",
        ),
        (
            "networks.architectures",
            ["R11"],
            "networks.architectures[0]: 'R11' is not an architecture: expected R and four digits from 1 to 9 (R1122), "
            "ResNet18 or ResNet34, torchvision:<name>, timm:<name>, or <file>.py:<class> of your own",
        ),
        (
            "networks.architectures",
            ["resnet34"],
            "networks.architectures[0]: 'resnet34' is not an architecture: expected R and four digits from 1 to 9 "
            "(R1122), ResNet18 or ResNet34, torchvision:<name>, timm:<name>, or <file>.py:<class> of your own "
            "(did you mean 'ResNet34'?)",
        ),
        (
            "networks.architectures",
            [{"model": "R1111", "arguments": 4}],
            "networks.architectures[0].arguments: 4 is a whole number: expected a mapping (key: value)",
        ),
        (
            "networks.architectures",
            ["R1111", "R1112", "R1111"],
            "networks.architectures[2]: repeats architectures[0] (R1111): list each once",
        ),
        (
            "networks.architectures",
            ["R3463", "ResNet34"],
            "networks.architectures[1]: repeats architectures[0] (R3463): list each once",
        ),
        ("networks.architectures", [], "networks.architectures: empty list: expected at least one entry"),
        ("networks.seeds", [], "networks.seeds: empty list: expected at least one entry"),
        ("networks.seeds", [3, 3], "networks.seeds[1]: repeats seeds[0]: list each once"),
        ("networks.seeds", 0, "networks.seeds: 0 is a whole number: expected a list (write [0])"),
        ("networks.seeds", [-1], "networks.seeds[0]: -1 is out of range: expected at least 0"),
        ("networks.width", 0, "networks.width: 0 is out of range: expected at least 1"),
        ("networks.width", 8.0, "networks.width: 8.0 is a number: expected a whole number (write 8)"),
        ("networks.width", True, f"networks.width: true is a truth value: expected a whole number {YAML_WORDS}"),
        (
            "networks.width",
            None,
            "networks.width: missing key: the width of R1111, channels of its first stage",
        ),
        ("networks.widht", 8, "networks.widht: unknown key (did you mean 'width'?)"),
        ("networks.depth", 8, "networks.depth: unknown key: expected architectures, width, seeds, training"),
        ("networks", ["R1111"], "networks: a list is there: expected a mapping (key: value)"),
        ("networks.training.epochs", ..., "networks.training.epochs: missing key: passes over the training images"),
        (
            "networks.training.warmup_epochs",
            3,
            "networks.training.warmup_epochs: 3 is too long: expected fewer than the 3 epochs of training",
        ),
        ("networks.training.momentum", 1, "networks.training.momentum: 1 is out of range: expected less than 1"),
        (
            "networks.training.learning_rate",
            0,
            "networks.training.learning_rate: 0 is out of range: expected more than 0",
        ),
        (
            "networks.training.weight_decay",
            float("nan"),
            "networks.training.weight_decay: nan is a number: expected a finite number",
        ),
        (
            "networks.training.augmentation.shift",
            -1,
            "networks.training.augmentation.shift: -1 is out of range: expected at least 0",
        ),
        (
            "networks.training.augmentation.flip",
            "no",
            "networks.training.augmentation.flip: 'no' is text: expected true or false (write it without quotes)",
        ),
        (
            "networks.training.precision",
            "float16",
            "networks.training.precision: 'float16' is not known: expected float32, bfloat16 or auto "
            "(did you mean 'bfloat16'?)",
        ),
        (
            "stitches.task.learning_rate",
            "1e-3",
            "stitches.task.learning_rate: '1e-3' is text: expected a number (YAML reads it as text: write 0.001)",
        ),
        (
            "stitches.task.batch",
            "256",
            "stitches.task.batch: '256' is text: expected a whole number (YAML reads it as text: write 256)",
        ),
        ("stitches.task.batch", "many", "stitches.task.batch: 'many' is text: expected a whole number"),
        (
            "stitches.task.protocol",
            "quick",
            "stitches.task.protocol: 'quick' is not known: expected paper, fast or adam",
        ),
        (
            "stitches.task.start",
            "best",
            "stitches.task.start: 'best' is not known: expected least-squares or random",
        ),
        (
            "stitches.task.family",
            {"name": "linaer"},
            "stitches.task.family.name: 'linaer' is not known: expected linear, low-rank, orthogonal, permutation, "
            "convolution, resized, bias, batch-norm or mlp (did you mean 'linear'?)",
        ),
        (
            "stitches.task.family",
            "linear",
            "stitches.task.family: 'linear' is text: expected a mapping (key: value)",
        ),
        (
            "stitches.task.sender_layers",
            [0, -1],
            "stitches.task.sender_layers[1]: -1 is out of range: expected at least 0",
        ),
        (
            "stitches.task.receiver_layers",
            [-1],
            "stitches.task.receiver_layers[0]: -1 is out of range: expected at least 0",
        ),
        (
            "stitches.task.receiver_layers",
            3,
            "stitches.task.receiver_layers: 3: expected all, or a list of layers (write [0, 2])",
        ),
        (
            "stitches",
            {},
            "stitches: no objective: expected at least one of task, similarity, soft, "
            "functional, penultimate, remapped, deranged, image, marked",
        ),
        ("stitches.similarity", {}, "stitches.similarity.protocol: missing key: expected paper, least-squares or adam"),
        (
            "stitches.similarity",
            LEAST_SQUARES | {"family": {"name": "mlp", "hidden": 8}},
            "stitches.similarity.family.name: mlp has no closed form: expected protocol adam or paper",
        ),
        (
            "stitches.task",
            FAST | {"family": {"name": "orthogonal"}},
            "stitches.task.family.name: orthogonal: fast moves linear, convolution or resized: expected one of them, "
            "or protocol adam",
        ),
        (
            "stitches.task.family",
            {"name": "convolution", "kernel": 4},
            "stitches.task.family.kernel: 4 is even: expected an odd number, so that a place is in the middle",
        ),
        (
            "stitches.task.family",
            {"name": "low-rank"},
            "stitches.task.family.rank: missing key: largest rank of the map; one that is no less than its size limits "
            "nothing",
        ),
        (
            "measures",
            {"verdicts": {"reference": "R111"}},
            "measures.verdicts.reference: 'R111' is not an architecture of the study: expected one of R1111, R1112 "
            "(did you mean 'R1112'?)",
        ),
        (
            "measures",
            {"verdicts": {"reference": "R1111"}},
            "measures.verdicts.reference: R1111 has one seed: expected two, whose networks are alike",
        ),
        (
            "stitches.similarity",
            {key: value for key, value in LEAST_SQUARES.items() if key != "ridge"},
            "stitches.similarity.ridge: missing key: added to the covariance of what a stitch sees, as a share of its "
            "mean variance",
        ),
        (
            "stitches.similarity",
            LEAST_SQUARES | {"epochs": 3},
            "stitches.similarity.epochs: unknown key: expected family, precision, sender_layers, receiver_layers, "
            "keep_stitches, pairs, protocol, ridge",
        ),
        (
            "stitches.similarity",
            LEAST_SQUARES | {"family": {}},
            "stitches.similarity.family.name: missing key: expected linear, low-rank, orthogonal, permutation, "
            "convolution, resized, bias, batch-norm or mlp",
        ),
        (
            "pairs.1.sender",
            "traned",
            "pairs[1].sender: 'traned' is not known: expected trained, random, calibrated or pretrained "
            "(did you mean 'trained'?)",
        ),
        ("pairs.1.sender", "trained", "pairs[1]: repeats pairs[0]: list each once"),
        ("pairs", [], "pairs: empty list: expected at least one entry"),
        (
            "pairs",
            [BETWEEN_TRAINED | {"receivers": ["R1121"]}],
            "pairs[0].receivers[0]: 'R1121' is no trained network of the study: expected one of R1111, R1112 "
            "(did you mean 'R1112'?)",
        ),
        (
            "stitches.remapped",
            {"permutations": 1, "pairs": [{"sender": "random", "receiver": "trained", "senders": ["R1121"]}]},
            "stitches.remapped.pairs[0].senders[0]: 'R1121' is no random network of the study: expected one of R1111, "
            "R1112 (did you mean 'R1112'?)",
        ),
        (
            "dataset",
            {"source": "cifar"},
            f"dataset.source: 'cifar' is not known: expected {SOURCES} (did you mean 'cifar10'?)",
        ),
        ("dataset", {}, f"dataset.source: missing key: expected {SOURCES}"),
        (
            "dataset",
            IMAGEFOLDER | {"resize": 5000},
            "dataset.resize: 5000 is out of range: expected at most 4096",
        ),
        (
            "dataset",
            IMAGEFOLDER | {"resize": "64"},
            "dataset.resize: '64' is text: expected a whole number (YAML reads it as text: write 64)",
        ),
        ("dataset", "digits", "dataset: 'digits' is text: expected a mapping (key: value)"),
        (
            "dataset",
            {"source": "cifar10"},
            "dataset.folder: missing key: folder of the archive, from the root of the checkout",
        ),
        ("dataset", IMAGEFOLDER | {"paht": "x"}, "dataset.paht: unknown key (did you mean 'path'?)"),
        (
            "dataset.path",
            "x",
            "dataset.path: unknown key: expected source",
        ),
        (
            "figures.colormap",
            "virdis",
            "figures.colormap: 'virdis' is not a colormap of matplotlib (did you mean 'viridis'?)",
        ),
        (
            "figures.formats",
            ["png", "jpg"],
            "figures.formats[1]: 'jpg' is not known: expected png, pdf or svg",
        ),
        ("figures.formats", ["pdf"], "figures.formats: png is missing: expected it in the list, the report shows it"),
        (
            "measures",
            {"hacking": {"images": 10, "neighbours": 10}},
            "measures.hacking.neighbours: 10 is too many: expected fewer than the 10 images",
        ),
        (
            "measures",
            {"statistical_similarity": {"images": 10, "permutations": 5, "neighbours": 11}},
            "measures.statistical_similarity.neighbours: 11 is too many: expected fewer than the 10 images",
        ),
        ("measures", {"hack": {}}, "measures.hack: unknown key (did you mean 'hacking'?)"),
        (
            "measures",
            {
                "training_budget": {
                    "epochs": [1],
                    "pairs": [{"sender": "R1111_traned_s0", "receiver": "R1112_trained_s0"}],
                }
            },
            "measures.training_budget.pairs[0].sender: 'R1111_traned_s0' is not a network of the study: expected "
            "one of R1111_random_s0, R1111_trained_s0, R1112_random_s0, R1112_trained_s0 "
            "(did you mean 'R1111_trained_s0'?)",
        ),
        (
            "measures",
            {
                "training_budget": {
                    "epochs": [1],
                    "pairs": [{"sender": "R1111_trained_s0", "receiver": "R1112_random_s0"}],
                }
            },
            "measures.training_budget.pairs[0]: R1111_trained_s0 → R1112_random_s0 is not stitched for the task: see "
            "`pairs`",
        ),
        (
            "measures",
            {
                "capacity": {
                    "pairs": [{"sender": "R1111_trained_s0", "receiver": "R1112_random_s0"}],
                    "families": [{"name": "bias"}, {"name": "mlp"}],
                    "epochs": 1,
                    "learning_rate": 0.001,
                    "weight_decay": 0,
                    "statistics_images": 100,
                    "start": "random",
                }
            },
            "measures.capacity.families[1].hidden: missing key: units of the hidden layer",
        ),
        (
            "measures",
            {
                "training_budget": {
                    "epochs": [1, 1],
                    "pairs": [{"sender": "R1111_trained_s0", "receiver": "R1112_trained_s0"}],
                }
            },
            "measures.training_budget.epochs[1]: repeats epochs[0]: list each once",
        ),
        ("jobs.layers_per_job", 0, "jobs.layers_per_job: 0 is out of range: expected at least 1"),
        ("jobs.device", "gpu", "jobs.device: 'gpu' is not known: expected auto, cpu or cuda"),
        ("study", True, f"study: true is a truth value: expected text {YAML_WORDS}"),
        ("study", 2024, "study: 2024 is a whole number: expected text (put it in quotes)"),
        ("study", datetime.date(2024, 1, 2), "study: 2024-01-02 is a date: expected text (put it in quotes)"),
    ],
)
def test_a_problem_is_told_with_key_value_and_what_was_expected(key, value, expected):
    assert problems(changed(key, value)) == [f"study.yaml: {expected}"]


@pytest.mark.parametrize("name", ["", "a/b", "../digits", ".hidden", "two words", "{study}", "a\n", "x" * 101])
def test_a_study_is_named_by_a_plain_file_name(name):
    [problem] = problems(changed("study", name))
    assert problem.startswith(f"study.yaml: study: {name!r} can't be used here: name of the study's folder in results/")


def test_a_key_that_yaml_reads_as_true_is_told():
    values = yaml.safe_load(STUDY.replace("seed: 0\n", "seed: 0\nyes: 1\n"))
    assert problems(values) == [f"study.yaml: key true is not text: put it in quotes {YAML_WORDS}"]


@pytest.mark.parametrize("values", [None, [], "digits"])
def test_a_file_that_is_no_mapping_is_refused(values):
    [problem] = problems(values)
    assert problem.startswith("study.yaml: ") and problem.endswith("expected a mapping (key: value)")


def test_an_empty_study_lacks_every_section():
    assert [line.split(": ")[1] for line in problems({})] == list(Study.model_fields)


def test_all_problems_are_told_at_once():
    values = changed("networks.architectures", ["R1111", "R1102", "r3111"])
    values["networks"]["seeds"] = []
    values["stitches"]["task"]["epochs"] = -4
    values["figure"] = values.pop("figures")
    assert problems(values) == [
        "study.yaml: networks.architectures[1]: 'R1102' is not an architecture: digits must be 1 to 9 "
        "(did you mean 'R1112'?)",
        "study.yaml: networks.architectures[2]: 'r3111' is not an architecture: R is a capital (did you mean 'R3111'?)",
        "study.yaml: networks.seeds: empty list: expected at least one entry",
        "study.yaml: stitches.task.epochs: -4 is out of range: expected more than 0",
        "study.yaml: figures: missing key: how figures are drawn",
        "study.yaml: figure: unknown key (did you mean 'figures'?)",
    ]


def test_reading_a_study_imports_no_torch():
    command = "import sys, modelstitch.config.study; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=CONFIG.parent).returncode == 0


def test_a_home_folder_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    study = load_study(changed("dataset", {"source": "cifar10", "folder": "~/data"}), "study.yaml")
    assert study.dataset.folder == "/home/someone/data"
    study = load_study(changed("dataset", {"source": "imagefolder", "path": "~/images.tar"}), "study.yaml")
    assert study.dataset.path == "/home/someone/images.tar"


@pytest.mark.parametrize("key", ["path", "folder"])
def test_a_path_may_name_variables_and_has_no_letters_that_end_it(monkeypatch, key):
    monkeypatch.setenv("SCRATCH", "/scratch/someone")
    monkeypatch.delenv("UNSET", raising=False)
    source = {"source": "imagefolder" if key == "path" else "cifar10"}

    def read(path):
        return getattr(load_study(changed("dataset", source | {key: path}), "study.yaml").dataset, key)

    assert read("$SCRATCH/images") == read("${SCRATCH}/images") == "/scratch/someone/images"
    for path, expected in (
        ("$UNSET/images", "'$UNSET/images': $UNSET is not set in this environment"),
        ("${UNSET}/images", "'${UNSET}/images': ${UNSET} is not set in this environment"),
        ("im{x}", "'im{x}' has braces, which Snakemake takes for a wildcard: rename the file or folder"),
        ("im\0x", r"'im\x00x' has control characters: expected a path without"),
        ("im\nx", r"'im\nx' has control characters: expected a path without"),
    ):
        assert problems(changed("dataset", source | {key: path})) == [f"study.yaml: dataset.{key}: {expected}"]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("networks.training.epochs", 10**308, "1.00e+308 is out of range: expected less than 1e+18"),
        ("stitches.task.epochs", 1e308, "1.00e+308 is out of range: expected less than 1e+18"),
        ("networks.seeds", [0, -(10**20)], "-1.00e+20 is out of range: expected less than 1e+18"),
        ("networks.width", 10**29, "1.00e+29 is out of range: expected less than 1e+18"),
        ("networks.width", 5000, "5000 is out of range: expected at most 4096"),
        ("networks.training.epochs", "1e308", "'1e308' is text: expected a whole number"),
    ],
)
def test_a_number_that_nothing_counts_with_is_told_in_a_short_line(key, value, expected):
    (problem,) = problems(changed(key, value))
    index = "[1]" if isinstance(value, list) else ""
    assert problem == f"study.yaml: {key}{index}: {expected}"


def test_what_a_study_file_says_reaches_no_terminal_as_control_characters():
    for key, value in (("networks.seeds", "\x1b[2J\n0"), ("networks.\x1b[2J", 1), ("study", "\x1b[2J")):
        assert all(problem.isprintable() for problem in problems(changed(key, value)))
