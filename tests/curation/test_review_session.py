"""A person's way through the queue, its state going through JSON as in a panel."""

from __future__ import annotations

import json
from typing import Any

import fiftyone as fo
import pytest

from ovsam_plugin.curation import decisions, review_session
from ovsam_plugin.curation.decisions import Progress, accept, progress
from ovsam_plugin.curation.review_figures import figures
from ovsam_plugin.curation.review_queue import Filters
from ovsam_plugin.curation.review_session import ReviewSession, describe_instance

FIELD = "ovsam"


def again(session: ReviewSession) -> ReviewSession:
    return ReviewSession.from_state(json.loads(json.dumps(session.to_state())))


def shown(session: ReviewSession, dataset: fo.Dataset) -> str | None:
    _, instance = session.current(dataset)
    return None if instance is None else instance.label.id


def test_a_session_is_what_it_was_after_a_way_through_json(labelled: fo.Dataset) -> None:
    session = ReviewSession.start(labelled, FIELD, "margin", Filters(("cup",), (0.5, 1)))
    assert len(session.waiting) == 2
    skipped = session.skip(session.waiting[0].label_id)
    assert again(skipped) == skipped
    with pytest.raises(ValueError, match=r"this is not a review \(KeyError\('by_age'\)\)"):
        ReviewSession.from_state({**session.to_state(), "order": "by_age"})


def test_every_decision_brings_the_next_instance(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    session = ReviewSession.start(labelled, FIELD, "confidence")
    assert shown(session, labelled) == ids["spoon"]
    session = again(session.accept(labelled, ids["spoon"]))
    session = again(session.rename(labelled, ids["dog"], "fox"))
    session = again(session.reject(labelled, ids["cup"]))
    assert shown(session, labelled) == ids["person"]
    assert session.progress == Progress(1, 1, 1, 3) == progress(labelled, FIELD)


def test_a_click_that_comes_twice_decides_once(labelled: fo.Dataset, ids: dict[str, str]) -> None:
    session = ReviewSession.start(labelled, FIELD, "confidence")
    late = again(session)
    session.accept(labelled, ids["spoon"])
    late = late.accept(labelled, ids["spoon"])
    assert shown(late, labelled) == ids["dog"]
    assert progress(labelled, FIELD).decided == 1


def test_what_is_skipped_comes_no_more_and_what_is_undone_comes_first(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_session, "PAGE", 2)
    session = ReviewSession.start(labelled, FIELD, "confidence")
    session = again(session.skip(ids["spoon"]))
    for name in ("dog", "cup", "person", "cup2"):
        assert shown(session, labelled) == ids[name]
        session, _ = session.current(labelled)
        session = again(session.accept(labelled, ids[name]))
    session, count = session.undo(labelled)
    assert (shown(session, labelled), count) == (ids["cup2"], 1)
    session = session.accept(labelled, ids["cup2"])
    session, _ = session.current(labelled)
    session = session.accept(labelled, ids["cat"])
    assert shown(session, labelled) is None
    assert session.progress.open == 1
    assert shown(ReviewSession.start(labelled, FIELD), labelled) == ids["spoon"]


def test_what_is_decided_here_is_counted_without_counting(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filters = Filters(confidence=(0.2, 0.9))
    session = ReviewSession.start(labelled, FIELD, "confidence", filters)
    with monkeypatch.context() as patched:
        patched.setattr(ReviewSession, "_counted", pytest.fail)
        session = session.accept(labelled, ids["spoon"]).rename(labelled, ids["dog"], " dog ")
        session = again(session.reject(labelled, ids["cup"]).rename(labelled, ids["cat"], "lynx"))
    assert session.progress == progress(labelled, FIELD) == Progress(2, 1, 1, 2)
    assert session.figures == figures(labelled, FIELD, filters)
    # Somebody else was faster: what they decided is counted with it.
    accept(labelled, FIELD, [ids["cup2"], ids["person"]], by="bob")
    session = session.accept(labelled, ids["cup2"])
    assert session.progress == progress(labelled, FIELD)


def test_what_somebody_decides_at_the_moment_it_is_deleted_stays(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ReviewSession.start(labelled, FIELD, "confidence")
    found = review_session.find_entries

    def and_then_decided(*asked: Any) -> Any:
        entries = found(*asked)
        accept(labelled, FIELD, [ids["dog"]], by="bob")
        return entries

    monkeypatch.setattr(review_session, "find_entries", and_then_decided)
    session = session.delete(labelled, [ids["dog"], ids["spoon"]])
    left = labelled.values(f"{FIELD}.detections.id", unwind=True)
    assert ids["dog"] in left
    assert ids["spoon"] not in left
    assert session.progress == progress(labelled, FIELD)


def test_another_page_is_read_when_half_of_one_is_left(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_session, "PAGE", 4)
    session = ReviewSession.start(labelled, FIELD, "confidence")
    session = session.accept(labelled, ids["spoon"])
    assert [entry.label for entry in session.waiting] == ["dog", "cup", "person"]
    session = session.accept(labelled, ids["dog"])
    assert [entry.label for entry in session.waiting] == ["cup", "person", "cup", "cat"]


def test_what_others_decided_or_deleted_meanwhile_is_passed_over(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    session = ReviewSession.start(labelled, FIELD, "confidence")
    accept(labelled, FIELD, [ids["spoon"], ids["cup"]], by="bob")
    labelled.delete_labels(ids=ids["dog"], fields=FIELD)
    assert shown(session, labelled) == ids["person"]
    labelled.delete_samples([labelled.last().id])
    session, instance = session.current(labelled)
    assert instance is not None
    assert instance.label.id == ids["cup2"]


def test_nothing_to_undo_changes_nothing(labelled: fo.Dataset) -> None:
    session = ReviewSession.start(labelled, FIELD)
    assert session.undo(labelled) == (session, 0)


def test_an_order_that_the_field_does_not_offer_gives_way_to_the_first(
    labelled: fo.Dataset,
) -> None:
    assert ReviewSession.start(labelled, FIELD, "suggested").order == "confidence"
    assert ReviewSession.start(labelled, FIELD).offered[0] == "confidence"


def test_a_field_without_scores_cannot_be_reviewed(labelled: fo.Dataset) -> None:
    labelled.clear_sample_field(FIELD)
    with pytest.raises(ValueError, match="no instance of 'ovsam' has a score"):
        ReviewSession.start(labelled, FIELD)


def test_an_instance_is_described_without_its_top_names_too(labelled: fo.Dataset) -> None:
    _, instance = ReviewSession.start(labelled, FIELD, "confidence").current(labelled)
    assert instance is not None
    told = describe_instance(instance)
    assert told["top"][:2] == [["spoon", 0.2], ["lamp", pytest.approx(0.05)]]
    assert told["scores"] == {"confidence": 0.2, "margin": 0.15, "stability": 0.6}
    assert told["image"] == "coffee.png"
    instance.label["top_labels"] = instance.label["top_scores"] = None
    assert describe_instance(instance)["top"] == [["spoon", 0.2]]
    instance.label.confidence = float("nan")
    assert describe_instance(instance)["top"] == [["spoon", None]]
    assert describe_instance(instance)["scores"] == {"margin": 0.15, "stability": 0.6}


def test_a_review_ends_where_a_view_shows_open_what_is_decided(
    labelled: fo.Dataset, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_session, "PAGE", 2)
    accept(labelled, FIELD, [ids[name] for name in ("spoon", "dog", "cup", "person")])
    open_again = labelled.set_field(f"{FIELD}.detections.review", None)
    session, instance = ReviewSession.start(open_again, FIELD, "confidence").current(open_again)
    assert instance is not None
    assert instance.label.id == ids["cup2"]
    accept(labelled, FIELD, [ids["cup2"], ids["cat"]])
    session, instance = session.current(open_again)
    assert (session.waiting, instance) == ((), None)


def test_what_somebody_decided_meanwhile_is_told_and_stays(
    labelled: fo.Dataset, ids: dict[str, str]
) -> None:
    mine = ReviewSession.start(labelled, FIELD, "confidence")
    decisions.rename(labelled, FIELD, ids["dog"], "careful name", by="ada")
    for call in (
        lambda: mine.reject(labelled, ids["dog"], "bob"),
        lambda: mine.rename(labelled, ids["dog"], "fox", "bob"),
        lambda: mine.reject(labelled, [ids["cat"], ids["dog"]], "bob"),
    ):
        with pytest.raises(ValueError, match="ada has renamed this as 'careful name' meanwhile"):
            call()
    assert progress(labelled, FIELD) == Progress(renamed=1, open=5)
