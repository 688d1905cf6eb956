"""Measure the triangle of every pair, and of all pairs of each two recipes."""

import job

from modelstitch.analysis import tables, triangle

job.begin(snakemake)
measured = triangle.measure(snakemake.input.outcomes, snakemake.params.seed, threads=snakemake.threads)
tables.write_csv(measured, snakemake.output[0])
