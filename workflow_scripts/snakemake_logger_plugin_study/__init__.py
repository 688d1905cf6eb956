"""What Snakemake says of a study: a line for each finished job, one of progress, and what went wrong.

`profiles/default/config.yaml` makes it Snakemake's logger, unless a command asks for Snakemake's own output
(`--printshellcmds`, `--verbose`, `--quiet`), all of which is in `.snakemake/log/`.
"""

from logging import LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase

from snakemake_logger_plugin_study.plan import Plan
from snakemake_logger_plugin_study.run import Run, expect

__all__ = ["LogHandler", "expect"]


class LogHandler(LogHandlerBase):
    """Hands what Snakemake says to the display of a run, or of a dry run."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.display = Plan() if self.common_settings.dryrun else Run()

    def emit(self, record: LogRecord) -> None:
        self.display.hear(record, self.format(record))

    def close(self) -> None:
        self.display.end()
        super().close()
