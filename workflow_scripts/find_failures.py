"""List the networks and stitches of a study whose numbers shouldn't be trusted."""

import job

from modelstitch.analysis import diagnostics, gathering, tables

job.begin(snakemake)
cells = gathering.with_first_losses(tables.parts(snakemake.input.cells), snakemake.input.outcomes)
found = diagnostics.find(cells, tables.read(snakemake.input.networks))
job.log.info(f"{len(found)} findings: {snakemake.output[0]}")
tables.write_csv(found, snakemake.output[0])
