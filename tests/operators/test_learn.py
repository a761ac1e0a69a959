"""The operator that applies decisions, through FiftyOne's own executor."""

from __future__ import annotations

from collections.abc import Iterator

import fiftyone as fo
import pytest
from fiftyone.operators.executor import ExecutionError

from tests.curation.decided_by_hand import THINGS, decide, make

from .asking import execute, questions


@pytest.fixture
def made() -> Iterator[fo.Dataset]:
    made = make()
    yield made
    made.delete()


def test_the_form_says_what_is_needed_then_what_it_is_worth_then_writes(made: fo.Dataset) -> None:
    assert "told" not in questions("learn", made, params={"field": "ovsam"})
    told = questions("learn", made, params={"field": "ovsam", "estimate": True})["told"]
    assert told["invalid"]
    assert "20 are needed" in told["error_message"]
    decide(made, 6)
    told = questions("learn", made, params={"field": "ovsam", "estimate": True})["told"]
    assert not told["invalid"]
    assert "18 were right before and 24 are now" in told["view"]["label"]
    shown = questions("learn", made, params={"field": "ovsam", "preview": True})["told"]
    assert shown["view"]["label"] == told["view"]["label"]
    only = execute("learn", made, field="ovsam", estimate=True).result
    assert "24 are now" in only["told"]
    assert only.keys() == {"told"}
    made.reload()
    assert not made.has_field("ovsam_learned")
    result = execute("learn", made, field="ovsam").result
    assert (result["field"], result["changed"], result["decided"]) == ("ovsam_learned", 6, 24)
    with pytest.raises(
        ExecutionError, match='use another field, or tick "Replace existing labels"'
    ):
        execute("learn", made, field="ovsam")
    made.reload()
    assert made.last()["ovsam_learned"].detections[2].label == THINGS[2][0]
