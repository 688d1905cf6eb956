"""Measure how often another layer of a network serves it as well as its own."""

import job

from modelstitch.analysis import self_consistency, tables

job.begin(snakemake)
own = tables.select(snakemake.input.cells, lambda cells: cells.sender == cells.receiver)
tables.write_csv(self_consistency.measure(own), snakemake.output[0])
