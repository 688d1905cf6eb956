"""Compare the cells of a study with those that the paper prints."""

import job

from modelstitch.analysis import published, tables

job.begin(snakemake)
cells = tables.select(snakemake.input.cells, published.printed)
networks = tables.read(snakemake.input.networks)
tables.write_csv(published.compare(cells, networks), snakemake.output.pairs)
tables.write_csv(published.side_by_side(cells), snakemake.output.cells)
