"""What the labelled dataset of these tests was made with, and the same reviewed."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.curation import clean_export
from ovsam_plugin.curation.decisions import accept, reject, rename

SMALL: dict[str, Any] = {"device": "cpu", "workers": 0, "progress": False}
NAMES = "cat, cup, person, spoon"
FIELD = "ovsam"


def export_clean(*args: Any, **options: Any) -> clean_export.CleanExport:
    """With half-reviewed images, which most tests of exports have."""
    return clean_export.export_clean(*args, **{"only_finished": False, **options})


@pytest.fixture
def reviewed(labelled: fo.Dataset, ids: dict[str, str]) -> fo.Dataset:
    """Cat accepted, dog renamed to fox, first cup open; second cup accepted, spoon rejected."""
    accept(labelled, FIELD, [ids["cat"], ids["cup2"]], by="ada")
    rename(labelled, FIELD, ids["dog"], "Arctic fox", by="ada")
    reject(labelled, FIELD, ids["spoon"], by="ada")
    return labelled
