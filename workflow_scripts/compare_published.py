"""Compare the cells of a study with those that the paper prints."""

import job

from modelstitch import published, tables

job.begin(snakemake)
compared = published.compare(tables.read(snakemake.input.cells), tables.read(snakemake.input.networks))
tables.write_csv(compared, snakemake.output[0])
