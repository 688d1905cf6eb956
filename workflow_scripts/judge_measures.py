"""Rate the controls and the real thing by every measure that the study has of cells."""

import job

from modelstitch.analysis import tables, verdicts

job.begin(snakemake)
given = {name: tables.read(path) for name, path in snakemake.input.items()}
judged = verdicts.measure(
    given.pop("cells"),
    noise=given.pop("clustered_noise", None),
    others=given,
    reference=snakemake.params.reference,
    alike=snakemake.params.alike,
    seed=snakemake.params.seed,
)
tables.write_csv(judged, snakemake.output[0])
