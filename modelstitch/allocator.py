"""Memory that a process freed is kept for its next tensors, where the C library is glibc.

It would be handed back to the system and faulted in again, page by page, for each map of a pass: a tenth of the
engine's time at width 16 on one AVX2 core.
"""

import ctypes

# Of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Tell the C library, for the rest of the process; other libraries than glibc are left as they are."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(parameter, LARGEST)
