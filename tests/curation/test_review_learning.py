"""A queue that learns, on real embeddings."""

from __future__ import annotations

import threading
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.curation.decisions import accept, reject, rename
from ovsam_plugin.curation.review_learning import LEARNING, PREPARING, learned
from ovsam_plugin.curation.review_panel import act, open_review
from ovsam_plugin.curation.review_queue import Entry, queue
from ovsam_plugin.curation.review_session import ReviewSession
from ovsam_plugin.curation.scores import score_run
from ovsam_plugin.dataset import embedding_index
from ovsam_plugin.dataset.embeddings import StoredEmbeddings
from ovsam_plugin.scoring.learning import Lessons, learned_doubt

FIELD = "ovsam"


@pytest.fixture
def alike(named: fo.Dataset) -> list[Entry]:
    """The queue of nine instances of one name whose doubts are nearly the same."""
    score_run(named, device="cpu")
    labels = named.values(f"{FIELD}.detections.id", unwind=True)
    named.set_label_values(f"{FIELD}.detections.label", dict.fromkeys(labels, "thing"))
    doubts = {i: 0.5 - 0.001 * n for n, i in enumerate(labels)}
    named.set_label_values(f"{FIELD}.detections.doubt", doubts)
    halves = {i: doubt / 2 for i, doubt in doubts.items()}
    named.set_label_values(f"{FIELD}.detections.priority", halves)
    return queue(named, FIELD, LEARNING)


def test_the_order_is_that_of_the_learned_doubt(named: fo.Dataset, alike: list[Entry]) -> None:
    first, second, third, *rest = alike
    rename(named, FIELD, first.label_id, "spoon")
    accept(named, FIELD, second.label_id)
    reject(named, FIELD, third.label_id)
    kept = embedding_index.load(named, FIELD)
    looks = kept.head[kept.rows([entry.label_id for entry in alike])]
    lessons = Lessons(
        [entry.doubt for entry in alike[:3]], ["thing"] * 3, looks[:3], np.array([1, 0, 1], bool)
    )
    doubts = learned_doubt([e.doubt for e in rest], ["thing"] * 6, looks[3:], lessons)
    wanted = [rest[i] for i in np.argsort(-doubts, kind="stable")]
    assert list(learned(named, FIELD, rest)) == wanted != rest


def test_a_session_learns_from_each_decision_and_only_in_the_suggested_order(
    named: fo.Dataset, alike: list[Entry]
) -> None:
    session = ReviewSession.start(named, FIELD, LEARNING)
    assert list(session.waiting) == alike
    session = session.rename(named, alike[0].label_id, "spoon")
    assert session.waiting == learned(named, FIELD, alike[1:])
    plain = ReviewSession.start(named, FIELD, "confidence").waiting
    session = ReviewSession.start(named, FIELD, "confidence")
    assert session.reject(named, plain[0].label_id).waiting == plain[1:]


def test_without_decisions_or_embeddings_the_order_stays(
    named: fo.Dataset, alike: list[Entry]
) -> None:
    assert list(learned(named, FIELD, alike)) == alike
    reject(named, FIELD, alike[0].label_id)
    embedding_index.forget(named, FIELD)
    assert list(learned(named, FIELD, alike[1:])) == alike[1:]


def test_an_instance_without_an_embedding_is_in_it_by_its_own_doubt(
    named: fo.Dataset, alike: list[Entry]
) -> None:
    reject(named, FIELD, alike[0].label_id)
    sample = named[alike[1].sample_id]
    drawn = fo.Detection(label="thing", bounding_box=[0, 0, 1, 1], confidence=0.1, doubt=0.999)
    sample[FIELD].detections.append(drawn)
    sample.save()
    accept(named, FIELD, drawn.id)
    waiting = [*alike[1:], Entry(sample.id, "0" * 24, "thing", 0.1, 0.0, 0.0)]
    assert learned(named, FIELD, waiting)[-1].label_id == "0" * 24


def test_decisions_do_not_wait_for_what_is_loaded_when_a_review_opens(
    named: fo.Dataset, alike: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, pick = threading.Event(), embedding_index.pick

    def slow(*args: Any) -> StoredEmbeddings:
        assert loaded.wait(60)
        return pick(*args)

    for key in [k for k in named.list_indexes() if k.endswith((".id", ".reviewed_at"))]:
        named.drop_index(key)
    monkeypatch.setattr(embedding_index, "pick", slow)
    state = open_review(named, {"field": FIELD})["session"]
    accepted = {"kind": "accept", "labels": [alike[0].label_id]}
    told = act(named, state, [accepted])
    assert [one["label_id"] for one in told["session"]["waiting"]] == [
        entry.label_id for entry in alike[1:]
    ]
    loaded.set()
    for thread in threading.enumerate():
        if thread.name == PREPARING:
            thread.join()
    assert f"{FIELD}.detections.id" in named.list_indexes()
    renamed = {"kind": "rename", "labels": [alike[1].label_id], "name": "spoon"}
    told = act(named, told["session"], [renamed])
    after = [one["label_id"] for one in told["session"]["waiting"]]
    assert after == [entry.label_id for entry in learned(named, FIELD, alike[2:])]
    assert after != [entry.label_id for entry in alike[2:]]
