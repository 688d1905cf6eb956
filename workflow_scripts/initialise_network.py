"""Write one network that was never trained."""

import job
import torch._dynamo  # noqa: F401 - counting operations needs it: imported here, it is a fork server's

from modelstitch import hardware
from modelstitch.config.networks import Architecture
from modelstitch.config.section import read
from modelstitch.data import datasets
from modelstitch.identifiers import NetworkId
from modelstitch.networks import making, weights

job.begin(snakemake)
network = making.initialise(
    NetworkId.parse(snakemake.wildcards.network),
    read(Architecture, snakemake.params.architecture),
    datasets.read(snakemake.input.dataset),
    snakemake.params.seed,
    device=hardware.choose_device(snakemake.resources.device),
)
weights.save(snakemake.output[0], network)
