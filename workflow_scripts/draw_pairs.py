"""Draw the heat map of every pair."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import matrices

job.begin(snakemake)
cells, networks = tables.read(snakemake.input.cells), tables.read(snakemake.input.networks)
params = snakemake.params
matrices.draw_all_pairs(cells, networks, params.folder, params.colormap, params.formats)
