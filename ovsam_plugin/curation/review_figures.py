"""What a review's charts show: confidences and classes of the instances that are still open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.curation.review_queue import Filters, undecided
from ovsam_plugin.dataset.internals import aggregate
from ovsam_plugin.dataset.targets import Samples

BINS = 20

# Classes that are counted on while instances are decided: more than a review clears between counts.
_COUNTED = 100


@dataclass(frozen=True)
class ReviewFigures:
    """Counts of undecided instances.

    Attributes:
        histogram: (BINS,) counts; bin i holds confidences from i / BINS up to (i + 1) / BINS, the
            last one including 1. Chosen classes count, a chosen range of confidence does not.
        classes: (name, count), most frequent first, then by name. A chosen range of confidence
            counts, chosen classes do not.
        matching: instances that meet both.
    """

    histogram: tuple[int, ...] = (0,) * BINS
    classes: tuple[tuple[str, int], ...] = ()
    matching: int = 0

    def less(self, label: str, confidence: float | None) -> ReviewFigures:
        """Without one instance that met both filters, as one does that was in the queue."""
        histogram = list(self.histogram)
        if confidence is not None:
            histogram[_bin(confidence)] -= 1
        classes = {name: count - (name == label) for name, count in self.classes}
        return ReviewFigures(tuple(histogram), _ordered(classes), self.matching - 1)

    def to_state(self, filters: Filters) -> dict[str, Any]:
        """As plain JSON values; of the classes, those that can come to be drawn."""
        first = self.classes[:_COUNTED]
        rest = [pair for pair in self.classes[_COUNTED:] if pair[0] in filters.classes]
        return {
            "histogram": list(self.histogram),
            "classes": [list(pair) for pair in (*first, *rest)],
            "matching": self.matching,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ReviewFigures:
        """What `to_state` gave, after a way through JSON."""
        classes = tuple((name, count) for name, count in state["classes"])
        return cls(tuple(state["histogram"]), classes, state["matching"])


def figures(samples: Samples, field: str, filters: Filters | None = None) -> ReviewFigures:
    """Both charts and the number of matching instances, by one aggregation.

    Args:
        samples: the dataset, or a view of it.
        field: a field of Detections.
        filters: some classes, a range of confidence. Each chart leaves out its own filter, so that
            another bar of it can be clicked.

    Raises:
        ValueError: there is no such field, or it holds something else.
    """
    samples = own_detections(samples, field)
    filters = filters or Filters()
    # Label and bin of every instance come back as counts: at most BINS + 1 rows a class.
    bin_of = {"$min": [{"$floor": {"$multiply": ["$confidence", BINS]}}, BINS - 1]}
    # $min leaves out what is null.
    bin_of = {"$cond": [{"$isNumber": "$confidence"}, bin_of, None]}
    within: object = {"$literal": True}
    if filters.confidence is not None:
        low, high = filters.confidence
        within = {"$and": [{"$gte": ["$confidence", low]}, {"$lte": ["$confidence", high]}]}
    rows = aggregate(
        samples,
        [
            *undecided(field, Filters()),
            {
                "$group": {
                    "_id": {"label": "$label", "bin": bin_of, "within": within},
                    "count": {"$sum": 1},
                }
            },
        ],
    )
    histogram = [0] * BINS
    classes: dict[str, int] = {}
    matching = 0
    for row in rows:
        key, count = row["_id"], row["count"]
        chosen = not filters.classes or key["label"] in filters.classes
        bin_index = key.get("bin")
        if chosen and bin_index is not None and 0 <= bin_index < BINS:
            histogram[int(bin_index)] += count
        if key["within"]:
            classes[key["label"]] = classes.get(key["label"], 0) + count
            matching += count if chosen else 0
    return ReviewFigures(tuple(histogram), _ordered(classes), matching)


def _bin(confidence: float) -> int:
    return min(max(int(confidence * BINS), 0), BINS - 1)


def _ordered(classes: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    counted = (item for item in classes.items() if item[1] > 0)
    return tuple(sorted(counted, key=lambda item: (-item[1], item[0])))
