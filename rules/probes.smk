"""Linear probes: what can be read from each sender layer without a receiver."""

PROBES = []
