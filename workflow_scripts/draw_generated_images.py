"""Draw the generated images of every pair, and what they are like by layer."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import generated_images

job.begin(snakemake)
table, networks = tables.read(snakemake.input.table), tables.read(snakemake.input.networks)
params = snakemake.params
generated_images.draw_all(table, networks, params.images, params.folder, params.colormap, params.formats, params.pairs)
