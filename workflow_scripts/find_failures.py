"""List the networks and stitches of a study whose numbers shouldn't be trusted."""

import job

from modelstitch.analysis import diagnostics, tables
from modelstitch.analysis.evidence import Evidence

job.begin(snakemake)
evidence = Evidence.of(snakemake.input.dataset, snakemake.params.study, snakemake.params.seed)
cells, networks = tables.read(snakemake.input.cells), tables.read(snakemake.input.networks)
found = diagnostics.find(snakemake.input.records, evidence, cells, networks)
job.log.info(f"{len(found)} findings: {snakemake.output[0]}")
tables.write_csv(found, snakemake.output[0])
