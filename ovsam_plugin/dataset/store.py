"""Small documents that belong to a dataset and are removed with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import fiftyone as fo
from fiftyone.operators.store import ExecutionStore
from pymongo.errors import BulkWriteError

from ovsam_plugin.dataset.database import in_parts
from ovsam_plugin.dataset.internals import database, dataset_id

_ALREADY_THERE = 11000
# Keys asked for at once: a query holds 16 MB.
_KEYS = 10_000


class Store:
    """A named store: values by keys.

    It is FiftyOne's execution store, which goes when its dataset is deleted, with what that lacks:
    many keys at once, and changes on a condition that the database itself checks.

    Args:
        dataset: whose store it is.
        name: of the store.
    """

    def __init__(self, dataset: fo.Dataset, name: str) -> None:
        ExecutionStore.create(name, dataset_id=dataset_id(dataset))  # its unique index
        self._collection = database().execution_store
        self._mine = {"store_name": name, "dataset_id": dataset_id(dataset)}

    def get(self, key: str) -> Any:
        """The value of a key; None where there is none."""
        found = self._collection.find_one({**self._mine, "key": key}, {"value": True})
        return None if found is None else found["value"]

    def put(self, key: str, value: Any) -> None:
        """Puts a value, whatever was there."""
        self._collection.update_one(
            {**self._mine, "key": key},
            {
                "$set": {"value": value, "updated_at": _now()},
                "$setOnInsert": {"created_at": _now(), "expires_at": None, "policy": "persist"},
            },
            upsert=True,
        )

    def add(self, keys: Sequence[str], value: Any) -> set[str]:
        """Puts a value for those of the keys that have none.

        Returns:
            these keys; each goes to one caller, however many ask at once.
        """
        if not keys:
            return set()
        common = {**self._mine, "value": value, "created_at": _now(), "updated_at": _now()}
        documents = [{**common, "key": k, "expires_at": None, "policy": "persist"} for k in keys]
        try:
            self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            if any(failure["code"] != _ALREADY_THERE for failure in failures):
                raise
            return set(keys) - {keys[failure["index"]] for failure in failures}
        return set(keys)

    def swap(self, key: str, old: Any, new: Any) -> bool:
        """Replaces a value if it is still the old one; returns whether it was."""
        change = {"$set": {"value": new, "updated_at": _now()}}
        changed = self._collection.update_one({**self._mine, "key": key, "value": old}, change)
        return bool(changed.matched_count)

    def keys(self) -> list[str]:
        """All keys, sorted; no value is read."""
        return sorted(row["key"] for row in self._collection.find(self._mine, {"key": True}))

    def items(self, keys: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Those of the keys that there are, with their values."""
        for part in in_parts(keys, _KEYS):
            asked = {**self._mine, "key": {"$in": part}}
            for row in self._collection.find(asked, {"key": True, "value": True}):
                yield row["key"], row["value"]

    def drop(self, keys: Iterable[str], value: Any = None) -> None:
        """Forgets keys; where a value is given, those that have it."""
        condition = {} if value is None else {"value": value}
        for part in in_parts(keys, _KEYS):
            self._collection.delete_many({**self._mine, "key": {"$in": part}, **condition})

    def clear(self) -> None:
        """Forgets everything."""
        self._collection.delete_many(self._mine)


def _now() -> datetime:
    return datetime.now(timezone.utc)
