"""Whether a run over many photographs that is killed again and again ends as one left alone.

    python benchmarks/killed_run.py [--engine local|ray] [--kills 30] [--photographs 300] [--seed 0]

`ovsam label` is started, ended with SIGKILL at a random moment (every third while it starts) and
started again, so many times; then it runs to its end. With Ray every second kill is of one of the
cluster's workers, which the command has to survive. Every photograph must then have the instances
that an undisturbed run gives it, each with one embedding. It ends with 1 where that is not so.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil
from kills import NAMES, ROOT

import fiftyone as fo  # isort: skip

from two_processes import asking_dataset, faults, outcome

from ovsam_plugin.engines.database_address import database_address
from ovsam_plugin.engines.ray_task import label

# What a command takes to its first photograph, about, in seconds.
STARTS = {"local": 6.0, "ray": 14.0}


class Run:
    """`ovsam label` of a dataset, in processes of its own.

    Args:
        dataset: what is labelled.
        engine: by which engine.
        address: of the Ray cluster.
    """

    def __init__(self, dataset: fo.Dataset, engine: str, address: str | None) -> None:
        engines = [] if address is None else ["--engine", engine, "--address", address]
        self._command = [sys.executable, "-m", "ovsam_plugin.cli", "label", dataset.name]
        self._command += ["--vocabulary", NAMES, "--box-field", "asks", "--device", "cpu", *engines]
        self._environment = {
            **os.environ,
            "FIFTYONE_DATABASE_URI": database_address(),
            "PYTHONPATH": str(ROOT),
        }
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process: subprocess.Popen[str] | None = None

    def going_on(self) -> bool:
        """Starts it where it does not run; False where it came to its end."""
        if self._process is None:
            self._said.seek(0)
            self._said.truncate()
            self._process = subprocess.Popen(
                self._command,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
        return self._process.poll() is None

    def kill(self) -> None:
        """Ends it with all its processes."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def finish(self) -> list[str]:
        """Runs it to its end; returns what went wrong, in words."""
        self.going_on()
        assert self._process is not None
        if self._process.wait() == 0:
            return []
        self._said.seek(0)
        return [f"the same call fails: {self._said.read()[-2000:]}"]


def kill_a_worker(moments: random.Random) -> bool:
    """Ends one of the Ray workers that label, if there are any."""
    labelling = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith(f"ray::{label.__name__}")
    ]
    if labelling:
        moments.choice(labelling).kill()
    return bool(labelling)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=tuple(STARTS), default="local")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--photographs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    moments, address = random.Random(given.seed), None
    if given.engine == "ray":
        address = _cluster()
    dataset = asking_dataset(given.photographs)
    alone = dataset.clone(persistent=True)
    start = time.monotonic()
    if failed := Run(alone, "local", None).finish():
        raise SystemExit(f"undisturbed, {failed[0]}")
    took = time.monotonic() - start
    alone.reload()
    wanted = outcome(alone)
    run, commands, workers, reached = Run(dataset, given.engine, address), 0, 0, []
    for number in itertools.count():
        if commands + workers == given.kills or not run.going_on():
            break
        # Anywhere in what is left, which the kills that are left share out among them.
        labelled, left = _labelled(dataset), given.kills - commands - workers
        end = labelled + moments.uniform(0, (given.photographs - labelled) / left)
        patience = math.inf if number % 3 else moments.uniform(0, STARTS[given.engine])
        until = time.monotonic() + patience
        while run.going_on() and _labelled(dataset) < end and time.monotonic() < until:
            time.sleep(0.02)
        if number % 2 and given.engine == "ray":
            workers += kill_a_worker(moments)
        elif run.going_on():
            run.kill()
            commands += 1
        reached.append(_labelled(dataset))
    said = run.finish()
    dataset.reload()
    said = said or faults(dataset, wanted, None)
    print(
        f"{given.engine}, {given.photographs} photographs ({took:.0f} s undisturbed): "
        f"{commands} kills of the command and {workers} of workers, "
        f"with {', '.join(map(str, reached))} photographs labelled: {len(said)} faults",
        *said,
        sep="\n",
        flush=True,
    )
    alone.delete()
    dataset.delete()
    return 1 if said else 0


def _cluster() -> str:
    """Starts a Ray cluster of two workers that outlives each command; returns its address."""
    import ray

    started: Any = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    return str(started.address_info["address"])


def _labelled(dataset: fo.Dataset) -> int:
    return int(dataset._sample_collection.count_documents({"ovsam.detections": {"$exists": True}}))


if __name__ == "__main__":
    sys.exit(main())
