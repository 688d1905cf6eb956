"""Figures of a study, drawn from its tables: one module per kind, so that a changed one redraws only its own."""
