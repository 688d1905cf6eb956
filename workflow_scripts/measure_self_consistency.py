"""Count, in networks stitched to themselves, how often another layer serves as well as its own."""

import job

from modelstitch.analysis import self_consistency, tables

job.begin(snakemake)
tables.write_csv(self_consistency.measure(tables.read(snakemake.input.cells)), snakemake.output[0])
