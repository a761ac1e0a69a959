"""The operator `stop_labeling`, through FiftyOne's own executor."""

from __future__ import annotations

import fiftyone as fo

from ovsam_plugin.dataset.workers import Worker
from tests.curation.run_by_hand import add_run

from .asking import asked_of_app, execute


def test_who_labels_the_field_is_asked_and_the_person_is_told(dataset: fo.Dataset) -> None:
    add_run(dataset)
    with Worker(dataset, "ovsam") as worker:
        worker.begin()
        done = execute("stop_labeling", dataset, field="ovsam")
        assert done.result == {"asked": 1}
        assert "after the current photograph" in asked_of_app(done)["notify"]["message"]
        assert worker.should_stop()


def test_where_nobody_labels_the_person_is_told_so(dataset: fo.Dataset) -> None:
    add_run(dataset)
    with Worker(dataset, "another") as worker:
        worker.begin()
        done = execute("stop_labeling", dataset)
        assert done.result == {"asked": 0}
        assert "Nothing is being labelled there now" in asked_of_app(done)["notify"]["message"]
        assert not worker.should_stop()
