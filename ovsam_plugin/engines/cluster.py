"""A Ray cluster: a task for some of the samples, given out, retried and scaled by Ray.

A Ray worker process keeps the network from one task to the next (`labeler_cache`), so a pool of
workers has a network each. Tasks wait in Ray's queue, which its autoscaler reads. A worker that
dies costs what it had in hand: Ray gives the task to another, which skips what was written.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ovsam_plugin.addresses import shown_address
from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.dataset.share import Share
from ovsam_plugin.engines.database_address import database_address
from ovsam_plugin.engines.ray_task import begin, label

logger = logging.getLogger(__name__)

# How often Ray gives a task to another worker after its own has died.
_RETRIES = 3
# Samples a task at most, with and without a GPU: progress is told as tasks end, every half a minute
# or so. And tasks a worker for what is not given out yet.
_MOST_ON_GPU, _MOST_ON_CPU, _TASKS_A_WORKER = 512, 32, 4
_HERE = ("127.0.0.1", "localhost", "[::1]")
# Environment variables that workers are to have as this process has them.
_TOLD = (
    "OVSAM_CACHE_DIR",
    "OVSAM_ACCEPT_LICENCE",
    "OVSAM_MIRROR",
    "FIFTYONE_DO_NOT_TRACK",
    "FIFTYONE_DATABASE_NAME",
    "FIFTYONE_DATABASE_VALIDATION",
    "FIFTYONE_MODEL_ZOO_DIR",
)


class RayEngine:
    """Workers on a Ray cluster.

    Args:
        address: of the cluster, "auto" or "ray://HOST:10001"; one is started on this machine when
            None, unless this process is connected already.
        gpus: of a GPU that a worker takes, such as 0.5 for two on one; 1 where the cluster has
            GPUs and none else when None.

    Raises:
        ValueError: Ray is not installed, or `gpus` is negative.
    """

    def __init__(self, address: str | None = None, gpus: float | None = None) -> None:
        _ray()
        if gpus is not None and gpus < 0:
            raise ValueError(f"worker_gpus is 0 or more, such as 0.5; got {gpus}")
        self.address = address
        self.gpus = gpus

    @contextmanager
    def started(self, samples: int) -> Iterator[None]:
        """See `LabelingEngine.started`."""
        ray = _ray()
        connected = ray.is_initialized()
        if not connected:
            self._connect(ray)
        try:
            first = self._task(ray, begin)
            for _ in range(min(self._workers(ray), samples)):
                first.remote()
            yield
        finally:
            if not connected:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        database = database_address()
        if self.address is not None and any(f"//{host}" in database for host in _HERE):
            logger.warning(
                "the database is at %s, which other machines cannot reach: set "
                "FIFTYONE_DATABASE_URI to an address that they can reach",
                shown_address(database),
            )
        try:
            ray.init(address=self.address, include_dashboard=None if self.address else False)
        except ConnectionError as error:
            raise ValueError(f"no Ray cluster answers at {self.address!r}: {error}") from error

    def _gpus(self, ray: Any) -> float:
        """Of a GPU that a worker takes."""
        if self.gpus is not None:
            return self.gpus
        return 1.0 if ray.cluster_resources().get("GPU") else 0.0

    def _workers(self, ray: Any) -> int:
        """How many there may be at once, as the cluster is now."""
        resources, gpus = ray.cluster_resources(), self._gpus(ray)
        return int(resources.get("GPU", 0) / gpus if gpus else resources.get("CPU", 1))

    def _task(self, ray: Any, function: Callable[..., Any]) -> Any:
        environment = {name: os.environ[name] for name in _TOLD if name in os.environ}
        environment["FIFTYONE_DATABASE_URI"] = database_address()
        return ray.remote(function).options(
            num_cpus=1,
            num_gpus=self._gpus(ray),
            max_retries=_RETRIES,
            runtime_env={"env_vars": environment},
        )

    def run(self, share: Share, ids: Sequence[str], count: Callable[[int], None]) -> LabelTally:
        """See `LabelingEngine.run`."""
        ray = _ray()
        task, told = self._task(ray, label), ray.put(share)
        most = _MOST_ON_GPU if self._gpus(ray) else _MOST_ON_CPU
        waiting = {
            task.remote([told], part): len(part)
            for part in tasks_of(ids, self._workers(ray), share.batch_size or 1, most)
        }
        whole = LabelTally()
        while waiting:
            for done in ray.wait(list(waiting), num_returns=1)[0]:
                count(waiting.pop(done))
                try:
                    whole.add(ray.get(done))
                except ray.exceptions.RayTaskError as error:
                    for other in waiting:
                        ray.cancel(other)
                    raise RuntimeError(
                        f"a worker cannot label: {error.cause}. What was labelled is kept"
                    ) from error
                except ray.exceptions.RayError as error:
                    logger.warning("some samples are left after %d tries: %s", _RETRIES, error)
        return whole


def tasks_of(ids: Sequence[str], workers: int, least: int, most: int) -> Iterator[list[str]]:
    """Samples in parts that become smaller, so that workers end at about the same time.

    Args:
        ids: of the samples.
        workers: how many there are, as far as is known.
        least: samples that a part has, if there are so many left.
        most: samples that a part has, unless `least` is more.
    """
    start = 0
    while start < len(ids):
        share = (len(ids) - start) // max(1, workers * _TASKS_A_WORKER)
        size = max(least, min(most, share))
        yield list(ids[start : start + size])
        start += size


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ValueError("engine 'ray' needs Ray: pip install 'fiftyone-ovsam[ray]'") from error
    return ray
