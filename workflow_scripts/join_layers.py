"""Join the blocks of receiver layers of one ordered pair."""

import job

from modelstitch import records
from modelstitch.stitches import files

job.begin(snakemake)
files.join(snakemake.input.stitches, snakemake.output.stitches)
records.join(snakemake.input.records, snakemake.output.record)
