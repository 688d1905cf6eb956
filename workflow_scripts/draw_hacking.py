"""Draw accuracy against what tells preserving from hacking, a figure an objective."""

import job

from modelstitch.analysis import tables
from modelstitch.figures import hacking

job.begin(snakemake)
hacking.draw_all(tables.read(snakemake.input[0]), snakemake.params.folder, snakemake.params.formats)
