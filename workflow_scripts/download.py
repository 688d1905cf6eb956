"""Make the verified archive of a data set be there."""

import job

from modelstitch.data.sources import cifar

job.begin(snakemake)
cifar.fetch(snakemake.params.settings)
