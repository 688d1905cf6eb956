"""The page that shows a study: its tables and records in one file of HTML, which asks no network for anything."""

from modelstitch.explorer.writing import write

__all__ = ["write"]
