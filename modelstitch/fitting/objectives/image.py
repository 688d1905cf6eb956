"""Objective `image`, a control of the task: the task's training, from the image itself, which is sender layer -1.

Its stitches show which accuracy needs no sender at all. A cell that is not more accurate tells nothing about the
sender's layer: for an early receiver layer, a linear map of the image may be good enough.
"""

from modelstitch.fitting.through_suffix import fit, images_seen, operations

__all__ = ["fit", "images_seen", "operations"]
