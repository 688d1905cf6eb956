"""Everything that is computed from records and tables alone: no network is run here."""
