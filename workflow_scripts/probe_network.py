"""Train a linear probe on each layer of one network, and measure it on the test set."""

import job

from modelstitch import datasets, hardware, networks, probes, tables

job.begin(snakemake)
measured = probes.measure(
    networks.load(snakemake.input.network),
    datasets.read(snakemake.input.dataset),
    snakemake.params.images,
    snakemake.params.seed,
    hardware.choose_device(snakemake.resources.device),
    snakemake.params.precision,
)
tables.write_csv(measured, snakemake.output[0])
