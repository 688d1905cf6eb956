"""A small study that is complete, with a change, and what is said of it."""

import pytest
import yaml

from modelstitch.config.study import load_study
from modelstitch.errors import ModelstitchError

STUDY = """
study: small
seed: 0
dataset: {source: digits}
networks:
  architectures: [R1111, R1112]
  width: 4
  seeds: [0]
  training:
    optimiser: sgd
    epochs: 3
    batch: 128
    learning_rate: 0.1
    momentum: 0.9
    weight_decay: 0.0005
    warmup_epochs: 1
    augmentation: {flip: false, shift: 2, cutout: 4}
    precision: float32
pairs:
  - {sender: trained, receiver: trained}
  - {sender: random, receiver: trained}
stitches:
  task:
    protocol: paper
    epochs: 0.25
    batch: 256
    learning_rate: 0.01
    momentum: 0.9
    weight_decay: 0.01
    warmup_epochs: 10
    augmentation: {flip: false, shift: 2, cutout: 4}
    precision: auto
    sender_layers: all
    receiver_layers: [4, 0]
    keep_stitches: false
measures: {}
figures: {colormap: viridis, formats: [png, svg]}
jobs: {layers_per_job: null, threads: 1, device: auto}
"""


def changed(key, value):
    """The small study with one key (`networks.width`, `pairs.0.sender`) set anew, or left out for `...`."""
    values = yaml.safe_load(STUDY)
    *path, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    section = values
    for part in path:
        section = section[part]
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return values


def problems(values):
    with pytest.raises(ModelstitchError) as caught:
        load_study(values, "study.yaml")
    return str(caught.value).splitlines()
