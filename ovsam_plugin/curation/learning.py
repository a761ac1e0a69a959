"""Names that get better with every decision: learned from some instances, given to the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ovsam_plugin.consent import ConsentError, Setting
from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.curation.decision import KINDS, REJECTED
from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.curation.relabeling import RelabelSummary, relabel_dataset
from ovsam_plugin.dataset import edits, embedding_index, runs
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embeddings import StoredEmbeddings
from ovsam_plugin.dataset.examples import run_adapter
from ovsam_plugin.dataset.overwriting import Overwrite
from ovsam_plugin.dataset.targets import Samples, root_dataset
from ovsam_plugin.hardware.device import pick_device
from ovsam_plugin.prediction.labeler import build_recognizer
from ovsam_plugin.recognition.adapter import Adapter, without_added
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.recognition.recognizer import Recognizer
from ovsam_plugin.renaming import renamed
from ovsam_plugin.scoring.deciding import Decisions, Gain, Prior, cross_validated, fit_head
from ovsam_plugin.vocabulary.names import clean_name
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

MIN_DECISIONS = 20
"""Decided names from which anything is learned."""

MIN_PHOTOGRAPHS = 5
"""Photographs that they lie on, so that the gain can be judged on others."""

# Decisions named at once by the words, whose scores of 22,000 classes are not all kept.
_PART = 2000


@dataclass(frozen=True)
class Lesson:
    """What the decisions about a run teach; nothing is written.

    Attributes:
        adapter: what was learned.
        gain: what it is worth, by cross-validation over photographs.
        decisions: that were learned from, rejected ones included.
        rejected: of those, instances of nothing.
        added: names that people gave and the vocabulary did not have.
        unused: decisions about instances without an embedding, or whose box or mask was changed.
    """

    adapter: Adapter
    gain: Gain
    decisions: int
    rejected: int
    added: tuple[str, ...]
    unused: int

    def __str__(self) -> str:
        gain = self.gain
        more = f"; new names: {', '.join(self.added)}" if self.added else ""
        return (
            f"learned from {self.decisions:,} decisions{more}. Of {gain.judged:,} decided names, "
            f"tested on photographs that were not learned from, {gain.before:,} were right before "
            f"and {gain.after:,} are now"
        )


@dataclass(frozen=True)
class LearnSummary:
    """What learning did.

    Attributes:
        lesson: what was learned.
        names: how the naming of the field went; of it, `field` is the new field.
    """

    lesson: Lesson
    names: RelabelSummary


@renamed(field="pred_field", into="label_field")
def learn_from_decisions(
    samples: Samples,
    *,
    pred_field: str = "ovsam",
    label_field: str | None = None,
    device: str = "auto",
) -> Lesson:
    """What the decisions about a run teach, and what that is worth; writes nothing.

    The scores that words give stay; what is learned is added to those of the classes that people
    decided about. Accepted and renamed instances teach their names, rejected ones "none of these".

    Args:
        samples: a dataset or view of images.
        pred_field: a field that `label_dataset` or `relabel_dataset` filled, with decisions.
        label_field: a field that was named from it; decisions in it count too, before those
            of `pred_field`.
        device: "auto", "cpu", "cuda", ...

    Returns:
        what was learned, for `learn_names`, and how many decided names are right with it.

    Raises:
        ValueError: no run filled the field, its embeddings or classes are not kept, or the
            decisions are too few; the message says how many are needed.
    """
    dataset = root_dataset(samples)
    samples = own_detections(samples, pred_field)
    recorded = runs.required(dataset, pred_field)
    vocabulary = runs.required_vocabulary(dataset, pred_field)
    decided = _decided(samples, pred_field, pred_field if label_field is None else label_field)
    embeddings = embedding_index.load(dataset, pred_field)
    rows = embeddings.rows(list(decided))
    edited = edits.edited(samples, pred_field)
    usable = (rows >= 0) & np.array([i not in edited for i in decided], dtype=bool)
    told = [one for one, use in zip(decided.values(), usable) if use]
    _check_enough(pred_field, told, int((~usable).sum()))

    earlier = without_added(vocabulary, recorded.get("added") or 0)
    classes, added = _with_names(earlier, told)
    embedder = Embedder.of(recorded)
    recognizer = build_recognizer(embedder.side, classes, pick_device(device))
    shown, _ = run_adapter(dataset, classes, embedder, device)
    if shown is not None:
        recognizer = recognizer.adapted(shown)
    places = np.array([_place(classes, one.name) for one in told], dtype=np.int64)
    taught, targets = np.unique(places, return_inverse=True)
    some = embeddings[rows[usable]]
    decisions = Decisions(
        vectors=some.vectors,
        prior=_prior(recognizer, some, taught),
        classes=targets.astype(np.int64),
        groups=np.unique([one.photograph for one in told], return_inverse=True)[1],
        rejected=bool((places == len(classes)).any()),
    )
    gain = cross_validated(decisions)
    learned = Adapter(
        vocabulary=classes,
        classes=taught,
        weights=fit_head(decisions),
        network=embedder.fingerprint,
        added=len(added),
        provenance={
            "preset": recorded["preset"],
            "namer": recorded.get("namer"),
            "decisions": len(told),
            "judged": gain.judged,
            "right_before": gain.before,
            "right_after": gain.after,
        },
    )
    rejected = int((places == len(classes)).sum())
    return Lesson(learned.over(shown), gain, len(told), rejected, added, int((~usable).sum()))


@renamed(field="pred_field", into="label_field")
def learn_names(
    samples: Samples,
    *,
    pred_field: str = "ovsam",
    label_field: str | None = None,
    lesson: Lesson | None = None,
    save: str | Path | None = None,
    min_confidence: float | None = None,
    calibration: Calibration | str | Path | None = None,
    anyway: bool = False,
    device: str = "auto",
    overwrite: Overwrite = False,
) -> LearnSummary:
    """Learns from the decisions about a run, and names its instances anew in a field of their own.

    The new field has the ids, masks and boxes of the old, so that both can be compared, and is
    taken back by `remove_run`. What a person decided keeps its name. No image is looked at again.

    Args:
        samples: a dataset or view of images.
        pred_field: a field that `label_dataset` or `relabel_dataset` filled, with decisions.
        label_field: the new field; `<field>_learned` when None. Decisions in it count too.
        lesson: of `learn_from_decisions`, where it was shown before; it is learned when None.
        save: a file for what was learned, which `label_dataset(..., adapter=FILE)` applies to new
            photographs.
        min_confidence: labels below it are left out; None keeps every answer.
        calibration: of the confidences, or its file.
        anyway: whether names are written although fewer decided ones are right with them.
        device: "auto", "cpu", "cuda", ...
        overwrite: as for `relabel_dataset`.

    Returns:
        what was done.

    Raises:
        ValueError: as for `learn_from_decisions` and `relabel_dataset`; or learning makes names
            worse. Nothing is written then.
    """
    label_field = label_field or f"{pred_field}_learned"
    if lesson is None:
        lesson = learn_from_decisions(
            samples, pred_field=pred_field, label_field=label_field, device=device
        )
    if lesson.gain.after < lesson.gain.before and not anyway:
        raise ConsentError(
            f"learning would make names worse, and nothing was written ({lesson})",
            "decide about more instances",
            Setting("anyway"),
        )
    names = relabel_dataset(
        samples,
        vocabulary=lesson.adapter.vocabulary,
        pred_field=pred_field,
        label_field=label_field,
        min_confidence=min_confidence,
        calibration=calibration,
        adapter=lesson.adapter,
        device=device,
        overwrite=overwrite,
    )
    if save is not None:
        lesson.adapter.save(save)
    return LearnSummary(lesson, names)


@dataclass(frozen=True)
class _Decided:
    """A decision: the name, None for none of these, and the photograph's id."""

    name: str | None
    photograph: str


def _decided(samples: Samples, *fields: str) -> dict[str, _Decided]:
    """By label id; the decision in a later field counts."""
    found: dict[str, _Decided] = {}
    for field in dict.fromkeys(fields):
        if root_dataset(samples).get_field(field) is None:
            continue
        table = LabelTable.read(samples, field, ("label", "review"))
        columns = zip(table.ids, table.samples, *table.columns.values())
        for label_id, owner, name, review in columns:
            if review == REJECTED:
                found[label_id] = _Decided(None, str(owner))
            elif review in KINDS and name:
                found[label_id] = _Decided(name, str(owner))
    return found


def _check_enough(field: str, told: list[_Decided], unused: int) -> None:
    names = [one for one in told if one.name is not None]
    photographs = len({one.photograph for one in names})
    if len(names) >= MIN_DECISIONS and photographs >= MIN_PHOTOGRAPHS:
        return
    lost = f" ({unused} more have no embedding, or were edited since)" if unused else ""
    raise ValueError(
        f"{len(names)} accepted or renamed instances of field {field!r}, on {photographs} "
        f"photographs, are too few to learn from{lost}: {MIN_DECISIONS} are needed, on "
        f"{MIN_PHOTOGRAPHS} photographs. Decide about more of them, most doubtful first"
    )


def _with_names(vocabulary: Vocabulary, told: list[_Decided]) -> tuple[Vocabulary, tuple[str, ...]]:
    """With those decided names that the vocabulary does not have, and these names."""
    names = {one.name: None for one in told if one.name and vocabulary.find(one.name) is None}
    added: list[Category] = []
    for name in sorted(names):
        if not added or Vocabulary("added", tuple(added)).find(name) is None:
            added.append(Category(clean_name(name)))
    if not added:
        return vocabulary, ()
    whole = Vocabulary(f"{vocabulary.name}+{len(added)}", (*vocabulary.categories, *added))
    return whole, tuple(category.name for category in added)


def _place(vocabulary: Vocabulary, name: str | None) -> int:
    if name is None:
        return len(vocabulary)
    place = vocabulary.find(name)
    assert place is not None
    return place


def _prior(recognizer: Recognizer, some: StoredEmbeddings, taught: npt.NDArray[np.int64]) -> Prior:
    parts = []
    for start in range(0, len(some), _PART):
        part = some[np.arange(start, min(start + _PART, len(some)))]
        solid = np.zeros(len(part), dtype=bool)
        parts.append(Prior.of(recognizer.log_scores(part.head, part.clip, solid), taught))
    return Prior(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("scores", "rest", "rival")
        )
    )
