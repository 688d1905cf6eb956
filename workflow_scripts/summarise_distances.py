"""Write the distances of all pairs, and the paper's two tables of them."""

import job

from modelstitch import distances, tables

job.begin(snakemake)
cells = distances.read_all(snakemake.input)
tables.write_csv(cells, snakemake.output.distances)
tables.write_csv(distances.summarise(cells), snakemake.output.summary)
