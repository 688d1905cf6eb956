"""Write the similarities of all pairs, how they agree with the cells' accuracies, and where they do not."""

import job

from modelstitch.analysis import agreement, tables

job.begin(snakemake)
similarities, cells = tables.read_measured(snakemake.input.similarities), tables.read(snakemake.input.cells)
tables.write_csv(similarities, snakemake.output.similarities)
tables.write_csv(agreement.agreement(similarities, cells), snakemake.output.agreement)
tables.write_csv(agreement.disagreement(similarities, cells), snakemake.output.disagreement)
