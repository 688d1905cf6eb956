"""Draw the heat map of every pair."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import pair

job.begin(snakemake)
cells, networks = tables.read(snakemake.input.cells), tables.read(snakemake.input.networks)
params = snakemake.params
pair.draw_all(cells, networks, params.folder, params.colormap, params.formats)
