"""Put the tables of many pairs one after the other, of each kind into one."""

import job

from modelstitch.analysis import tables

job.begin(snakemake)
tables.gather(dict(snakemake.input.items()), dict(snakemake.output.items()))
