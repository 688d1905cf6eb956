"""Provenance of results, kept beside them; packing a study into one archive, and restoring it elsewhere."""
