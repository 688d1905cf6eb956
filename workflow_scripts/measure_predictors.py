"""Measure what predicts the accuracy of a cell."""

import job

from modelstitch.analysis import tables
from modelstitch.analysis.evidence import Evidence
from modelstitch.measures import predictors

job.begin(snakemake)
params = snakemake.params
evidence = Evidence.of(snakemake.input.dataset, params.study, params.seed, settings=params.settings)
observed = predictors.observations(
    tables.read(snakemake.input.cells),
    predictors.capacities(snakemake.input.records, evidence),
    **{name: tables.read(path) for name, path in snakemake.input.items() if name in ("probes", "distances")},
)
tables.write_csv(predictors.measure(observed, params.folds), snakemake.output.table)
