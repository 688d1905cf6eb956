"""Draw all pairs of each two recipes at a glance, and the controls beside the trained pairs."""

import job

from modelstitch import tables
from modelstitch.figures import matrices

job.begin(snakemake)
matrices.draw_all_overviews(*map(tables.read, snakemake.input), *snakemake.params[:5])
