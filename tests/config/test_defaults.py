"""What a notebook's call takes where nothing is said is what the studies say."""

from pathlib import Path

import pytest
import yaml

from modelstitch.config.defaults import COMMON, PROTOCOLS, default_settings
from modelstitch.config.study import load_study
from modelstitch.errors import ModelstitchError

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize(
    ("file", "objective", "protocol"),
    [
        ("config.yaml", "task", "fast"),
        ("paper-laptop.yaml", "similarity", "least-squares"),
        ("paper.yaml", "task", "paper"),
        ("paper.yaml", "similarity", "paper"),
    ],
)
def test_defaults_are_those_of_the_studies(file, objective, protocol):
    study = load_study(yaml.safe_load((CONFIG / file).read_text()), file)
    expected = getattr(study.stitches, objective)
    assert expected.protocol == protocol
    own = {"layers_per_job", *COMMON}  # what a single pair has no use for, or its own
    assert default_settings(objective, protocol, {}).model_dump(exclude=own) == expected.model_dump(exclude=own)


def test_without_a_protocol_it_is_the_default_studys():
    assert default_settings("task", None, {}).protocol == "fast"
    assert default_settings("similarity", None, {}).protocol == "least-squares"
    assert default_settings("task", None, {"epochs": 0.5}).epochs == 0.5
    assert {name for name, _ in PROTOCOLS} == {"task", "similarity"}


@pytest.mark.parametrize(
    ("objective", "protocol", "expected"),
    [
        ("tasks", None, "objective 'tasks': expected deranged, functional, image, .*, soft or task"),
        ("task", "least-squares", "protocol 'least-squares' of task: expected adam, fast or paper"),
        ("similarity", "fast", "protocol 'fast' of similarity: expected adam, least-squares or paper"),
    ],
)
def test_another_objective_or_protocol_is_refused(objective, protocol, expected):
    with pytest.raises(ModelstitchError, match=expected):
        default_settings(objective, protocol, {})
