"""Write one network that was never trained."""

import job

from modelstitch import datasets, hardware, networks, training
from modelstitch.identifiers import NetworkId

job.begin(snakemake)
network, about = training.initialise(
    NetworkId.parse(snakemake.wildcards.network),
    snakemake.params.width,
    datasets.read(snakemake.input.dataset),
    snakemake.params.seed,
    device=hardware.choose_device(snakemake.resources.device),
)
networks.save(snakemake.output.weights, network, about)
job.write_json(snakemake.output.about, about)
