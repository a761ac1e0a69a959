"""What decides a training of `ovsam-lite`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from ovsam_plugin.training.checkpoint import recorded
from ovsam_plugin.training.lite_settings import LiteSettings, part_of


def test_photographs_are_for_one_of_three_things_for_ever() -> None:
    assert [part_of(f"{i}.png") for i in range(8)] == [
        "judge", "train", "choose", "train", "train", "train", "judge", "choose"
    ]  # fmt: skip
    parts = Counter(part_of(f"COCO_val2014_{i:012d}.jpg") for i in range(10_000))
    assert parts["judge"] / 10_000 == pytest.approx(0.15, abs=0.02)
    assert parts["choose"] / 10_000 == pytest.approx(0.12, abs=0.02)
    assert parts["train"] / 10_000 == pytest.approx(0.73, abs=0.02)
    assert sum(parts.values()) == 10_000


def test_settings_are_kept_without_the_folders_of_the_machine() -> None:
    sources = ((Path("/home/ada/photos"), Path("/home/ada/gt.json")),)
    kept = recorded(LiteSettings(complete=sources, start=Path("/tmp/a.safetensors"), share=0.5))
    assert json.loads(json.dumps(kept)) == kept
    assert kept["complete"] == [["photos", "gt.json"]]
    assert kept["start"] == "a.safetensors"
    assert (kept["share"], kept["crop"], kept["tasks"]) == (0.5, 448, ["masks", "names"])
