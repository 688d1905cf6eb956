"""Gather all cells and all networks of a study as tables."""

import job

from modelstitch.analysis import tables
from modelstitch.analysis.cells import cells
from modelstitch.analysis.evidence import Evidence
from modelstitch.analysis.networks import networks

job.begin(snakemake)
evidence = Evidence.of(snakemake.input.dataset, snakemake.params.study, snakemake.params.seed, snakemake.input.networks)
table = cells(snakemake.input.records, evidence)
tables.write_csv(table, snakemake.output.cells_csv)
tables.write_parquet(table, snakemake.output.cells_parquet)
tables.write_csv(networks(snakemake.input.networks), snakemake.output.networks)
