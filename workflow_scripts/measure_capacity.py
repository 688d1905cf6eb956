"""Tabulate the accuracies of every family beside what its stitches can express."""

import job

from modelstitch.analysis import tables
from modelstitch.analysis.evidence import Evidence
from modelstitch.measures import capacity

job.begin(snakemake)
evidence = Evidence.of(snakemake.input.dataset, snakemake.params.study, snakemake.params.seed)
cells = capacity.cells(snakemake.input.records, evidence, snakemake.params.settings)
tables.write_csv(cells, snakemake.output.cells)
