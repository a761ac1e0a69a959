"""How a process's memory is given out: without torch, so that a command can begin with it."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# glibc's M_TRIM_THRESHOLD and M_MMAP_MAX (malloc.h), and the largest number that it takes.
_TRIM_THRESHOLD, _MMAP_MAX, _LARGEST = -1, -4, 2**31 - 1


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
