"""Turn the source of a study's images into one HDF5 file."""

import job

from modelstitch.data import sources

job.begin(snakemake)
sources.prepare(snakemake.params.settings, snakemake.output[0])
