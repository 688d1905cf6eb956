"""Intervals of every cell, over test images, seeds of networks and seeds of stitches."""

import job

from modelstitch.analysis import tables, uncertainty

job.begin(snakemake)
tables.write_parts(uncertainty.by_sender(snakemake.input.cells), snakemake.output[0])
