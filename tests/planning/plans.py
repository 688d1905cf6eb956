"""Studies of config/ as their planning sees them: described by torch, each architecture once per session."""

import json
from functools import cache

import yaml

from modelstitch.config.networks import Architecture
from modelstitch.config.study import Study, load_study
from modelstitch.networks.description import Description
from modelstitch.planning.description_of import description_of
from modelstitch.planning.study import SIZES, PlannedStudy
from tests.checkout import ROOT


def study_of(name, networks=None, **changes):
    """A study of config/, with some keys of its `networks` and other sections changed: `jobs={"threads": 2}`."""
    values = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    values["networks"] |= networks or {}
    for section, keys in changes.items():
        values[section] = values[section] | keys if isinstance(keys, dict) else keys
    return load_study(values, name)


def with_task(study, **changes):
    """A study whose stitches for the task are made otherwise: `epochs=2.0`."""
    task = study.stitches.task.model_copy(update=changes)
    return study.model_copy(update={"stitches": study.stitches.model_copy(update={"task": task})})


def planned(study: Study, sizes=None) -> PlannedStudy:
    """A study with its networks described for the images of its data set, or for others."""
    sizes = sizes or SIZES[study.dataset.source]
    descriptions = {
        one.name: describe(study.networks.complete(one.name), sizes.image, sizes.classes)
        for one in study.networks.architectures
    }
    return PlannedStudy(study, sizes, descriptions)


def describe(architecture: Architecture, image, classes) -> Description:
    """What torch finds of an architecture."""
    return _described(json.dumps(architecture.model_dump(mode="json", exclude={"training"})), image, classes)


@cache
def _described(architecture, image, classes):
    return description_of(Architecture(**json.loads(architecture)), image, classes)
