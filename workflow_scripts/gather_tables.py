"""Put the tables of many pairs one after the other, of each kind into one."""

import job

from modelstitch.analysis import tables

job.begin(snakemake)
for name, path in snakemake.output.items():
    tables.write_csv(tables.read_all(snakemake.input[name]), path)
