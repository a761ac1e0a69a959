"""How a process's memory is given out and taken back, without torch: a command begins with it."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

# glibc's M_TRIM_THRESHOLD and M_MMAP_MAX (malloc.h), and the largest number that it takes.
_TRIM_THRESHOLD, _MMAP_MAX, _LARGEST = -1, -4, 2**31 - 1

# New objects between two looks for cycles; Python's own number is 700.
_NEW_OBJECTS = 50_000


def collect_seldom() -> None:
    """Has this process look less often for objects that only refer to each other.

    Imports make hundreds of thousands of objects that all stay, and by default Python looks through
    them again and again: a part of the time that a command takes to begin.
    """
    gc.set_threshold(_NEW_OBJECTS)


def keep_freed_memory() -> None:
    """Has this process keep what large tensors leave behind, for the next that are as large.

    glibc gives it back to the system, which clears each new one page by page: a part of the time
    that a CPU labels. For processes that do nothing else: their memory stays at its peak
    until they end. Other C libraries are left as they are.
    """
    with suppress(OSError, AttributeError):
        glibc = ctypes.CDLL("libc.so.6")
        glibc.mallopt(_MMAP_MAX, 0)
        glibc.mallopt(_TRIM_THRESHOLD, _LARGEST)
