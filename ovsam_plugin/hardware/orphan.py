"""Processes that end when the one that started them is gone."""

from __future__ import annotations

import os
import threading
import time

_EVERY = 1.0


def end_with_parent(_: int = 0) -> None:
    """Ends this process once its parent is gone, killed even; a `worker_init_fn` of torch's loader.

    Torch lets one that has a photograph left to hand over wait for the dead reader: it holds the
    other end of that pipe itself, so the system does not end the wait, and a killed run would leave
    it and its memory behind.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
