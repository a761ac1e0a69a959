"""Whether a process is gone that nobody may be there to wait for."""

from __future__ import annotations

import psutil  # type: ignore[import-untyped]


def wait_for_end(pid: int, seconds: float = 30) -> bool:
    """Waits until it does nothing any more, at most so long.

    Returns:
        whether it ended.
    """
    try:
        process = psutil.Process(pid)
        process.wait(seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return bool(process.status() == psutil.STATUS_ZOMBIE)  # nobody asks for its end
    return True
