"""List the networks and stitches of a study whose numbers shouldn't be trusted."""

import job

from modelstitch import failures, tables

job.begin(snakemake)
cells, networks = tables.read(snakemake.input.cells), tables.read(snakemake.input.networks)
found = failures.find(snakemake.input.records, cells, networks)
job.log.info(f"{len(found)} findings: {snakemake.output[0]}")
tables.write_csv(found, snakemake.output[0])
