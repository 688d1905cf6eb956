"""Objective `image`, a control of the task: trained as for it, from the image itself, which is the sender's layer -1.

What its stitches reach needs no sender. A cell that is no more accurate shows nothing of the sender's layers: where the
receiver's layer is early, a linear map of the image can serve it.
"""

from modelstitch.fitting.through_suffix import fit, images_seen, operations

__all__ = ["fit", "images_seen", "operations"]
