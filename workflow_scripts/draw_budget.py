"""Draw the matrices of all budgets, and how much of the triangle is left."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import budget, canvas

job.begin(snakemake)
figure = budget.draw(
    tables.read(snakemake.input.cells),
    tables.read(snakemake.input.summary),
    tables.read(snakemake.input.networks),
    snakemake.params.colormap,
)
canvas.save(figure, snakemake.output)
