"""Runs the frozen networks and all stitches of a pair together."""
