"""Train one network, from its last finished epoch where a killed job left one."""

from pathlib import Path

import job

from modelstitch import hardware
from modelstitch.config import Training
from modelstitch.data import datasets
from modelstitch.identifiers import NetworkId
from modelstitch.networks import small_resnet, training

job.begin(snakemake)
network, about = training.train(
    NetworkId.parse(snakemake.wildcards.network),
    Training.model_validate(snakemake.params.training),
    snakemake.params.width,
    datasets.read(snakemake.input.dataset),
    snakemake.params.seed,
    checkpoint=Path(snakemake.params.checkpoint),
    device=hardware.choose_device(snakemake.resources.device),
    code=snakemake.params.code,
)
small_resnet.save(snakemake.output.weights, network, about)
job.write_json(snakemake.output.about, about)
Path(snakemake.params.checkpoint).unlink(missing_ok=True)  # a job that outlived its killed run may have been here
