"""Train one network, from the last state that a killed job left."""

from pathlib import Path

import job
import torch._dynamo  # noqa: F401 - counting operations needs it: imported here, it is a fork server's

from modelstitch import hardware
from modelstitch.config.networks import Architecture
from modelstitch.config.section import read
from modelstitch.data import datasets
from modelstitch.identifiers import NetworkId
from modelstitch.networks import training, weights

job.begin(snakemake)
network = training.train(
    NetworkId.parse(snakemake.wildcards.network),
    read(Architecture, snakemake.params.architecture),
    datasets.read(snakemake.input.dataset),
    snakemake.params.seed,
    checkpoint=Path(snakemake.params.checkpoint),
    device=hardware.choose_device(snakemake.resources.device),
    code=snakemake.params.code,
)
weights.save(snakemake.output[0], network)
Path(snakemake.params.checkpoint).unlink(missing_ok=True)  # a job that outlived its killed run may have been here
