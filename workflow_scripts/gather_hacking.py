"""Put the measures of preserving or hacking of all pairs into one table a cell, and one a cell and later layer."""

import job

from modelstitch.analysis import tables

job.begin(snakemake)
tables.write_csv(tables.read_all(snakemake.input.cells), snakemake.output.cells)
tables.write_csv(tables.read_all(snakemake.input.suffixes), snakemake.output.suffixes)
