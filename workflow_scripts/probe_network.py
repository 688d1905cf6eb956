"""Train a linear probe on each layer of one network, and measure it on the test set."""

import job

from modelstitch import hardware
from modelstitch.analysis import tables
from modelstitch.data import datasets
from modelstitch.measures import probes
from modelstitch.networks.network import Network

job.begin(snakemake)
measured = probes.measure(
    Network.load(snakemake.input.network).cut_at(snakemake.params.cuts),
    datasets.read(snakemake.input.dataset),
    snakemake.params.images,
    snakemake.params.seed,
    precision=snakemake.params.precision,
    device=hardware.choose_device(snakemake.resources.device),
)
tables.write_csv(measured, snakemake.output[0])
