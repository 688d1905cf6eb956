"""Measure the images that stitches into the receiver's input make, for one ordered pair and objective."""

import job

from modelstitch import hardware
from modelstitch.analysis import tables
from modelstitch.analysis.evidence import Evidence
from modelstitch.data import datasets
from modelstitch.measures import generated_images
from modelstitch.records import images
from modelstitch.stitches import files

job.begin(snakemake)
table, shown = generated_images.measure_pair(
    *job.load_pair(snakemake),
    datasets.read(snakemake.input.dataset),
    files.read(snakemake.input.stitches),
    Evidence.of(snakemake.input.dataset).read(snakemake.input.record),
    images=snakemake.params.images,
    shown=snakemake.params.shown,
    precision=snakemake.params.precision,
    device=hardware.choose_device(snakemake.resources.device),
)
images.write(snakemake.output.images, shown)
tables.write_csv(table, snakemake.output.table)
