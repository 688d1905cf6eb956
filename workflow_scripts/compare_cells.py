"""Compare cells with others, image by image, and count the verdicts."""

import job

from modelstitch.analysis import comparisons, tables

job.begin(snakemake)
table = comparisons.compare(snakemake.input.records, snakemake.input.dataset)
tables.write_csv(table, snakemake.output.comparisons)
tables.write_csv(comparisons.summarise(table), snakemake.output.summary)
