"""The operator `decide`, through FiftyOne's own executor."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionError

from ovsam_plugin.curation import views
from ovsam_plugin.curation.decisions import Progress, progress
from ovsam_plugin.curation.label_errors import label_errors
from tests.curation.run_by_hand import add_run, add_truth, evaluate

from .asking import questions

URI = "@ovsam/curation/decide"
FIELD = "ovsam"


def run(dataset: fo.Dataset, label_ids: list[str], **params: Any) -> Any:
    selected = [{"label_id": i, "sample_id": "", "field": FIELD} for i in label_ids]
    return foo.execute_operator(
        URI, {"dataset": dataset, "selected_labels": selected, "params": params}
    )


def form(dataset: fo.Dataset, label_ids: list[str], **params: Any) -> dict[str, Any]:
    selected = [{"label_id": i, "sample_id": "", "field": FIELD} for i in label_ids]
    return questions("decide", dataset, params=params, selected_labels=selected)


def test_selected_labels_are_decided_together(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    chosen = [ids["cat"], ids["cup2"]]
    result = run(labelled, chosen, decision="rename", name="thing")
    assert (result.error, result.result) == (None, {"changed": 2, "told": "2 renamed"})
    requests = {r["operator_uri"] for r in result.executor.to_json()["requests"]}
    assert {"reload_dataset", "clear_selected_labels"} <= requests
    assert progress(labelled, FIELD) == Progress(renamed=2, open=4)
    assert run(labelled, chosen, decision="reopen").result["told"] == "2 undecided again"
    run(labelled, [ids["cat"]], decision="accept")
    run(labelled, [ids["dog"]], decision="reject")
    assert progress(labelled, FIELD) == Progress(accepted=1, rejected=1, open=4)


def test_the_form_counts_what_is_selected_and_offers_names(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    shown = form(labelled, [ids["cat"], ids["dog"]], decision="rename")
    assert "The selected labels: 2 of ovsam" in str(shown["what"])
    assert [c["value"] for c in shown["name"]["view"]["choices"]] == [
        "cat",
        "cup",
        "dog",
        "person",
        "spoon",
    ]
    assert "name" not in form(labelled, [ids["cat"]])


def test_nothing_selected_is_said_in_the_form_and_refused(labelled: fo.Dataset) -> None:
    shown = form(labelled, [])
    assert shown["what"]["error_message"].startswith("select something first: labels")
    with pytest.raises(ExecutionError, match="select something first: labels"):
        run(labelled, [], decision="accept")
    assert progress(labelled, FIELD) == Progress(open=6)


def in_view(view: Any, selected: list[str], **params: Any) -> Any:
    ctx = {"view": view, "selected": selected, "params": params}
    return foo.execute_operator(URI, ctx)


def test_patches_that_are_selected_are_decided_and_leave_the_view(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    view = views.as_patches(views.not_reviewed(labelled, FIELD), FIELD, "confidence")
    done = in_view(view, [ids["cat"], ids["dog"], ids["cup"]], decision="rename", name="pet")
    assert done.result["told"] == "3 renamed"
    assert progress(labelled, FIELD) == Progress(renamed=3, open=3)
    again = fo.DatasetView._build(labelled, view._serialize())
    assert sorted(again.values("id")) == sorted([ids["cup2"], ids["spoon"], ids["person"]])
    told = in_view(again, [], decision="undo", field=FIELD).result["told"]
    assert told == "3 as they were before"
    assert progress(labelled, FIELD) == Progress(open=6)


def test_a_whole_view_is_decided_and_undone_in_one_step(labelled: fo.Dataset) -> None:
    sure = labelled.filter_labels(FIELD, fo.ViewField("confidence") > 0.4)
    assert in_view(sure, [], decision="accept").result["told"] == "4 accepted"
    assert progress(labelled, FIELD) == Progress(accepted=4, open=2)
    # The cup of the second photograph, and its spoon, which another view hides.
    second = labelled.values("id")[1]
    done = in_view(labelled.view(), [second], decision="accept")
    assert done.result["told"] == "1 accepted; 1 already were"
    for left in (Progress(accepted=4, open=2), Progress(open=6)):
        in_view(labelled.view(), [], decision="undo", field=FIELD)
        assert progress(labelled, FIELD) == left
    assert "All 7 instances in the whole dataset" in str(form(labelled, [])["what"])


def test_what_label_errors_finds_gets_the_models_names(dataset: fo.Dataset) -> None:
    add_truth(dataset)
    add_run(dataset)
    evaluate(dataset)
    view = label_errors(dataset, "ovsam_eval", min_score=0)
    before, wrong = dataset.values("truth.detections.label"), view.values("id")
    assert in_view(view, wrong[:1], decision="models_name").result["changed"] == 1
    assert dataset.values("truth.detections.label") != before
    assert label_errors(dataset, "ovsam_eval", min_score=0).values("id") == wrong[1:]
    in_view(view, [], decision="undo", field="truth")
    assert dataset.values("truth.detections.label") == before


def test_it_can_be_called_from_a_notebook(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    operator = foo.get_operator(URI)
    operator(labelled, FIELD, [ids["cat"]], "rename", name="lynx")
    assert "lynx" in labelled.distinct(f"{FIELD}.detections.label")
    with pytest.raises(ExecutionError, match="decision. Reason: .delete. is not a choice"):
        operator(labelled, FIELD, [ids["cat"]], "delete")


def test_labels_of_any_slice_are_decided(two_slices: fo.Dataset) -> None:
    right = two_slices.select_group_slices(["right"])
    chosen = right.values(f"{FIELD}.detections.id", unwind=True)
    assert run(two_slices, chosen, decision="accept").result["changed"] == 2
    assert right.values(f"{FIELD}.detections.review") == [["accepted", "accepted"]]
    assert progress(two_slices, FIELD) == Progress(accepted=2, open=3)


def test_one_s_own_last_decision_is_undone(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    run(labelled, [ids["cat"]], decision="accept", by="Ann")
    run(labelled, [ids["dog"]], decision="accept", by="Ben")
    assert run(labelled, [], decision="undo", field=FIELD, by="Ann").result["changed"] == 1
    assert run(labelled, [], decision="undo", field=FIELD, by="Ann").result["changed"] == 0
    left = labelled.values(f"{FIELD}.detections.reviewed_by", unwind=True)
    assert [by for by in left if by] == ["Ben"]


def test_a_decision_about_two_fields_is_made_in_both_or_neither(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    nameless = fo.Detection(bounding_box=[0, 0, 0.5, 0.5])
    sample = labelled.first()
    sample["other"] = fo.Detections(detections=[nameless])
    sample.save()
    chosen = {FIELD: ids["cat"], "other": nameless.id}
    selected = [{"label_id": i, "sample_id": "", "field": f} for f, i in chosen.items()]
    asked = {"dataset": labelled, "selected_labels": selected, "params": {"decision": "accept"}}
    with pytest.raises(ExecutionError, match="1 of these labels have no name to accept"):
        foo.execute_operator(URI, asked)
    assert progress(labelled, FIELD) == Progress(open=6)
    asked["params"] = {"decision": "reject"}
    assert foo.execute_operator(URI, asked).result["changed"] == 2


def test_the_last_decision_is_undone_in_whatever_field_it_was_made(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    run(labelled, [ids["cat"]], decision="accept", by="Ann")
    add_truth(labelled)
    drawn = labelled.values("truth.detections.id", unwind=True)
    selected = [{"label_id": drawn[0], "sample_id": "", "field": "truth"}]
    params = {"decision": "reject", "by": "Ann"}
    foo.execute_operator(URI, {"dataset": labelled, "selected_labels": selected, "params": params})
    assert form(labelled, [], decision="undo", by="Ann")["field"]["default"] == "truth"
    run(labelled, [], decision="undo", by="Ann")
    assert progress(labelled, "truth").rejected == 0
    assert progress(labelled, FIELD).accepted == 1
    run(labelled, [], decision="undo", by="Ann")
    assert progress(labelled, FIELD) == Progress(open=6)
