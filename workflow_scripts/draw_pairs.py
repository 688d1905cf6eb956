"""Draw the heat map of every pair."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import pair
from modelstitch.figures.paper import Paper

job.begin(snakemake)
cells, networks, comparisons = (tables.read(snakemake.input[name]) for name in ("cells", "networks", "comparisons"))
params = snakemake.params
paper = Paper(**params.paper)
pair.draw_all(cells, networks, comparisons, params.folder, params.colormap, params.formats, paper, params.caption)
