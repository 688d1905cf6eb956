"""Draw the figure of a measure: that of the module that the rule names, from the tables that it names."""

import importlib

import job

from modelstitch.analysis import tables
from modelstitch.figures.paper import Paper, save

job.begin(snakemake)
figure = importlib.import_module(f"modelstitch.figures.{snakemake.params.measure}").draw(
    **{name: tables.read(path) for name, path in snakemake.input.items()},
    **dict(snakemake.wildcards.items()),
    **snakemake.params.get("arguments", {}),
    paper=Paper(**snakemake.params.paper),
)
save(figure, snakemake.output, snakemake.params.caption)
