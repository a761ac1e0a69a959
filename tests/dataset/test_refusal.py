"""Why a prompt has no answer, as data and in words."""

from __future__ import annotations

import pytest

from ovsam_plugin.dataset.refusal import Refusal


@pytest.mark.parametrize("reason", ["the mask is empty", "ValueError: 3: not 2: of them", ""])
def test_what_is_written_is_read_again_whatever_the_reason_holds(reason: str) -> None:
    refusal = Refusal("65f0c0ffee", reason)
    assert str(refusal).startswith("65f0c0ffee: ")
    assert Refusal.read(str(refusal)) == refusal
