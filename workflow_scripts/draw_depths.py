"""Draw the average matrix of each two recipes on axes of relative depth."""

import job

from modelstitch import figures, tables

job.begin(snakemake)
figures.draw_all_depths(*map(tables.read, snakemake.input), *snakemake.params[:5])
