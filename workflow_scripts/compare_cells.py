"""Compare cells with others, image by image, and count the verdicts."""

import job

from modelstitch.analysis import comparisons, tables

job.begin(snakemake)
compared = comparisons.compare(snakemake.input.outcomes, snakemake.params.by_sender)
summaries = comparisons.summaries(compared, lambda part: tables.write_parts([part], snakemake.output.comparisons))
tables.write_csv(summaries, snakemake.output.summary)
