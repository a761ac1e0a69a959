"""Processes that load photographs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ovsam_plugin import label_dataset, stages
from ovsam_plugin.dataset import (
    labeling_job,
    loading,
)

from .conftest import SMALL


def in_main_thread(work: Callable[[], Any]) -> Any:
    return work()


def on_a_thread(work: Callable[[], Any]) -> Any:
    """As in the App's server, where torch is not told of processes that end."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize("call", [in_main_thread, on_a_thread])
@pytest.mark.parametrize("times", [1, 9])
def test_a_process_that_loads_and_dies_is_followed_by_another_within_bounds(
    boxed: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    call: Callable[[Callable[[], Any]], Any],
) -> None:
    read = loading.read_picture

    def dying(path: str, *rest: Any) -> Any:
        if path == last and len(list(tmp_path.glob("died*"))) < times:
            (tmp_path / f"died{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path, *rest)

    last = boxed.last().filepath
    monkeypatch.setattr(stages, "_SOURCE_PATIENCE", 0.5)
    monkeypatch.setattr(labeling_job, "_DEATHS", 1)
    monkeypatch.setattr(loading, "read_picture", dying)
    settings = {**SMALL, "workers": 1}
    if times == 1:
        assert call(lambda: label_dataset(boxed, **settings)).instances == len(boxed)
    else:
        with pytest.raises(RuntimeError, match="died 2 times.*workers=1"):
            call(lambda: label_dataset(boxed, **settings))
        monkeypatch.setattr(loading, "read_picture", read)
        call(lambda: label_dataset(boxed, **settings))
    labels = boxed.values("ovsam.detections")
    assert [len(found) for found in labels] == [1] * len(boxed)
