"""Figures of a study, drawn from its tables: a module a kind, so that a changed one redraws only its own."""
