"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from ovsam_plugin.counting import counted


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 labels"), (1, "1 label"), (2, "2 labels"), (1200, "1,200 labels")]
)
def test_only_one_is_singular(count: int, told: str) -> None:
    assert counted(count, "label") == told
