"""Draw the average matrix of each two recipes on axes of relative depth."""

import job

from modelstitch import tables
from modelstitch.figures import matrices

job.begin(snakemake)
matrices.draw_all_depths(*map(tables.read, snakemake.input), *snakemake.params[:5])
