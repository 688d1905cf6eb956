"""Gather all cells and all networks of a study as tables."""

import job

from modelstitch.analysis import tables
from modelstitch.analysis.cells import cells
from modelstitch.analysis.networks import networks

job.begin(snakemake)
table = cells(snakemake.input.records)
tables.write_csv(table, snakemake.output.cells_csv)
tables.write_parquet(table, snakemake.output.cells_parquet)
tables.write_csv(networks(snakemake.input.networks), snakemake.output.networks)
