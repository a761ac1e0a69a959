"""What a person has selected in the App, as labels: some labels, some samples, or a whole view.

The grid may show photographs or patches; a patch is selected as a sample, and is one label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import fiftyone as fo

from ovsam_plugin.dataset.expressions import DECIDED, Expression, filtered, list_at
from ovsam_plugin.dataset.internals import aggregate, is_patches, refresh_patches, stages_of
from ovsam_plugin.dataset.targets import Samples, fields_of

LABELS, SAMPLES, VIEW = "labels", "samples", "view"


@dataclass(frozen=True, eq=False)
class Selection:
    """What is selected, and the view that it is selected in.

    Attributes:
        view: what the grid shows.
        samples: ids of the samples, or patches, that are selected.
        labels: ids of the labels that are, by field.
    """

    view: Samples
    samples: Sequence[str] = ()
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """Fields of instances in the view, that of its patches first."""
        return fields_of(self.view, (fo.Detection,)) + fields_of(self.view, (fo.Detections,))

    def choices(self, chosen: str) -> dict[str, str]:
        """What can be decided about, the narrowest first, in words with counts.

        Args:
            chosen: the field whose labels count where no labels are selected themselves.
        """
        found: dict[str, str] = {}
        if self.labels:
            counts = ", ".join(f"{len(ids):,} of {name}" for name, ids in self.labels.items())
            found[LABELS] = f"The selected labels: {counts}"
        if self.samples:
            shown = self.view.select(list(self.samples))
            what = "patches" if is_patches(self.view) else "photographs"
            found[SAMPLES] = self._all(chosen, shown, f"the {len(self.samples):,} selected {what}")
        where = "the whole dataset" if self.is_whole else "view"
        found[VIEW] = self._all(chosen, self.view, where)
        return found

    def label_ids(self, what: str, chosen: str) -> dict[str, list[str]]:
        """Ids of labels by field.

        Args:
            what: a key of `choices`.
            chosen: the field whose labels are meant where no labels are selected themselves.
        """
        if what == LABELS:
            return {name: list(ids) for name, ids in self.labels.items()}
        view = self.view.select(list(self.samples)) if what == SAMPLES else self.view
        ids = view.values(f"{self._labels(chosen)}._id", unwind=not self._is_one(chosen))
        return {chosen: [str(label_id) for label_id in ids if label_id is not None]}

    @property
    def is_whole(self) -> bool:
        """Whether the grid shows the whole dataset."""
        return not stages_of(self.view)

    def refresh(self) -> None:
        """Makes the patches of a view anew, after their labels have been changed."""
        if is_patches(self.view):
            refresh_patches(self.view)

    def _is_one(self, chosen: str) -> bool:
        return chosen in fields_of(self.view, (fo.Detection,))

    def _labels(self, chosen: str) -> str:
        return chosen if self._is_one(chosen) else f"{chosen}.detections"

    def _all(self, chosen: str, samples: Samples, where: str) -> str:
        """In words, how many instances there are, and of how many a decision would be replaced."""
        path = self._labels(chosen)
        labels = [f"${path}"] if self._is_one(chosen) else list_at(path)
        there = filtered(labels, {"$gt": ["$$d._id", None]})
        which = {"n": there, "decided": filtered(there, DECIDED)}
        counts = {name: {"$sum": {"$size": some}} for name, some in which.items()}
        asked: list[Expression] = [
            {"$project": {f"{path}.{name}": True for name in ("_id", "review")}},
            {"$group": {"_id": None, **counts}},
        ]
        found = next(iter(aggregate(samples, asked)), {"n": 0, "decided": 0})
        told = f"All {found['n']:,} instances" if found["n"] != 1 else "The instance"
        decided = f" ({found['decided']:,} already decided)" if found["decided"] else ""
        return f"{told} in {where}{decided}"
