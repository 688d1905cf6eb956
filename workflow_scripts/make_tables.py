"""Read all records of a study, and gather all its cells and networks as tables."""

import job

from modelstitch.analysis import gathering, tables
from modelstitch.analysis.networks import networks

job.begin(snakemake)
paths, output = snakemake.input, snakemake.output
gathering.gather(paths.records, paths.dataset, output.outcomes, processes=snakemake.threads)
tables.write_parts(gathering.cells(output.outcomes, snakemake.params.by_sender), *output.cells)
tables.write_csv(networks(paths.networks), output.networks)
