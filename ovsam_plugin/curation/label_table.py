"""A field's labels as columns, read and written some attributes at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from bson import ObjectId
from pymongo import UpdateOne

from ovsam_plugin.dataset.targets import Samples, all_images


@dataclass(frozen=True, eq=False)
class LabelTable:
    """N labels, in the order of their samples.

    Attributes:
        samples: the ids of their samples.
        places: where each stands in its sample's list.
        ids: their own.
        columns: N values of each attribute that was read, None where a label has none.
    """

    samples: list[ObjectId]
    places: list[int]
    ids: list[str]
    columns: dict[str, list[Any]]

    @classmethod
    def read(cls, samples: Samples, field: str, names: Sequence[str]) -> LabelTable:
        """The labels of a Detections field.

        Args:
            samples: a dataset or view.
            field: the field.
            names: attributes; those that are not declared are None for every label.
        """
        view = all_images(samples) if isinstance(samples, fo.Dataset) else samples
        root = f"{field}.detections"
        there = [n for n in names if samples.get_field(f"{root}.{n}") is not None]
        owners, ids, *found = view.values(["_id", f"{root}.id", *(f"{root}.{n}" for n in there)])
        flat = [(owner, i) for owner, row in zip(owners, ids) for i in range(len(row or ()))]
        columns = {name: [None] * len(flat) for name in names}
        columns |= {name: _flat(rows) for name, rows in zip(there, found)}
        return cls([owner for owner, _ in flat], [i for _, i in flat], _flat(ids), columns)

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """(N,) a column, NaN where there is no value."""
        return np.array(self.columns[name], dtype=np.float64)

    def given(self, name: str) -> npt.NDArray[np.bool_]:
        """(N,) where a column has a value."""
        return np.array([value is not None for value in self.columns[name]], dtype=bool)

    def write(
        self, dataset: fo.Dataset, field: str, updates: Iterable[tuple[int, Mapping[str, Any]]]
    ) -> None:
        """Writes attributes of some labels to a field that holds them in the same places.

        One update a sample; FiftyOne's own ways write one attribute of all labels at a time.

        Args:
            dataset: the labels' dataset.
            field: the field that was read, or a clone of it.
            updates: (row, values by attribute), later ones over earlier ones.
        """
        changes: dict[ObjectId, dict[str, Any]] = {}
        for row, values in updates:
            root = f"{field}.detections.{self.places[row]}"
            change = changes.setdefault(self.samples[row], {})
            change.update({f"{root}.{name}": value for name, value in values.items()})
        operations = [UpdateOne({"_id": key}, {"$set": value}) for key, value in changes.items()]
        if operations:
            dataset._bulk_write(operations, ids=[str(key) for key in changes])


def _flat(rows: Sequence[Sequence[Any] | None]) -> list[Any]:
    return [value for row in rows for value in row or ()]
