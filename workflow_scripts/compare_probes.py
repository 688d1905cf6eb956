"""Put each sender layer's linear probe beside its stitch to the receiver's last layer."""

import job

from modelstitch.analysis import tables
from modelstitch.measures import probes

job.begin(snakemake)
compared = probes.compare(tables.read_measured(snakemake.input.probes), tables.read(snakemake.input.cells))
tables.write_csv(compared, snakemake.output[0])
