"""What prompts take of memory, each count in a process of its own."""

from __future__ import annotations

from benchmarks.memory import peak
from benchmarks.speed import peak_memory


def test_a_thousand_boxes_take_little_more_memory_than_ten() -> None:
    few, many = (peak_memory("ovsam-lite", count) for count in (10, 1000))
    assert few > 0.1
    assert many - few < 2.0


def test_a_hundred_mask_prompts_on_twelve_megapixels_take_little_more_memory_than_ten() -> None:
    few, many = (peak("mask prompts", count) for count in (10, 100))
    assert many - few < 0.1
