"""Measure the images that stitches into the receiver's input make, for one ordered pair and objective."""

import job

from modelstitch import hardware
from modelstitch.analysis import tables
from modelstitch.data import datasets
from modelstitch.measures import generated_images, running
from modelstitch.records import images

job.begin(snakemake)
networks, dataset = job.load_pair(snakemake), datasets.read(snakemake.input.dataset)
read_made = running.reader(networks, dataset)
table, shown = generated_images.measure_pair(
    *networks,
    dataset,
    read_made(snakemake.input.stitches),
    read_made(snakemake.input.record),
    images=snakemake.params.images,
    shown=snakemake.params.shown,
    precision=snakemake.params.precision,
    device=hardware.choose_device(snakemake.resources.device),
)
images.write(snakemake.output.images, shown)
tables.write_csv(table, snakemake.output.table)
