"""Lay the cells of every pair out as labelled matrices."""

import job

from modelstitch.analysis import matrices, tables

job.begin(snakemake)
for cells in tables.parts(snakemake.input.cells):
    matrices.write_all(cells, snakemake.output[0])
