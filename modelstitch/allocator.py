"""Keeps freed memory in the process for its next tensors, if the C library is glibc.

Otherwise memory goes back to the system, and is faulted in again page by page for each map of a pass, which took a
tenth of the engine's time at width 16 on one AVX2 core.
"""

import ctypes

# Of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the rest of the process; other C libraries are left as they are."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(parameter, LARGEST)
