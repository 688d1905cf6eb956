"""Write what the generated images of all pairs are like, as one table."""

import job

from modelstitch.analysis import tables
from modelstitch.measures import generation

job.begin(snakemake)
tables.write_csv(generation.gather(snakemake.input), snakemake.output[0])
