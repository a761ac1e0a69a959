"""The operator that makes a class of selected instances, through FiftyOne's own executor."""

from __future__ import annotations

import fiftyone as fo
import fiftyone.operators as foo

from .asking import questions

URI = "@ovsam/curation/make_class"


def test_selected_labels_become_a_class(named: fo.Dataset) -> None:
    first = named.first()["ovsam"].detections[0].id
    selected = [{"label_id": first, "field": "ovsam", "sample_id": named.first().id}]
    shown = questions("make_class", named, selected_labels=selected)
    assert "1 example selected" in str(shown["examples"])
    params = {"name": "our valve", "words": False}
    done = foo.execute_operator(
        URI, {"dataset": named, "params": params, "selected_labels": selected}
    )
    assert done.error is None, done.error
    assert done.result["field"] == "ovsam_our_valve"
    assert done.result["instances"] == 9
    labels = dict(
        zip(
            named.values("ovsam_our_valve.detections.id", unwind=True),
            named.values("ovsam_our_valve.detections.label", unwind=True),
        )
    )
    assert labels[first] == "our valve"


def test_selected_patches_become_a_class(named: fo.Dataset) -> None:
    patches = named.to_patches("ovsam")
    chosen = patches.values("id")[:2]
    params = {"name": "gear", "words": False, "into": "gears"}
    done = foo.execute_operator(
        URI, {"dataset": named, "view": patches, "selected": chosen, "params": params}
    )
    assert done.error is None, done.error
    vocabulary = named.load_run_results("gears").classes
    assert vocabulary[-1][0] == "gear"
    assert list(vocabulary[-1][5]) == chosen


def test_nothing_selected_is_said_in_the_form(named: fo.Dataset) -> None:
    shown = questions("make_class", named)
    assert "Select examples of it first" in str(shown["selection_problem"])
