"""Measure how far the stitched representations of one ordered pair are from the expected ones."""

import job
from safetensors.torch import load_file

from modelstitch import hardware
from modelstitch.analysis import tables
from modelstitch.data import datasets
from modelstitch.measures import distances
from modelstitch.networks import small_resnet

job.begin(snakemake)
cells = distances.measure_pair(
    small_resnet.load(snakemake.input.sender),
    small_resnet.load(snakemake.input.receiver),
    datasets.read(snakemake.input.dataset),
    load_file(snakemake.input.vanilla),
    load_file(snakemake.input.similar),
    hardware.choose_device(snakemake.resources.device),
    snakemake.params.precision,
)
tables.write_csv(cells, snakemake.output[0])
