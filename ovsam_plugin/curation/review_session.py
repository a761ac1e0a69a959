"""One person's way through a review queue: what is shown, what waits, what was passed over.

It holds ids and counts alone and fits into the state of a panel. Every decision names the label
that it is about, so a click that arrives twice, or late, decides nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import fiftyone as fo

from ovsam_plugin.curation import decisions
from ovsam_plugin.curation.decisions import KINDS, Progress
from ovsam_plugin.curation.review_queue import (
    PAGE,
    Filters,
    Instance,
    load_instance,
    orders,
    queue,
)
from ovsam_plugin.dataset.targets import Samples, root_dataset

_TOLD = ("confidence", "margin", "stability", "disagreement", "outlier", "doubt")


@dataclass(frozen=True)
class Session:
    """Where a review stands.

    Attributes:
        field: the field under review.
        order: a key of `scoring.doubt.ORDERS`.
        filters: classes and confidences that are asked for.
        waiting: (sample id, label id) of the next instances, the first one being shown.
        skipped: instances that were passed over; they come again when the queue starts again.
        progress: decided and open instances of the whole field.
        offered: the orders that the field could be sorted by at the start.
    """

    field: str
    order: str
    filters: Filters = dataclasses.field(default_factory=Filters)
    waiting: tuple[tuple[str, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    progress: Progress = dataclasses.field(default_factory=Progress)
    offered: tuple[str, ...] = ()

    @classmethod
    def start(
        cls,
        samples: Samples,
        field: str,
        order: str | None = None,
        filters: Filters | None = None,
    ) -> Session:
        """A review from its front, with the first page waiting.

        Args:
            samples: the dataset, or a view of it.
            field: a field of Detections.
            order: the first that the field offers when not given, or not offered by it.
            filters: some classes, a range of confidence.

        Raises:
            ValueError: there is no such field, or no instance in it has a score.
        """
        offered = tuple(orders(samples, field))
        if not offered:
            raise ValueError(f"no instance of {field!r} has a score to sort by: label some first")
        chosen = order if order in offered else offered[0]
        return cls(field, chosen, filters or Filters(), offered=offered)._filled(samples)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Session:
        """What `to_state` gave, after a way through JSON."""
        confidence = state.get("confidence")
        return cls(
            field=state["field"],
            order=state["order"],
            filters=Filters(
                tuple(state.get("classes") or ()), tuple(confidence) if confidence else None
            ),
            waiting=tuple((s, i) for s, i in state.get("waiting") or ()),
            skipped=tuple((s, i) for s, i in state.get("skipped") or ()),
            progress=Progress(**(state.get("progress") or {})),
            offered=tuple(state.get("offered") or ()),
        )

    def to_state(self) -> dict[str, Any]:
        """As plain JSON values."""
        counts = {kind: getattr(self.progress, kind) for kind in (*KINDS, "open")}
        return {
            "field": self.field,
            "order": self.order,
            "classes": list(self.filters.classes),
            "confidence": list(self.filters.confidence) if self.filters.confidence else None,
            "waiting": [list(pair) for pair in self.waiting],
            "skipped": [list(pair) for pair in self.skipped],
            "progress": counts,
            "offered": list(self.offered),
        }

    def current(self, samples: Samples) -> tuple[Session, Instance | None]:
        """The instance to be shown, and the session with it in front; None at the queue's end.

        What was deleted, or decided by somebody else, since the page was read is passed over.
        """
        session = self
        while True:
            while session.waiting:
                sample_id, label_id = session.waiting[0]
                found = load_instance(samples, self.field, sample_id, label_id)
                if found is not None and _review(found) not in KINDS:
                    return session, found
                session = replace(session, waiting=session.waiting[1:])
            session = session._filled(samples)
            if not session.waiting:
                return session, None

    def accept(self, samples: Samples, label_id: str, by: str | None = None) -> Session:
        """The name of this label is right; see `decisions.accept`."""
        decisions.accept(samples, self.field, label_id, by=by)
        return self._without(samples, label_id)

    def rename(self, samples: Samples, label_id: str, name: str, by: str | None = None) -> Session:
        """This label shows something else; see `decisions.rename`."""
        decisions.rename(samples, self.field, label_id, name, by=by)
        return self._without(samples, label_id)

    def reject(self, samples: Samples, label_id: str, by: str | None = None) -> Session:
        """This label shows nothing; see `decisions.reject`."""
        decisions.reject(samples, self.field, label_id, by=by)
        return self._without(samples, label_id)

    def skip(self, label_id: str) -> Session:
        """Passes this label over."""
        passed = tuple(pair for pair in self.waiting if pair[1] == label_id)
        rest = tuple(pair for pair in self.waiting if pair[1] != label_id)
        return replace(self, waiting=rest, skipped=self.skipped + passed)

    def undo(self, samples: Samples, by: str | None = None) -> tuple[Session, int]:
        """Takes back the last decision and shows its labels again; also, how many they are."""
        undone = decisions.undo(samples, self.field, by=by)
        if not undone:
            return self, 0
        found = root_dataset(samples).select_labels(ids=undone, fields=self.field)
        pairs = [
            (sample_id, label_id)
            for sample_id, labels in zip(*found.values(["id", f"{self.field}.detections.id"]))
            for label_id in labels
        ]
        again = tuple(pairs[:PAGE])
        rest = tuple(pair for pair in self.waiting if pair not in again)
        session = replace(self, waiting=again + rest)
        return session._counted(samples), len(undone)

    def _without(self, samples: Samples, label_id: str) -> Session:
        rest = tuple(pair for pair in self.waiting if pair[1] != label_id)
        return replace(self, waiting=rest)._counted(samples)

    def _counted(self, samples: Samples) -> Session:
        return replace(self, progress=decisions.progress(samples, self.field))

    def _filled(self, samples: Samples) -> Session:
        """With another page waiting; those that were passed over lie in front of it."""
        page = queue(
            samples,
            self.field,
            self.order,
            filters=self.filters,
            limit=PAGE + len(self.skipped),
        )
        passed = set(self.skipped)
        pairs = [(e.sample_id, e.label_id) for e in page]
        waiting = tuple(pair for pair in pairs if pair not in passed)[:PAGE]
        return replace(self, waiting=waiting)._counted(samples)


def describe_instance(instance: Instance) -> dict[str, Any]:
    """What a person is told of an instance, as plain JSON values.

    Returns:
        `sample_id`, `label_id`, `label`, `image` (the file's name), `top` (names and scores, the
        model's best first, the label's own alone where there is no list), and `scores` by name.
    """
    label = instance.label
    names = list(_get(label, "top_labels") or [label.label])
    scores = list(_get(label, "top_scores") or [label.confidence])
    told = {name: _get(label, name) for name in _TOLD}
    return {
        "sample_id": instance.sample_id,
        "label_id": label.id,
        "label": label.label,
        "image": PurePath(instance.filepath).name,
        "top": [list(pair) for pair in zip(names, scores)],
        "scores": {name: float(v) for name, v in told.items() if isinstance(v, int | float)},
    }


def _get(label: fo.Detection, key: str) -> Any:
    return label[key] if label.has_field(key) else None


def _review(instance: Instance) -> Any:
    return _get(instance.label, "review")
