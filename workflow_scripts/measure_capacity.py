"""Tabulate the accuracies of every family beside what its stitches can express."""

import job

from modelstitch.analysis import tables
from modelstitch.measures import capacity

job.begin(snakemake)
tables.write_csv(capacity.cells(snakemake.input), snakemake.output.cells)
