"""Draw the average matrix of each two recipes on axes of relative depth."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import depth, matrices
from modelstitch.figures.paper import Paper

job.begin(snakemake)
params = snakemake.params
depth.draw_all(
    tables.read(snakemake.input.cells, matrices.COLUMNS),
    tables.read(snakemake.input.networks),
    tables.read(snakemake.input.triangle),
    folder=params.folder,
    recipes=params.recipes,
    colormap=params.colormap,
    formats=params.formats,
    paper=Paper(**params.paper),
    captions=params.captions,
)
