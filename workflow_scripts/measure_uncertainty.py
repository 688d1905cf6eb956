"""Intervals of every cell, over test images, seeds of networks and seeds of stitches."""

import job

from modelstitch.analysis import tables
from modelstitch.analysis.uncertainty import uncertainty

job.begin(snakemake)
tables.write_csv(uncertainty(tables.read(snakemake.input.cells)), snakemake.output[0])
