"""Read all records of a study, and gather all its cells and networks as tables."""

import job

from modelstitch.analysis import gathering, tables
from modelstitch.analysis.evidence import Evidence
from modelstitch.analysis.networks import networks

job.begin(snakemake)
paths, output, params = snakemake.input, snakemake.output, snakemake.params
known = {"settings": params.settings, "layers": params.layers}
evidence = Evidence.of(paths.dataset, params.study, params.seed, paths.networks, **known)
gathering.gather(paths.records, evidence, output.outcomes, processes=snakemake.threads)
tables.write_parts(gathering.cells(output.outcomes, params.by_sender), *output.cells)
tables.write_csv(networks(paths.networks), output.networks)
