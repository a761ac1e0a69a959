"""The App's server, as a person has it who opens the App from the command line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import fiftyone as fo

from tests.conftest import ROOT


class Server:
    """The App's server in a process of its own, at one address all the time."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Waits until it answers."""
        # Not imported: it sets FIFTYONE_SERVER, with which every load of a dataset is a new handle.
        main = find_spec("fiftyone.server.main")
        assert main is not None
        assert main.origin is not None
        command = [sys.executable, main.origin, "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--address", "127.0.0.1"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 120
        while True:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < end, "the App's server did not start"
            time.sleep(0.2)

    def address(self, dataset: fo.Dataset) -> str:
        """Where the App shows it."""
        return f"http://127.0.0.1:{self.port}/datasets/{dataset.name}"

    def stop(self) -> None:
        """Without a farewell, as a server that crashes."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
