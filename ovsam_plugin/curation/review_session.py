"""One person's way through a review queue: what is shown, what waits, what was passed over.

It holds ids and counts alone and fits into the state of a panel. Every decision names the label
that it is about, so a click that arrives twice, or late, decides nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import Any, TypeAlias

from bson import ObjectId

from ovsam_plugin.curation import decided_labels, decisions
from ovsam_plugin.curation.attributes import number
from ovsam_plugin.curation.decision import ACCEPTED, KINDS, REJECTED, RENAMED, Decision
from ovsam_plugin.curation.decisions import Progress
from ovsam_plugin.curation.review_figures import ReviewFigures, figures
from ovsam_plugin.curation.review_learning import LEARNING, learned
from ovsam_plugin.curation.review_queue import (
    PAGE,
    Entry,
    Filters,
    QueuedInstance,
    find_entries,
    load_instance,
    orders,
    queue,
)
from ovsam_plugin.dataset import writing
from ovsam_plugin.dataset.expressions import DECIDED
from ovsam_plugin.dataset.targets import Samples, root_dataset
from ovsam_plugin.scoring.orders import BY_ATTRIBUTE, ORDERS
from ovsam_plugin.vocabulary.names import clean_name

LabelIds: TypeAlias = str | Sequence[str]
"""One label's id, or those of labels that are decided together."""


@dataclass(frozen=True)
class ReviewSession:
    """Where a review stands.

    Attributes:
        field: the field under review.
        order: a key of `scoring.orders.ORDERS`.
        filters: classes and confidences that are asked for.
        waiting: the next instances, the first one being shown.
        skipped: ids of labels that were passed over; they come again when the queue starts again.
        progress: decided and open instances of what is reviewed.
        figures: what is open, for charts. Like the progress it is counted whenever a page is read,
            and in between by what is decided here: counting reads every label of the field.
        offered: the orders that the field could be sorted by at the start.
    """

    field: str
    order: str
    filters: Filters = dataclasses.field(default_factory=Filters)
    waiting: tuple[Entry, ...] = ()
    skipped: tuple[str, ...] = ()
    progress: Progress = dataclasses.field(default_factory=Progress)
    figures: ReviewFigures = dataclasses.field(default_factory=ReviewFigures)
    offered: tuple[str, ...] = ()

    @classmethod
    def start(
        cls,
        samples: Samples,
        field: str,
        order: str | None = None,
        filters: Filters | None = None,
    ) -> ReviewSession:
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
    def from_state(cls, state: Mapping[str, Any]) -> ReviewSession:
        """What `to_state` gave, after a way through JSON.

        Raises:
            ValueError: it is something else.
        """
        try:
            ORDERS[state["order"]]
            confidence = state["confidence"]
            return cls(
                field=str(state["field"]),
                order=state["order"],
                filters=Filters(tuple(state["classes"]), tuple(confidence) if confidence else None),
                waiting=tuple(Entry(**entry) for entry in state["waiting"]),
                skipped=tuple(state["skipped"]),
                progress=Progress(**state["progress"]),
                figures=ReviewFigures.from_state(state["figures"]),
                offered=tuple(state["offered"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is not a review ({error!r}): open it again") from None

    def to_state(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "field": self.field,
            "order": self.order,
            "classes": list(self.filters.classes),
            "confidence": list(self.filters.confidence) if self.filters.confidence else None,
            "waiting": [asdict(entry) for entry in self.waiting],
            "skipped": list(self.skipped),
            "progress": asdict(self.progress),
            "figures": self.figures.to_state(self.filters),
            "offered": list(self.offered),
        }

    def current(self, samples: Samples) -> tuple[ReviewSession, QueuedInstance | None]:
        """The instance to be shown, and the session with it in front; None at the queue's end.

        What was deleted, or decided by somebody else, since the page was read is passed over.
        """
        session = self
        passed: set[str] = set()
        while True:
            while session.waiting:
                first = session.waiting[0]
                found = load_instance(samples, self.field, first.sample_id, first.label_id)
                if found is not None and _review(found) not in KINDS:
                    return session, found
                passed.add(first.label_id)
                session = replace(session, waiting=session.waiting[1:])
            session = session._filled(samples)
            # What a view shows undecided, and the dataset otherwise or not at all, comes no more.
            stuck = [e.label_id for e in session.waiting if e.label_id in passed]
            session = session.skip(stuck)
            if not session.waiting and not stuck:
                return session, None

    def accept(self, samples: Samples, labels: LabelIds, by: str | None = None) -> ReviewSession:
        """The names of these labels are right; see `decisions.accept`.

        Raises:
            ValueError: as there; or somebody has decided otherwise meanwhile.
        """
        self._check_open(samples, labels, Decision(ACCEPTED))
        changed = decisions.accept(samples, self.field, labels, by=by)
        return self._decided(samples, labels, lambda _: ACCEPTED, changed)

    def rename(
        self, samples: Samples, labels: LabelIds, name: str, by: str | None = None
    ) -> ReviewSession:
        """These labels show something else; see `decisions.rename`.

        Raises:
            ValueError: as there; or somebody has decided otherwise meanwhile.
        """
        given = clean_name(name, "the new name")
        self._check_open(samples, labels, Decision(RENAMED, given))
        changed = decisions.rename(samples, self.field, labels, name, by=by)
        kind = lambda entry: ACCEPTED if entry.label == given else RENAMED  # noqa: E731
        return self._decided(samples, labels, kind, changed)

    def reject(self, samples: Samples, labels: LabelIds, by: str | None = None) -> ReviewSession:
        """These labels show nothing; see `decisions.reject`.

        Raises:
            ValueError: as there; or somebody has decided otherwise meanwhile.
        """
        self._check_open(samples, labels, Decision(REJECTED))
        changed = decisions.reject(samples, self.field, labels, by=by)
        return self._decided(samples, labels, lambda _: REJECTED, changed)

    def delete(self, samples: Samples, labels: LabelIds) -> ReviewSession:
        """Removes these labels from the dataset; that is not undone. What is decided stays.

        Raises:
            ValueError: one is not there.
        """
        ids = _listed(labels)
        found = find_entries(samples, self.field, self.order, ids)
        if len(found) < len(ids):
            raise ValueError("this instance is no longer there, or somebody has decided about it")
        gone = [(entry.sample_id, entry.label_id) for entry in found]
        writing.delete_labels(root_dataset(samples), self.field, gone, unless=DECIDED)
        return self.without(ids)._counted(samples)

    def _check_open(self, samples: Samples, labels: LabelIds, decision: Decision) -> None:
        """Whether nobody has decided about these labels in another way since they were shown."""
        ids = [ObjectId(i) for i in _listed(labels) if ObjectId.is_valid(i)]
        for label in decided_labels.now_on(root_dataset(samples), self.field, ids).values():
            review = label.get("review")
            if review in KINDS and not decision.stands_on(label):
                name = "" if review == REJECTED else f" as {label.get('label')!r}"
                raise ValueError(
                    f"{label.get('reviewed_by') or 'somebody'} has {review} this{name} meanwhile: "
                    "nothing was changed"
                )

    def skip(self, labels: LabelIds) -> ReviewSession:
        """Passes these labels over."""
        return replace(self.without(labels), skipped=(*self.skipped, *_listed(labels)))

    def without(self, labels: LabelIds) -> ReviewSession:
        """With these labels waiting no longer."""
        ids = set(_listed(labels))
        rest = tuple(entry for entry in self.waiting if entry.label_id not in ids)
        return replace(self, waiting=rest)

    def undo(self, samples: Samples, by: str | None = None) -> tuple[ReviewSession, int]:
        """Takes back the last decision and shows its labels again; also, how many they are."""
        undone = decisions.undo(samples, self.field, by=by)
        if not undone:
            return self, 0
        found = find_entries(samples, self.field, self.order, undone[:PAGE])
        rest = tuple(entry for entry in self.waiting if entry.label_id not in undone)
        session = replace(self, waiting=(*found, *rest))
        return session._counted(samples), len(undone)

    def _decided(
        self, samples: Samples, labels: LabelIds, kind: Callable[[Entry], str], changed: int
    ) -> ReviewSession:
        """What follows from a decision: the next instance is chosen, the counts go on."""
        ids = set(_listed(labels))
        gone = [entry for entry in self.waiting if entry.label_id in ids]
        session = self.without(labels)
        if not len(gone) == changed == len(ids):  # others wait behind; somebody else was faster
            return session._counted(samples)._refilled(samples)
        progress, figures = self.progress, self.figures
        for entry in gone:
            progress = progress.plus(kind(entry))
            figures = figures.less(entry.label, entry.confidence)
        return replace(session, progress=progress, figures=figures)._refilled(samples)

    def _refilled(self, samples: Samples) -> ReviewSession:
        """In its order after a decision, with another page where this one comes to its end."""
        # Half a page is left to choose from, as long as there is more.
        more = self.figures.matching - len(self.skipped) > len(self.waiting)
        if more and len(self.waiting) <= PAGE // 2:
            return self._filled(samples)
        return self._ranked(samples)

    def _ranked(self, samples: Samples) -> ReviewSession:
        if self.order != LEARNING:
            return self
        return replace(self, waiting=learned(samples, self.field, self.waiting))

    def recounted(self, samples: Samples) -> ReviewSession:
        """After somebody else changed labels, or scored them."""
        return replace(self, offered=tuple(orders(samples, self.field)))._counted(samples)

    def _counted(self, samples: Samples) -> ReviewSession:
        return replace(
            self,
            progress=decisions.progress(samples, self.field),
            figures=figures(samples, self.field, self.filters),
        )

    def _filled(self, samples: Samples) -> ReviewSession:
        """With a page waiting; those that were passed over lie in front of it."""
        page = queue(
            samples,
            self.field,
            self.order,
            filters=self.filters,
            limit=PAGE + len(self.skipped),
        )
        passed = set(self.skipped)
        waiting = tuple(entry for entry in page if entry.label_id not in passed)[:PAGE]
        return replace(self, waiting=waiting)._counted(samples)._ranked(samples)


def describe_instance(instance: QueuedInstance) -> dict[str, Any]:
    """What a person is told of an instance, as plain JSON values.

    Returns:
        `sample_id`, `label_id`, `label`, `image` (the file's name), `top` (names and scores, the
        model's best first, the label's own alone where there is no list), and `scores` by name.
    """
    label = instance.label
    names = list(label.get_attribute_value("top_labels", None) or [label.label])
    scores = list(label.get_attribute_value("top_scores", None) or [label.confidence])
    told = {name: number(label.get_attribute_value(name, None)) for name in BY_ATTRIBUTE}
    return {
        "sample_id": instance.sample_id,
        "label_id": label.id,
        "label": label.label,
        "image": PurePath(instance.filepath).name,
        "top": [[name, number(score)] for name, score in zip(names, scores)],
        "scores": {name: score for name, score in told.items() if score is not None},
    }


def _review(instance: QueuedInstance) -> Any:
    return instance.label.get_attribute_value("review", None)


def _listed(labels: LabelIds) -> list[str]:
    return [labels] if isinstance(labels, str) else list(dict.fromkeys(labels))
