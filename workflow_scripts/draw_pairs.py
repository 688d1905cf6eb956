"""Draw the heat map of every pair."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import pair

job.begin(snakemake)
cells, networks, comparisons = (tables.read(snakemake.input[name]) for name in ("cells", "networks", "comparisons"))
params = snakemake.params
pair.draw_all(cells, networks, comparisons, snakemake.output[0], params.colormap, params.formats)
