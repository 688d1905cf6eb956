"""Make one verified file of a published data set be there."""

import job

from modelstitch.data import sources

job.begin(snakemake)
sources.fetch(snakemake.params.settings, snakemake.output[0])
