"""Lay the matrices of all budgets beside each other, in numbers."""

import job

from modelstitch.analysis import tables
from modelstitch.analysis.evidence import Evidence
from modelstitch.measures import training_budget

job.begin(snakemake)
params = snakemake.params
evidence = Evidence.of(snakemake.input.dataset, params.study, params.seed, settings=params.settings)
cells = training_budget.cells(snakemake.input.records, evidence)
tables.write_csv(cells, snakemake.output.cells)
tables.write_csv(training_budget.measure(cells), snakemake.output.summary)
