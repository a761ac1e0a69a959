"""What a loader makes of one sample."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset import loading
from ovsam_plugin.dataset.loading import SampleLoader
from ovsam_plugin.presets import get_preset

from .conftest import SMALL


def test_a_file_that_hangs_costs_itself(
    boxed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


NETWORK = get_preset("ovsam-lite").network
BOX = fo.Detection(label="thing", bounding_box=[0.2, 0.2, 0.6, 0.6])


def asks(*labels: fo.Detection) -> dict[str, str | fo.Detections]:
    return {"box_prompt_field": fo.Detections(detections=list(labels))}


def test_a_sample_becomes_a_frame_and_its_prompts_in_pixels(photographs: dict[str, Path]) -> None:
    load = SampleLoader(NETWORK, {"box_prompt_field": "asks"})
    assert load.required_keys == ["id", "filepath", "box_prompt_field"]
    found = load({"id": "a", "filepath": str(photographs["chelsea.png"]), **asks(BOX)})
    assert (found.id, found.error, found.pixels) == ("a", None, None)
    assert found.frame is not None
    assert found.frame.original_size == (300, 451)
    assert found.asked is not None
    (prompt,) = found.asked.prompts
    assert np.allclose(prompt.xyxy, [90.2, 60, 360.8, 240], atol=0.01)  # type: ignore[attr-defined]


def test_pixels_of_the_photograph_are_kept_for_a_namer(photographs: dict[str, Path]) -> None:
    values = {"id": "a", "filepath": str(photographs["coffee.png"])}
    found = SampleLoader(NETWORK, {}, whole=True)(values)
    assert found.asked is None
    assert found.pixels is not None
    assert found.pixels.shape == (400, 600, 3)


@pytest.mark.parametrize(
    ("content", "told"), [(b"no picture", "not an image"), (None, "there is no file|No such file")]
)
def test_what_cannot_be_read_is_told_and_never_raised(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    found = SampleLoader(NETWORK, {})({"id": "a", "filepath": str(path)})
    assert found.frame is None
    assert found.error is not None
    assert re.search(told, found.error)


def test_a_small_box_on_a_large_photograph_is_looked_at_in_a_tile(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (3000, 2000)).save(path)
    small = fo.Detection(label="thing", bounding_box=[0.1, 0.1, 0.01, 0.01])
    load = SampleLoader(NETWORK, {"box_prompt_field": "asks"})
    values = {"id": "a", "filepath": str(path)}
    one, none = (load({**values, **asks(box)}) for box in (small, BOX))
    assert one.frame is not None
    assert none.frame is not None
    assert len(one.frame.tiles) == 1
    assert len(none.frame.tiles) == 0
    everything = SampleLoader(NETWORK, {}, tiles=2)(values)
    assert everything.frame is not None
    assert len(everything.frame.tiles) == 4
