"""Values by keys that belong to a dataset."""

from __future__ import annotations

import threading

import fiftyone as fo
import pytest

from ovsam_plugin.dataset import store as module
from ovsam_plugin.dataset.store import Store


@pytest.fixture
def store(dataset: fo.Dataset) -> Store:
    return Store(dataset, "test")


def test_a_value_is_put_replaced_and_forgotten(store: Store) -> None:
    assert store.get("a") is None
    store.put("a", {"x": 1})
    store.put("a", [2])
    store.put("b", 3)
    assert (store.get("a"), store.keys()) == ([2], ["a", "b"])
    store.drop(["a", "gone"])
    assert store.keys() == ["b"]
    store.clear()
    assert store.keys() == []


def test_a_key_is_added_once_however_many_ask_at_once(store: Store) -> None:
    keys = [f"{number:03}" for number in range(50)]
    start, won = threading.Barrier(4), []

    def add(who: int) -> None:
        start.wait()
        won.append(store.add(keys, who))

    threads = [threading.Thread(target=add, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for some in won for key in some) == keys
    assert store.add(keys[:2], "late") == set()
    assert store.add([], "nothing") == set()
    assert store.get(keys[0]) in range(4)


def test_a_value_is_swapped_only_while_it_is_the_old_one(store: Store) -> None:
    store.put("a", 1)
    assert store.swap("a", 1, 2)
    assert not store.swap("a", 1, 3)
    assert not store.swap("b", None, 3)
    assert store.get("a") == 2


def test_only_keys_of_a_value_are_dropped_where_one_is_given(store: Store) -> None:
    for key, value in (("a", 1), ("b", 2), ("c", 1)):
        store.put(key, value)
    store.drop(["a", "b"], 1)
    assert store.keys() == ["b", "c"]


def test_many_keys_are_asked_for_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEYS", 2)
    for key in "abcde":
        store.put(key, key.upper())
    assert dict(store.items("abcdx")) == {"a": "A", "b": "B", "c": "C", "d": "D"}
    store.drop("abcd")
    assert store.keys() == ["e"]


def test_stores_are_apart_and_go_with_their_dataset(dataset: fo.Dataset, store: Store) -> None:
    other = fo.Dataset()
    Store(other, "test").put("a", "other")
    Store(dataset, "another").put("a", "another")
    store.put("a", "mine")
    store.clear()
    assert Store(other, "test").get("a") == "other"
    assert Store(dataset, "another").get("a") == "another"
    kept = Store(other, "test")
    other.delete()
    assert kept.keys() == []
