"""What a preview shows is what the run then gives, and nothing is written for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin import label_dataset
from ovsam_plugin.dataset.contact_sheet import SHOWN
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.model_building import build_model
from ovsam_plugin.dataset.preview import Preview, make_preview, preview
from ovsam_plugin.dataset.tried_photographs import tried_photographs
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.vocabulary.sources import load_vocabulary

NAMES = "cat, cup, person, spoon"
CLASSES = load_vocabulary(NAMES)


def tried(dataset: fo.Dataset, prompts: dict[str, str] | None = None, **settings: Any) -> Preview:
    key = repr((dataset.name, prompts, settings))

    def build() -> OvsamModel:
        return build_model(**{"vocabulary": NAMES, "device": "cpu", **settings})

    photographs = tried_photographs(dataset, prompts or {})
    return make_preview(photographs, build, prompts or {}, key=key, look_key=repr((key, "look")))


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"min_objectness": 0.05},
        {"min_objectness": 0.6},
        {"min_confidence": 0.5},
        {"calibration": Calibration(thresholds={"cat": 0.95}, vocabulary=CLASSES.hash)},
    ],
)
def test_a_preview_counts_what_the_run_writes(dataset: fo.Dataset, limits: dict[str, Any]) -> None:
    shown = tried(dataset).at(**limits)
    assert set(dataset.get_field_schema()) == {
        "id", "filepath", "tags", "metadata", "created_at", "last_modified_at"
    }  # fmt: skip
    label_dataset(dataset, vocabulary=NAMES, device="cpu", workers=0, progress=False, **limits)
    written = dict(zip(dataset.values("filepath"), dataset.values("ovsam.detections.label")))
    for tile, count in shown:
        (labels,) = (n for path, n in written.items() if path.endswith(tile.title))
        assert count == len(labels or [])
        named = sorted(i.name.rpartition(" ")[0] for i in tile.instances)
        assert len(tile.instances) == min(count, SHOWN)
        assert named == sorted(labels or []) or count > SHOWN


def test_a_class_of_its_own_limit_keeps_fewer_of_it_alone(dataset: fo.Dataset) -> None:
    made = tried(dataset)
    assert set(made.classes(0.05)) <= set(CLASSES.names)
    first = made.classes(0.05)[0]
    least = Calibration(thresholds={first: 1.0}, vocabulary=CLASSES.hash)

    def named(*limits: Any) -> list[str]:
        drawn = [i.name.rpartition(" ")[0] for t, _ in made.at(*limits) for i in t.instances]
        return sorted(drawn)

    assert named(0.05, None, least) == [name for name in named(0.05) if name != first]
    with pytest.raises(ValueError, match="fitted for another vocabulary"):
        made.at(calibration=Calibration(thresholds={first: 1.0}, vocabulary="another"))


def test_masks_lie_where_the_picture_shows_them(dataset: fo.Dataset) -> None:
    for tile, _ in tried(dataset, all_candidates=True).at():
        assert tile.image is not None
        height, width = tile.image.shape[:2]
        assert max(height, width) <= 560
        for instance in tile.instances:
            x1, y1, x2, y2 = instance.crop.box
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height
            assert instance.crop.area


def test_photographs_are_chosen_once_and_for_all_and_kept(dataset: fo.Dataset) -> None:
    first = tried(dataset)
    assert tried(dataset) is first
    assert preview(repr((dataset.name, None, {}))) is first
    assert preview("another") is None
    assert first.seconds > 0
    assert len(first.named) == 3


def test_only_photographs_that_ask_are_tried(dataset: fo.Dataset) -> None:
    sample = dataset.last()
    box = fo.Detection(bounding_box=[0.05, 0.05, 0.7, 0.9])
    sample["asks"] = fo.Detections(detections=[box])
    sample.save()
    ((tile, count),) = tried(dataset, {"box_prompt_field": "asks"}).at()
    assert (tile.title, count) == ("astronaut.png", 1)
    ((_, none),) = tried(dataset, {"box_prompt_field": "asks"}).at(min_confidence=1.0)
    assert none == 0


def test_a_photograph_that_cannot_be_read_says_why(dataset: fo.Dataset) -> None:
    Path(dataset.first().filepath).write_bytes(b"no picture")
    shown = {tile.title: tile for tile, _ in tried(dataset).at()}
    assert shown["chelsea.png"].image is None
    assert "chelsea.png" in shown["chelsea.png"].note
    assert shown["coffee.png"].image is not None


def test_other_words_than_the_run_s_leave_everything_out(dataset: fo.Dataset) -> None:
    counts = [count for _, count in tried(dataset, find="a fire engine").at(min_confidence=0.99)]
    assert counts == [0, 0, 0]
