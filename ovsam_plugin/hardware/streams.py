"""How a CPU's cores are shared out: a few photographs at once, each computed on some of them.

Small layers leave cores idle when all of them compute one photograph, and threads that wait for
each other spin. Photographs side by side do neither.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch

# Measured on two cores alone; more at once would take more memory, too.
_MOST = 4
_SETTING = threading.Lock()


def streams_on(device: torch.device) -> int:
    """How many photographs are best computed at once on a device: on accelerators, one."""
    return min(_MOST, torch.get_num_threads()) if device.type == "cpu" else 1


def part_of_the_cores(streams: int) -> Callable[[], None]:
    """What each of so many threads calls first, to compute on its part of the cores."""
    usual = torch.get_num_threads()
    return lambda: compute_on(usual // streams, usual)


def compute_on(threads: int, elsewhere: int) -> None:
    """Has torch compute on so many threads what this thread asks for.

    Args:
        threads: for this one.
        elsewhere: for threads that have computed nothing yet; those that have keep their number.
    """
    with _SETTING:
        torch.set_num_threads(threads)
        # A thread adopts what is set when it first asks, even where it has set it itself.
        torch.get_num_threads()
        # What was set is also the process's; this thread's own stays, when another sets that.
        restoring = threading.Thread(target=torch.set_num_threads, args=(elsewhere,))
        restoring.start()
        restoring.join()
