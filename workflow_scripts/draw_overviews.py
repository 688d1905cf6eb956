"""Draw all pairs of each two recipes at a glance, and the controls beside the trained pairs."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import matrices
from modelstitch.figures.paper import Paper

job.begin(snakemake)
params = snakemake.params
matrices.draw_all_overviews(
    tables.read(snakemake.input.cells, matrices.COLUMNS),
    tables.read(snakemake.input.networks),
    folder=params.folder,
    recipes=params.recipes,
    colormap=params.colormap,
    formats=params.formats,
    paper=Paper(**params.paper),
    captions=params.captions,
)
