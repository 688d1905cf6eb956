"""The page that shows a study: its tables and records in one HTML file, which needs no network."""

from modelstitch.explorer.writing import write

__all__ = ["write"]
