"""What `setup_workspace` makes, and that it is all that goes again."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.curation.attributes import declare
from ovsam_plugin.curation.workspace import (
    WORKSPACE,
    WorkspaceReport,
    remove_workspace,
    setup_workspace,
)
from tests.curation.run_by_hand import add_run, add_truth, snapshot

VIEWS = ("not reviewed", "doubtful", "rare here", "rare in LVIS", "novel", "unknown")


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    add_truth(dataset)
    add_run(dataset)
    return dataset


def groups(dataset: fo.Dataset) -> dict[str, list[str]]:
    return {g.name: list(g.paths) for g in dataset.app_config.sidebar_groups or []}


def arrange(dataset: fo.Dataset) -> None:
    """What a person may have set in the App before."""
    mine = [name for name in ("truth", "ovsam", "id") if dataset.get_field(name)]
    dataset.app_config.sidebar_groups = [
        fo.SidebarGroupDocument(name="mine", paths=mine, expanded=False),
        fo.SidebarGroupDocument(name="metadata", paths=["metadata.width"]),
    ]
    entry = {"path": "truth", "fieldColor": "#ff0000"}
    dataset.app_config.color_scheme = fo.ColorScheme(color_by="field", fields=[entry], opacity=0.4)
    dataset.app_config.active_fields = fo.ActiveFields(paths=["truth"])
    dataset.create_index("truth.detections.label")
    dataset.save_view("mine", dataset.limit(1))
    dataset.save_workspace("mine", fo.Space(children=[fo.Panel(type="Samples")]))
    dataset.save()


def test_everything_is_made_and_said(run: fo.Dataset) -> None:
    report = setup_workspace(run, "ovsam")
    assert report == WorkspaceReport(
        field="ovsam",
        views=tuple(f"ovsam: {title}" for title in VIEWS),
        workspace=WORKSPACE,
        indexes=tuple(f"ovsam.detections.{n}" for n in ("label", "confidence", "review")),
        summary_fields=("ovsam_labels", "ovsam_confidence"),
        sidebar_group="ovsam run",
        colour_by="label",
    )
    run.reload()
    assert set(run.list_saved_views()) == set(report.views)
    assert run.load_saved_view("ovsam: unknown").values("ovsam.detections.label") == [
        ["cat"], ["cup"], ["otter"],
    ]  # fmt: skip
    assert set(report.indexes) <= set(run.list_indexes())
    counts = [{c.label: c.count for c in row} for row in run.values("ovsam_labels")]
    assert counts == [{"cat": 2}, {"cup": 1, "cat": 1}, {"otter": 1}]
    assert run.values("ovsam_confidence.max") == [0.9, 0.8, 0.2]
    assert groups(run)["ovsam run"] == ["ovsam", "ovsam_labels", "ovsam_confidence", "ovsam_error"]
    assert list(groups(run)) == ["tags", "metadata", "labels", "ovsam run", "primitives", "other"]
    assert "ovsam" not in groups(run)["labels"]
    assert "truth" in groups(run)["labels"]
    assert run.app_config.color_scheme.color_by == "value"
    descriptions = [run.get_field(name).description for name in report.summary_fields]
    assert all("of the run ovsam" in text for text in descriptions)
    assert all(run.get_field(name).read_only for name in report.summary_fields)


def test_the_workspace_shows_samples_beside_the_review_panel(run: fo.Dataset) -> None:
    setup_workspace(run, "ovsam")
    space = run.load_workspace(WORKSPACE)
    panels = [[panel.type for panel in part.children] for part in space.children]
    assert panels == [["Samples"], ["review", "Histograms"]]


def test_removing_the_workspace_leaves_the_dataset_as_it_was(run: fo.Dataset) -> None:
    declare(run, "ovsam")
    before = snapshot(run)
    setup_workspace(run, "ovsam", colour_by="review")
    assert snapshot(run) != before
    assert remove_workspace(run, "ovsam")
    assert snapshot(run) == before
    assert not remove_workspace(run, "ovsam")


def test_what_a_person_has_arranged_is_kept_and_comes_back(run: fo.Dataset) -> None:
    arrange(run)
    before = snapshot(run)
    setup_workspace(run, "ovsam", colour_by="review")
    made = groups(run)
    assert made["mine"] == ["truth", "id"]
    assert list(made) == ["mine", "metadata", "ovsam run"]
    scheme = run.app_config.color_scheme
    assert (scheme.color_by, scheme.opacity) == ("field", 0.4)
    assert scheme.fields[0] == {"path": "truth", "fieldColor": "#ff0000"}
    assert scheme.fields[1]["colorByAttribute"] == "review"
    assert {"mine", "ovsam: novel"} <= set(run.list_saved_views())
    remove_workspace(run, "ovsam")
    assert snapshot(run) == before


def test_running_it_twice_makes_nothing_twice(run: fo.Dataset) -> None:
    arrange(run)
    before = snapshot(run)
    first = setup_workspace(run, "ovsam")
    again = snapshot(run)
    assert setup_workspace(run, "ovsam") == first
    after = snapshot(run)
    assert after["indexes"] == again["indexes"]
    assert len(after["view documents"]) == len(again["view documents"])
    assert groups(run)["ovsam run"] == ["ovsam", "ovsam_labels", "ovsam_confidence", "ovsam_error"]
    assert len(run.app_config.color_scheme.fields) == 2
    remove_workspace(run, "ovsam")
    assert snapshot(run) == before


def test_a_second_call_counts_anew_and_adds_what_scores_allow(dataset: fo.Dataset) -> None:
    add_run(dataset, scored=False)
    report = setup_workspace(dataset, "ovsam")
    assert "ovsam: unknown" not in report.views
    assert any("run score_run(dataset, 'ovsam') first" in reason for reason in report.left_out)
    dataset.set_values("ovsam.detections.unknown", [[0.9, 0.1], [0.1, 0.1], [0.1, None]])
    dataset.delete_samples([dataset.last().id])
    sample = dataset.last()
    sample["ovsam"] = None
    sample.save()
    report = setup_workspace(dataset, "ovsam")
    assert "ovsam: unknown" in report.views
    assert dataset.values("ovsam_labels.label") == [["cat"], None]
    assert dataset.values("ovsam_confidence.min") == [0.3, None]


@pytest.mark.parametrize("order", [("ovsam", "second"), ("second", "ovsam")])
def test_two_runs_share_what_is_one_and_the_last_takes_it_away(
    run: fo.Dataset, order: tuple[str, str]
) -> None:
    add_run(run, "second")
    before = snapshot(run)
    for field in ("ovsam", "second"):
        report = setup_workspace(run, field)
        assert report.workspace == WORKSPACE
        assert not report.left_out
    assert len(run.list_saved_views()) == 2 * len(VIEWS)
    assert {"ovsam run", "second run"} <= set(groups(run))
    remove_workspace(run, order[0])
    assert run.has_workspace(WORKSPACE)
    assert run.app_config.color_scheme.color_by == "value"
    assert [entry["path"] for entry in run.app_config.color_scheme.fields] == [order[1]]
    remove_workspace(run, order[1])
    assert snapshot(run) == before


def test_what_has_the_same_name_already_is_not_touched(run: fo.Dataset) -> None:
    run.add_sample_field("ovsam_labels", fo.StringField)
    run.create_index("ovsam.detections.label")
    run.save_view("Ovsam - Novel", run.limit(1))
    run.save_workspace(WORKSPACE, fo.Space(children=[fo.Panel(type="Samples")]))
    run.app_config.color_scheme = fo.ColorScheme(fields=[{"path": "ovsam", "fieldColor": "#fff"}])
    run.save()
    before = snapshot(run)
    report = setup_workspace(run, "ovsam")
    assert [reason.partition(":")[0] for reason in report.left_out] == [
        "summary field 'ovsam_labels'", "colours", "view 'ovsam", "workspace 'OVSAM curation'",
    ]  # fmt: skip
    assert (report.workspace, report.colour_by) == (None, None)
    assert report.summary_fields == ("ovsam_confidence",)
    assert run.load_saved_view("Ovsam - Novel") == run.limit(1)
    remove_workspace(run, "ovsam")
    assert snapshot(run) == before


def test_views_that_a_person_has_renamed_go_too(run: fo.Dataset) -> None:
    setup_workspace(run, "ovsam")
    run.update_saved_view_info("ovsam: novel", {"name": "my favourites"})
    remove_workspace(run, "ovsam")
    assert run.list_saved_views() == []


def test_a_clone_has_a_workspace_of_its_own(run: fo.Dataset) -> None:
    plain = run.clone()
    expected = snapshot(plain)
    setup_workspace(run, "ovsam")
    kept = snapshot(run)
    clone = run.clone()
    assert remove_workspace(clone, "ovsam")
    left = snapshot(clone)
    assert {k: v for k, v in left.items() if k.startswith("app_config")} == {
        k: v for k, v in expected.items() if k.startswith("app_config")
    }
    assert left["indexes"] == expected["indexes"]
    assert (left["view documents"], left["workspace documents"]) == ([], [])
    assert clone.list_runs() == ["ovsam"]
    # The clone's own run has results of its own among all files of the database.
    assert snapshot(run) == {**kept, "files": kept["files"] + 1}
    for made in (plain, clone):
        made.delete()


def test_a_view_stands_for_its_dataset(run: fo.Dataset) -> None:
    assert setup_workspace(run.limit(1), "ovsam").summary_fields
    assert run.values("ovsam_confidence.max") == [0.9, 0.8, 0.2]


def test_a_renamed_field_is_refused_with_the_way_back(run: fo.Dataset) -> None:
    run.rename_sample_field("ovsam", "other")
    back = r"dataset\.rename_sample_field\('other', 'ovsam'\)"
    with pytest.raises(ValueError, match=f"no labelling run is recorded for field 'other'.*{back}"):
        setup_workspace(run, "other")
    with pytest.raises(ValueError, match=f"seem to be in 'other'.*{back}"):
        setup_workspace(run, "ovsam")
    run.rename_sample_field("other", "ovsam")
    assert setup_workspace(run, "ovsam").views


@pytest.mark.parametrize(
    ("field", "options", "message"),
    [
        ("truth", {}, "no labelling run is recorded for field 'truth': there is 'ovsam'"),
        ("ovsm", {}, "there is no field 'ovsm': there is 'ovsam'"),
        (
            "ovsam",
            {"colour_by": "size"},
            "cannot be coloured by 'size': choose one of label, review",
        ),
    ],
)
def test_fields_of_others_and_unknown_settings_are_refused(
    run: fo.Dataset, field: str, options: dict[str, Any], message: str
) -> None:
    before = snapshot(run)
    with pytest.raises(ValueError, match=message):
        setup_workspace(run, field, **options)
    assert snapshot(run) == before
