"""Lay the matrices of all budgets beside each other, in numbers."""

import job

from modelstitch import budget, tables

job.begin(snakemake)
cells = budget.cells(snakemake.input)
tables.write_csv(cells, snakemake.output.cells)
tables.write_csv(budget.measure(cells), snakemake.output.summary)
