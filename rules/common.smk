"""The study that the config describes, its paths, and what every stage shares."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import yaml
from snakemake.utils import update_config

from modelstitch.networks.architectures import PATTERN as ARCHITECTURE
from modelstitch.networks.architectures import blocks
from modelstitch.planning.fingerprint import fingerprint
from modelstitch.config import check_repeated_keys, load_study
from modelstitch.planning.costs import Costs
from modelstitch.data.datasets import read_sizes
from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import NetworkId


def typed(value):
    """Values of `--config` by their type: below the first level Snakemake leaves all of them text.

    `--config 'stitches={task: {epochs: 2}}'` gives `{"task": {"epochs": "2"}}`.
    """
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return yaml.safe_load(value) if isinstance(value, str) else value


def read_study():
    """The study, or its mistakes on standard error and exit code 1: a traceback would help nobody to mend them."""
    update_config(config, typed(dict(workflow.config_settings.config)))
    files = workflow.overwrite_configfiles or workflow.configfiles
    source = ", ".join(os.path.relpath(file) for file in files)
    try:
        for file in files:
            check_repeated_keys(Path(file).read_text(), os.path.relpath(file))
        return load_study(config, source)
    except ModelstitchError as error:
        sys.exit(str(error))


STUDY = read_study()
RESULTS = Path("results") / STUDY.study
DATASET = RESULTS / "data/dataset.h5"
NETWORKS = RESULTS / "networks"

SCRIPTS = Path(workflow.basedir) / "workflow_scripts"
# How work is run never re-runs it, so it is given as resources, not as params.
DEVICE = STUDY.jobs.device
GPUS = 1 if DEVICE == "cuda" else 0
COSTS = Costs(STUDY, read_sizes(DATASET))

OBJECTIVES = STUDY.objectives()
PAIRS = STUDY.ordered_pairs()
RECORD = RESULTS / "stitches/{objective}/{sender}/{receiver}.h5"
STITCHES = RESULTS / "stitches/{objective}/{sender}/{receiver}.safetensors"
BLOCK = RESULTS / "stitches/{objective}/{sender}/{receiver}.blocks/{block}"
RECORDS = [
    str(RECORD).format(objective=objective, sender=pair.sender, receiver=pair.receiver)
    for objective in OBJECTIVES
    for pair in PAIRS
]
KEEP_STITCHES = any(settings.keep_stitches for settings in STUDY.stitches.objectives().values())
KEPT_STITCHES = [str(Path(record).with_suffix(".safetensors")) for record in RECORDS if KEEP_STITCHES]
FORMATS = STUDY.figures.formats


wildcard_constraints:
    network=rf"{ARCHITECTURE}_[a-z]+_s\d+",
    sender=rf"{ARCHITECTURE}_[a-z]+_s\d+",
    receiver=rf"{ARCHITECTURE}_[a-z]+_s\d+",
    objective=r"[a-z]+",


onstart:
    try:
        RESULTS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=RESULTS) as file:
            file.write(bytes(65536))
    except OSError as error:
        sys.exit(f"{RESULTS}: can't be written ({error.strerror}): free space, or give write permission")


def code_of(*scripts):
    """What the result owes to the code: a comment changes nothing, a changed stitch re-runs stitches."""
    return fingerprint(*(SCRIPTS / script for script in scripts))


def digest_of(items):
    """A short param that changes with a list: which pairs a table holds, say."""
    return hashlib.sha256("\n".join(map(str, items)).encode()).hexdigest()[:16]


def settings_of(wildcards):
    """What the stitches depend on; whether they are kept is not part of it."""
    settings = getattr(STUDY.stitches, wildcards.objective)
    return settings.model_copy(update={"keep_stitches": False}).model_dump(mode="json")


def precision_of(wildcards):
    return getattr(STUDY.stitches, wildcards.objective).precision


def sender_layers(wildcards):
    return STUDY.sender_layers(wildcards.objective, NetworkId.parse(wildcards.sender))


def receiver_layers(wildcards):
    return STUDY.receiver_layers(wildcards.objective, NetworkId.parse(wildcards.receiver))


def blocks_of(wildcards):
    """Receiver layers of each job of a pair, by the block's name: `{"0-2": [0, 1, 2], "3-4": [3, 4]}`."""
    layers, size = receiver_layers(wildcards), STUDY.jobs.layers_per_job
    blocks = [layers[start : start + size] for start in range(0, len(layers), size)]
    return {f"{block[0]}-{block[-1]}": block for block in blocks}


def block_files(suffix):
    return lambda wildcards: [f"{BLOCK}{suffix}".format(block=block, **wildcards) for block in blocks_of(wildcards)]


def times_attempt(amount):
    """A resource that grows each time a job is tried again."""
    return lambda wildcards, attempt: amount * attempt


def memory_of_pair(wildcards, attempt):
    return COSTS.pair_mb(wildcards.sender) * attempt


def minutes_of_pair(wildcards, attempt):
    layers = (sender_layers(wildcards), receiver_layers(wildcards))
    return COSTS.pair_minutes(wildcards.objective, wildcards.sender, wildcards.receiver, *layers) * attempt


def minutes_of_block(wildcards, attempt):
    layers = (sender_layers(wildcards), blocks_of(wildcards)[wildcards.block])
    return COSTS.pair_minutes(wildcards.objective, wildcards.sender, wildcards.receiver, *layers) * attempt


def task_with(epochs):
    """The settings of the objective `task` with other epochs; whether stitches are kept is not part of it."""
    return STUDY.stitches.task.model_copy(update={"keep_stitches": False, "epochs": float(epochs)})


def layers_of_task(wildcards):
    sender, receiver = NetworkId.parse(wildcards.sender), NetworkId.parse(wildcards.receiver)
    return STUDY.sender_layers("task", sender), STUDY.receiver_layers("task", receiver)


def minutes_of_budget(wildcards, attempt):
    stitches = STUDY.stitches.model_copy(update={"task": task_with(wildcards.epochs)})
    costs = Costs(STUDY.model_copy(update={"stitches": stitches}), COSTS.known_sizes)
    return costs.pair_minutes("task", wildcards.sender, wildcards.receiver, *layers_of_task(wildcards)) * attempt


def memory_of_probes(wildcards, attempt):
    """The features of every layer, float32: 64 a channel of the stem, and half as many numbers at each later stage."""
    architecture, width = NetworkId.parse(wildcards.network).architecture, STUDY.networks.width
    features = 64 * width + sum(64 * width**2 // block.channels for block in blocks(architecture, width))
    # Of training and test images, and a copy of the largest layer's while it is fitted.
    return (COSTS.network_mb() + 3 * 4 * features * STUDY.measures.probes.images // 2**20) * attempt


def in_report(stem, caption, category, **labels):
    """The files of one figure; the report shows the PNG.

    Several labels become one, `sender → receiver`: of two, the report would sort the receiver before the sender.
    """
    labels = {" → ".join(labels): " → ".join(labels.values())}
    shown = report(f"{stem}.png", caption=caption, category=category, labels=labels)
    return [shown] + [f"{stem}.{kind}" for kind in FORMATS if kind != "png"]
