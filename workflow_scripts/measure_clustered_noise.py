"""Stitch noise, one cluster per class, into every layer of one network, and measure the stitched networks."""

import job

from modelstitch import hardware
from modelstitch.analysis import tables
from modelstitch.config.measures import ClusteredNoise
from modelstitch.config.section import read
from modelstitch.data import datasets
from modelstitch.measures import clustered_noise
from modelstitch.networks.network import Network

job.begin(snakemake)
measured = clustered_noise.measure(
    Network.load(snakemake.input.network).cut_at(snakemake.params.cuts),
    datasets.read(snakemake.input.dataset),
    read(ClusteredNoise, snakemake.params.settings),
    snakemake.params.seed,
    precision=snakemake.params.precision,
    device=hardware.choose_device(snakemake.resources.device),
)
tables.write_csv(measured, snakemake.output[0])
