"""What a loader makes of one sample."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import (
    loading,
)

from .conftest import SMALL


def test_a_file_that_hangs_costs_itself(
    boxed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fiftyone as fo

    read = loading.read_picture
    pipe = tmp_path / "never.png"
    os.mkfifo(pipe)

    def hanging(path: str, *rest: Any) -> Any:
        if path == str(pipe):
            pipe.read_bytes()  # of a pipe that nobody writes to
        return read(path, *rest)

    monkeypatch.setattr(loading, "read_picture", hanging)
    monkeypatch.setattr(
        loading.SampleLoader.__init__,
        "__kwdefaults__",
        {
            **loading.SampleLoader.__init__.__kwdefaults__,
            "patience": 3.0,
        },
    )
    box = fo.Detection(label="thing", bounding_box=[0.2, 0.2, 0.5, 0.5])
    boxed.add_sample(fo.Sample(filepath=str(pipe), asks=fo.Detections(detections=[box])))
    summary = label_dataset(boxed, **SMALL)
    assert (summary.labelled, summary.failed, summary.instances) == (4, 1, 3)
    assert "not done after 3 seconds" in summary.reasons[0]
