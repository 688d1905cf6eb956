"""Draw the generated images of every pair, and what they are like by layer."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import generated_images
from modelstitch.figures.paper import Paper

job.begin(snakemake)
table, networks = tables.read(snakemake.input.table), tables.read(snakemake.input.networks)
params = snakemake.params
paper = Paper(**params.paper)
generated_images.draw_all(
    table, networks, params.images, params.folder, params.formats, params.pairs, paper, params.captions
)
