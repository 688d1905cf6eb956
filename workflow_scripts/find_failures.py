"""List the networks and stitches of a study whose numbers shouldn't be trusted."""

import job

from modelstitch.analysis import diagnostics, tables

job.begin(snakemake)
cells, networks = tables.read(snakemake.input.cells), tables.read(snakemake.input.networks)
found = diagnostics.find(snakemake.input.records, cells, networks)
job.log.info(f"{len(found)} findings: {snakemake.output[0]}")
tables.write_csv(found, snakemake.output[0])
