"""What the labelled dataset of these tests was made with."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {"device": "cpu", "workers": 0, "progress": False}
NAMES = "cat, cup, person, spoon"
