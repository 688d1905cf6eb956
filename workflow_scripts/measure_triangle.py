"""Measure the triangle of every pair, and of all pairs of each two recipes."""

import job

from modelstitch.analysis import tables, triangle
from modelstitch.analysis.evidence import Evidence

job.begin(snakemake)
evidence = Evidence.of(snakemake.input.dataset, snakemake.params.study, snakemake.params.seed)
measured = triangle.measure(snakemake.input.records, evidence, snakemake.params.seed)
tables.write_csv(measured, snakemake.output[0])
