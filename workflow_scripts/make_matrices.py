"""Lay the cells of every pair out as labelled matrices."""

import job

from modelstitch.analysis import matrices, tables

job.begin(snakemake)
matrices.write_all(tables.read(snakemake.input.cells), snakemake.output[0])
