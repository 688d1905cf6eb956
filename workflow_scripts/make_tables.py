"""Gather all cells and all networks of a study as tables."""

import job

from modelstitch.analysis import tables

job.begin(snakemake)
cells = tables.cells(snakemake.input.records)
tables.write_csv(cells, snakemake.output.cells_csv)
tables.write_parquet(cells, snakemake.output.cells_parquet)
tables.write_csv(tables.networks(snakemake.input.networks), snakemake.output.networks)
