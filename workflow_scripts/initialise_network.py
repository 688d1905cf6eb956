"""Write one network that was never trained."""

import job

from modelstitch import hardware
from modelstitch.data import datasets
from modelstitch.identifiers import NetworkId
from modelstitch.networks import small_resnet, training

job.begin(snakemake)
network, about = training.initialise(
    NetworkId.parse(snakemake.wildcards.network),
    snakemake.params.width,
    datasets.read(snakemake.input.dataset),
    snakemake.params.seed,
    device=hardware.choose_device(snakemake.resources.device),
)
small_resnet.save(snakemake.output.weights, network, about)
job.write_json(snakemake.output.about, about)
