"""Stitch neural networks together, and see how functionally similar their representations are.

The method is that of "Model Stitching: Looking For Functional Similarity Between Representations" (arXiv 2303.11277).
"""

__version__ = "0.1.0"
