"""How the C library hands memory back: a daemon whose needs come in waves keeps no more than the low tide."""

import contextlib
import ctypes

# malloc.h; see mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE = 128 * 1024


def return_memory() -> None:
    """Give large blocks back when they are freed, and keep one heap for all threads. Does nothing without glibc."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        # Set by hand, the threshold no longer grows to the largest block that was ever freed.
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGE)
        library.mallopt(_M_ARENA_MAX, 1)
