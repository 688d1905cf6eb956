"""Draw the average matrix of each two recipes on axes of relative depth."""

import job

from modelstitch import figures, tables

job.begin(snakemake)
cells, networks, triangles = map(tables.read, snakemake.input)
folder, objective, recipes, colormap, formats = snakemake.params[:5]
for sender, receiver in recipes:
    figure = figures.draw_depth(cells, networks, triangles, objective, sender, receiver, colormap)
    figures.save(figure, [f"{folder}/depth_{objective}_{sender}_to_{receiver}.{kind}" for kind in formats])
