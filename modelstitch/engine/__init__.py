"""Frozen networks and all stitches of a pair, run together."""
