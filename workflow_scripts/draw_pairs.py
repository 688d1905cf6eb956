"""Draw the heat map of every pair."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import pair
from modelstitch.figures.paper import Paper

job.begin(snakemake)
params, networks = snakemake.params, tables.read(snakemake.input.networks)
paper = Paper(**params.paper)
for cells, comparisons in zip(*(tables.parts(snakemake.input[name]) for name in ("cells", "comparisons")), strict=True):
    pair.draw_all(
        cells, networks, comparisons, snakemake.output[0], params.colormap, params.formats, paper, params.caption
    )
