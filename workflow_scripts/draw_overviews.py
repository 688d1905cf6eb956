"""Draw all pairs of each two recipes at a glance, and the controls beside the trained pairs."""

import job

from modelstitch import figures, tables

job.begin(snakemake)
cells, networks = tables.read(snakemake.input.cells), tables.read(snakemake.input.networks)
folder, objective, recipes, colormap, formats = snakemake.params[:5]
for sender, receiver in recipes:
    overview = figures.draw_overview(cells, networks, objective, sender, receiver, colormap)
    figures.save(overview, [f"{folder}/overview_{objective}_{sender}_to_{receiver}.{kind}" for kind in formats])
controls = figures.draw_controls(cells, networks, objective, colormap)
figures.save(controls, [f"{folder}/controls_{objective}.{kind}" for kind in formats])
