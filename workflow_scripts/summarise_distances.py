"""Write the distances of all pairs, and the paper's two tables of them, its own numbers beside ours."""

import job

from modelstitch.analysis import published, tables
from modelstitch.measures import distances

job.begin(snakemake)
cells = tables.read_measured(snakemake.input)
tables.write_csv(cells, snakemake.output.distances)
tables.write_csv(published.beside_summary(distances.summarise(cells)), snakemake.output.summary)
