"""Compare cells with others, image by image, and count the verdicts."""

import job

from modelstitch.analysis import comparisons, tables
from modelstitch.analysis.evidence import Evidence

job.begin(snakemake)
evidence = Evidence.of(snakemake.input.dataset, snakemake.params.study, snakemake.params.seed)
table = comparisons.compare(snakemake.input.records, evidence)
tables.write_csv(table, snakemake.output.comparisons)
tables.write_csv(comparisons.summarise(table), snakemake.output.summary)
