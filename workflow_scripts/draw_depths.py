"""Draw the average matrix of each two recipes on axes of relative depth."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import matrices

job.begin(snakemake)
params = snakemake.params
matrices.draw_all_depths(
    tables.read(snakemake.input.cells, matrices.COLUMNS),
    tables.read(snakemake.input.networks),
    tables.read(snakemake.input.triangle),
    folder=params.folder,
    recipes=params.recipes,
    colormap=params.colormap,
    formats=params.formats,
)
