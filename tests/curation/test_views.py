"""Views of a run's field: which instances they show, and what they ask for."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.curation import views
from ovsam_plugin.curation.groups import unknown_groups
from tests.curation.run_by_hand import add_run


@pytest.fixture
def run(dataset: fo.Dataset) -> fo.Dataset:
    add_run(dataset)
    return dataset


def shown(view: Any) -> list[tuple[str, float]]:
    """Names and confidences, sample by sample."""
    names, confidences = view.values(
        ["ovsam.detections.label", "ovsam.detections.confidence"], unwind=True
    )
    return list(zip(names, confidences))


def sizes(samples: fo.Dataset) -> dict[int, int]:
    return {group.number: group.size for group in unknown_groups(samples, "ovsam")}


def test_a_class_is_rare_that_has_fewer_instances_in_the_whole_dataset(run: fo.Dataset) -> None:
    assert shown(views.rare_here(run, "ovsam", fewer_than=2)) == [("cup", 0.5), ("otter", 0.2)]
    assert len(views.rare_here(run, "ovsam").values("ovsam.detections.label", unwind=True)) == 5
    # Each class is alone in its photograph, and a cat is still not rare.
    assert shown(views.rare_here(run.limit(1), "ovsam", fewer_than=3)) == []


def test_a_name_that_reads_like_a_path_is_a_name(dataset: fo.Dataset) -> None:
    names = ["$5 bill", "$", "$label", "a.b"]
    sample = dataset.first()
    sample["drawn"] = fo.Detections(detections=[fo.Detection(label=name) for name in names])
    sample.save()
    found = views.rare_here(dataset, "drawn").values("drawn.detections.label", unwind=True)
    assert found == names


def test_the_tail_holds_at_most_its_share_of_the_instances(run: fo.Dataset) -> None:
    assert shown(views.rare_here(run, "ovsam", tail_percent=40)) == [("cup", 0.5), ("otter", 0.2)]
    assert shown(views.rare_here(run, "ovsam", tail_percent=39)) == [("cup", 0.5)]
    assert shown(views.rare_here(run, "ovsam", tail_percent=19)) == []


def test_rare_in_lvis_and_novel_are_what_the_vocabulary_says(run: fo.Dataset) -> None:
    assert shown(views.rare_in_lvis(run, "ovsam")) == [("otter", 0.2)]
    assert shown(views.novel(run, "ovsam")) == [("cat", 0.9), ("cat", 0.3), ("cat", 0.8)]
    assert shown(views.novel(run.skip(1), "ovsam")) == [("cat", 0.8)]


def test_unknown_are_those_above_a_bound_a_share_or_a_group(run: fo.Dataset) -> None:
    assert shown(views.unknown(run, "ovsam")) == [("cat", 0.3), ("cup", 0.5), ("otter", 0.2)]
    assert shown(views.unknown(run, "ovsam", above=0.7)) == [("cat", 0.3), ("otter", 0.2)]
    assert shown(views.unknown(run, "ovsam", percent=20)) == [("otter", 0.2)]
    assert shown(views.unknown(run, "ovsam", percent=21)) == [("cat", 0.3), ("otter", 0.2)]
    assert shown(views.unknown(run, "ovsam", group=1)) == [("cat", 0.3), ("cup", 0.5)]
    assert sizes(run) == {1: 2, 2: 1}


def test_doubtful_are_the_first_by_the_chosen_score(run: fo.Dataset) -> None:
    assert shown(views.doubtful(run, "ovsam", percent=40)) == [("cat", 0.3), ("otter", 0.2)]
    by_confidence = views.doubtful(run, "ovsam", by="confidence", percent=40)
    assert shown(by_confidence) == [("otter", 0.2), ("cat", 0.3)]
    assert shown(views.doubtful(run, "ovsam", by="stability", percent=20)) == [("cat", 0.9)]


def test_patches_come_the_most_doubtful_first(run: fo.Dataset) -> None:
    view = views.doubtful(run, "ovsam", percent=100)
    assert views.as_patches(view, "ovsam", "doubt").values("ovsam.doubt") == [
        0.9, 0.8, 0.6, 0.2, 0.1,
    ]  # fmt: skip
    confidences = views.as_patches(view, "ovsam", "confidence").values("ovsam.confidence")
    assert confidences == [0.2, 0.3, 0.5, 0.8, 0.9]


def test_what_is_decided_is_neither_doubtful_nor_unknown_nor_left_to_review(
    run: fo.Dataset,
) -> None:
    saved = {"left": views.not_reviewed(run, "ovsam"), "odd": views.unknown(run, "ovsam")}
    for name, view in saved.items():
        run.save_view(name, view)
    assert len(shown(run.load_saved_view("left"))) == 5
    sample = run.last()
    sample["ovsam"].detections[0]["review"] = "renamed"
    sample.save()
    assert ("otter", 0.2) not in shown(run.load_saved_view("left"))
    assert len(shown(run.load_saved_view("left"))) == 4
    assert shown(run.load_saved_view("odd")) == [("cat", 0.3), ("cup", 0.5)]
    assert shown(views.doubtful(run, "ovsam", percent=50)) == [("cat", 0.3), ("cup", 0.5)]
    assert sizes(run) == {1: 2}
    with pytest.raises(ValueError, match="there is no group 2"):
        views.unknown(run, "ovsam", group=2)


def test_nothing_is_reviewed_where_no_decision_was_ever_declared(dataset: fo.Dataset) -> None:
    add_run(dataset, scored=False)
    assert len(shown(views.not_reviewed(dataset, "ovsam"))) == 5


def test_views_follow_deleted_samples(run: fo.Dataset) -> None:
    run.delete_samples([run.first().id])
    assert shown(views.rare_here(run, "ovsam", fewer_than=2)) == [
        ("cup", 0.5), ("cat", 0.8), ("otter", 0.2),
    ]  # fmt: skip


def test_a_renamed_field_has_the_same_views(run: fo.Dataset) -> None:
    run.rename_sample_field("ovsam", "other")
    assert views.doubtful(run, "other", percent=20).count("other.detections") == 1
    with pytest.raises(ValueError, match="there is no field 'ovsam'.*'other'"):
        views.doubtful(run, "ovsam")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda d: views.unknown(d, "ovsam"), r"run score_run\(dataset, 'ovsam'\) first"),
        (lambda d: views.unknown(d, "ovsam", group=1), r"'group' yet: run score_run"),
        (lambda d: views.doubtful(d, "ovsam"), r"'doubt' yet: run score_run"),
        (lambda d: views.doubtful(d, "ovsam", by="outlier"), r"'outlier' yet: run score_run"),
        (
            lambda d: views.doubtful(d, "ovsam", by="size"),
            "choose one of priority, doubt, confidence",
        ),
        (lambda d: views.doubtful(d, "ovsam", by="margin", percent=0), "must be above 0"),
        (lambda d: views.rare_here(d, "ovsam", fewer_than=2, tail_percent=1), "give one"),
        (lambda d: views.rare_here(d, "ovsam", fewer_than=0), "give 1 or more"),
        (lambda d: views.unknown(d, "ovsam", above=0.1, group=1), "give one"),
        (lambda d: views.novel(d, "filepath"), "need Detections: there is 'ovsam'"),
    ],
)
def test_what_cannot_be_shown_is_said_with_the_next_step(
    dataset: fo.Dataset, ask: Any, message: str
) -> None:
    add_run(dataset, scored=False)
    with pytest.raises(ValueError, match=message):
        ask(dataset)


def test_a_vocabulary_without_groups_or_split_is_named_as_the_reason(run: fo.Dataset) -> None:
    for name in ("frequency", "split"):
        run.set_values(f"ovsam.detections.{name}", [[None, None]] * 3)
    with pytest.raises(ValueError, match="no LVIS groups; label or relabel with LVIS"):
        views.rare_in_lvis(run, "ovsam")
    with pytest.raises(ValueError, match="its vocabulary has no split"):
        views.novel(run, "ovsam")


def test_a_group_that_is_not_there_is_refused(run: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="there is no group 3 .* choose one of 1, 2"):
        views.unknown(run, "ovsam", group=3)


def test_what_is_no_number_is_not_doubtful(run: fo.Dataset) -> None:
    path = "ovsam.detections.confidence"
    values = run.values(path)
    values[0][0] = float("nan")
    run.set_values(path, values)
    found = views.doubtful(run, "ovsam", by="confidence", percent=100, worst_first=False)
    assert shown(found) == [("cat", 0.3), ("cup", 0.5), ("cat", 0.8), ("otter", 0.2)]


def test_a_grouped_dataset_is_seen_whole_and_a_view_of_it_by_its_slice(
    two_slices: fo.Dataset,
) -> None:
    names = [name for name, _ in shown(views.not_reviewed(two_slices, "ovsam"))]
    assert names == ["cat", "dog", "cup", "cup", "spoon"]
    assert len(views.as_patches(views.not_reviewed(two_slices, "ovsam"), "ovsam")) == 5
    one_slice = views.not_reviewed(two_slices.view(), "ovsam")
    assert [name for name, _ in shown(one_slice)] == ["cat", "dog", "cup"]
    doubted = views.doubtful(two_slices, "ovsam", by="confidence", percent=40)
    assert shown(doubted) == [("spoon", 0.2), ("dog", 0.3)]
