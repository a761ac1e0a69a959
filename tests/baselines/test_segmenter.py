"""Masks that are made once for all methods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ovsam_plugin.baselines.segmenter import Shared

from .conftest import CAT


def test_shared_work_is_done_anew_for_another_image_or_prompt() -> None:
    calls = []
    shared = Shared(lambda image, prompts: calls.append((image.sum(), len(prompts))))
    one, other = np.ones((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    for image, prompts in ((one, [CAT]), (one, [replace(CAT)]), (other, [CAT]), (other, [])):
        shared(image, prompts)
    assert calls == [(12, 1), (0, 1), (0, 0)]
