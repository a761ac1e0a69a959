"""The operator `score`, through FiftyOne's own executor."""

from __future__ import annotations

import fiftyone as fo
import pytest
from fiftyone.operators.executor import ExecutionError

from .asking import asked_of_app, execute, form


def test_a_run_is_scored(named: fo.Dataset) -> None:
    done = execute("score", named, field="ovsam", share=0.5)
    assert (done.result["instances"], done.result["unknown"]) == (9, 4)
    doubts = named.values("ovsam.detections.doubt", unwind=True)
    assert all(0 <= doubt <= 1 for doubt in doubts)
    assert "reload_dataset" in asked_of_app(done)


def test_a_share_above_one_scores_nothing(named: fo.Dataset) -> None:
    with pytest.raises(ExecutionError, match="share"):
        execute("score", named, field="ovsam", share=1.5)
    assert not any(named.values("ovsam.detections.outlier", unwind=True))


def test_without_a_run_the_form_says_so(dataset: fo.Dataset) -> None:
    shown = form("score", dataset).to_json()["type"]["properties"]
    assert "No labelling run yet" in shown["none"]["view"]["label"]
