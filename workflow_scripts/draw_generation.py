"""Draw the generated images of every pair, and what they are like by layer."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import generation

job.begin(snakemake)
table, networks = tables.read(snakemake.input.table), tables.read(snakemake.input.networks)
params = snakemake.params
generation.draw_all(table, networks, params.images, params.folder, params.colormap, params.formats)
