"""Train a linear probe on each layer of one network, and measure it on the test set."""

import job

from modelstitch import hardware
from modelstitch.analysis import tables
from modelstitch.data import datasets
from modelstitch.measures import probes
from modelstitch.networks import small_resnet

job.begin(snakemake)
measured = probes.measure(
    small_resnet.load(snakemake.input.network),
    datasets.read(snakemake.input.dataset),
    snakemake.params.images,
    snakemake.params.seed,
    hardware.choose_device(snakemake.resources.device),
    snakemake.params.precision,
)
tables.write_csv(measured, snakemake.output[0])
