"""Batches that are claimed as they are about to be loaded."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo

from ovsam_plugin.dataset.claims import Claims
from ovsam_plugin.dataset.workers import Worker

IDS = ["a", "b", "c", "d", "e"]


def all_open(ids: Sequence[str]) -> Sequence[str]:
    return ids


def test_batches_are_places_in_their_order_and_kept_until_they_are_taken_off(
    dataset: fo.Dataset,
) -> None:
    with Worker(dataset, "ovsam") as worker:
        claims = Claims(worker, IDS, 2, all_open)
        assert list(claims) == [[0, 1], [2, 3], [4]]
        assert list(claims.batches) == list(claims.handed) == [["a", "b"], ["c", "d"], ["e"]]
        assert (claims.left, claims.stopped) == ([], False)


def test_nothing_is_claimed_before_it_is_asked_for(dataset: fo.Dataset) -> None:
    with Worker(dataset, "ovsam") as one, Worker(dataset, "ovsam") as two:
        batches = iter(Claims(one, IDS, 2, all_open))
        next(batches)
        assert two.claim(IDS) == ["c", "d", "e"]


def test_a_batch_may_be_larger_than_the_one_before(dataset: fo.Dataset) -> None:
    with Worker(dataset, "ovsam") as worker:
        claims = Claims(worker, IDS, 1, all_open)
        batches = iter(claims)
        assert next(batches) == [0]
        claims.size = 3
        assert list(batches) == [[1, 2, 3], [4]]


def test_what_another_has_is_left_and_the_batch_goes_on_without(dataset: fo.Dataset) -> None:
    with Worker(dataset, "ovsam") as one, Worker(dataset, "ovsam") as two:
        two.claim(["b", "c", "d"])
        claims = Claims(one, IDS, 2, all_open)
        assert list(claims) == [[0], [4]]  # the second batch is another's altogether
        assert claims.left == ["b", "c", "d"]


def test_what_is_done_already_is_given_back(dataset: fo.Dataset) -> None:
    with Worker(dataset, "ovsam") as one, Worker(dataset, "ovsam") as two:
        claims = Claims(one, IDS, 3, lambda ids: [i for i in ids if i in "ae"])
        assert list(claims) == [[0], [4]]
        assert list(claims.batches) == [["a"], ["e"]]
        assert two.claim(IDS) == ["b", "c", "d"]


def test_who_is_asked_to_stop_takes_no_further_batch(dataset: fo.Dataset) -> None:
    with Worker(dataset, "ovsam") as one, Worker(dataset, "ovsam") as two:
        one.begin()
        claims = Claims(one, IDS, 2, all_open)
        batches = iter(claims)
        assert next(batches) == [0, 1]
        two.stop_others()
        assert list(batches) == []
        assert claims.stopped
        assert claims.left == []
