"""A field's labels as columns, some attributes at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from bson import ObjectId

from ovsam_plugin.dataset.internals import aggregate
from ovsam_plugin.dataset.targets import Samples, flat


@dataclass(frozen=True, eq=False)
class LabelTable:
    """N labels, in the order of their samples.

    Attributes:
        samples: the ids of their samples.
        ids: their own.
        columns: N values of each attribute that was read, None where a label has none.
    """

    samples: list[ObjectId]
    ids: list[str]
    columns: dict[str, list[Any]]

    @classmethod
    def read(cls, samples: Samples, field: str, names: Sequence[str]) -> LabelTable:
        """The labels of a Detections field.

        They are read as the database has them, whatever the caller's handle knows of them.

        Args:
            samples: a dataset or view; of a view, what it shows.
            field: the field.
            names: attributes; None for labels that have none of that name.
        """
        labels = f"{field}.detections"
        wanted = {f"{labels}.{name}": True for name in ("_id", *names)}
        owners: list[ObjectId] = []
        ids: list[str] = []
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for sample in aggregate(flat(samples), [{"$project": wanted}]):
            for label in (sample.get(field) or {}).get("detections") or ():
                owners.append(sample["_id"])
                ids.append(str(label["_id"]))
                for name, column in columns.items():
                    column.append(label.get(name))
        return cls(owners, ids, columns)

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """(N,) a column, NaN where there is no value."""
        return np.array(self.columns[name], dtype=np.float64)

    def given(self, name: str) -> npt.NDArray[np.bool_]:
        """(N,) where a column has a value."""
        return np.array([value is not None for value in self.columns[name]], dtype=bool)
