"""Measure the images that stitches into the receiver's input make, for one ordered pair and objective."""

import job
from safetensors.torch import load_file

from modelstitch import hardware, records
from modelstitch.analysis import tables
from modelstitch.data import datasets
from modelstitch.measures import generation
from modelstitch.networks import small_resnet

job.begin(snakemake)
table, shown = generation.measure_pair(
    small_resnet.load(snakemake.input.sender),
    small_resnet.load(snakemake.input.receiver),
    datasets.read(snakemake.input.dataset),
    load_file(snakemake.input.stitches),
    records.read_pair(snakemake.input.record),
    snakemake.params.images,
    snakemake.params.shown,
    hardware.choose_device(snakemake.resources.device),
    snakemake.params.precision,
)
generation.write_images(shown, snakemake.output.images)
tables.write_csv(table, snakemake.output.table)
