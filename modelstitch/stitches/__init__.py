"""Stitches, the maps from one representation to another: shapes, families, normal equations."""
