"""Objective `task`: cross-entropy through the receiver's frozen suffix, the paper's vanilla stitches."""

from modelstitch.fitting.through_suffix import fit, images_seen, operations

__all__ = ["fit", "images_seen", "operations"]
