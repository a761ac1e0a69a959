"""Figures over instances: the paper's, and what explains them. Numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from ovsam_plugin.evaluation.resampling import Interval, mean_intervals
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

SIZES = (("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, np.inf))
"""COCO's, in pixels of the true mask: from the first number on, below the second."""

FREQUENCIES = (("rare", "r"), ("common", "c"), ("frequent", "f"))
BINS = 15

UNNAMED = -1
"""What stands for an answer without a name."""


def outside(place: int) -> int:
    """What stands for an answer outside the vocabulary, by its name's place in a list of such
    names, and back: -2, -3, ... for 0, 1, ..."""
    return UNNAMED - 1 - place


@dataclass(frozen=True, eq=False)
class Outcomes:
    """N true instances, crowds left out, and the answer that each got.

    Attributes:
        truth: (N,) int64, the right class, a place in the vocabulary.
        answer: (N,) int64, the class that was answered; `UNNAMED` where nothing was, or no name,
            and below that a name outside the vocabulary, see `outside`.
        iou: (N,) float64 in 0..1 of the masks at the image's own size, whatever the names; 0 where
            nothing was answered.
        confidence: (N,) float64 in 0..1, of the answer; 0 where there is none.
        area: (N,) int64, pixels of the true mask.
        image: (N,) int64, which image it is on.
    """

    truth: npt.NDArray[np.int64]
    answer: npt.NDArray[np.int64]
    iou: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    area: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the answer is the right class."""
        return np.equal(self.truth, self.answer)

    def __getitem__(self, keep: npt.NDArray[np.bool_]) -> Outcomes:
        """Those where a bool array is True."""
        return Outcomes(*(getattr(self, field.name)[keep] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """One after the other; none of any gives none."""
        kinds = (np.int64, np.int64, np.float64, np.float64, np.int64, np.int64)
        return cls(*(
            np.concatenate([np.zeros(0, kind), *(getattr(part, field.name) for part in parts)])
            for field, kind in zip(fields(cls), kinds)
        ))  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Figures of one group of instances.

    Attributes:
        group: what they have in common.
        instances: how many.
        iou: mean over instances, NaN of none.
        accuracy: share whose answer is the right class, NaN of none.
    """

    group: str
    instances: int
    iou: float
    accuracy: float


def row(outcomes: Outcomes, group: str) -> Row:
    """The figures of these instances."""
    if not len(outcomes):
        return Row(group, 0, float("nan"), float("nan"))
    return Row(group, len(outcomes), float(outcomes.iou.mean()), float(outcomes.right.mean()))


def by_split(outcomes: Outcomes, vocabulary: Vocabulary) -> dict[str, Row]:
    """Rows "all", "base" and "novel" (IoU_b, IoU_n, Acc_b, Acc_n and Acc of the paper)."""
    split = np.array([category.split or "" for category in vocabulary])[outcomes.truth]
    parts = {part: row(outcomes[split == part], part) for part in ("base", "novel")}
    return {"all": row(outcomes, "all"), **parts}


def split_intervals(
    outcomes: Outcomes, vocabulary: Vocabulary, *, named: bool = True
) -> dict[str, Interval]:
    """Bootstrap intervals of "IoU" and, where there are names, "Acc"; those of base and novel
    classes with "_b" and "_n" behind, where there are any."""
    split = np.array([category.split or "" for category in vocabulary])[outcomes.truth]
    parts = {"": np.ones(len(outcomes), bool), "_b": split == "base", "_n": split == "novel"}
    found: dict[str, Interval] = {}
    for mark, keep in parts.items():
        if mark and not keep.any():
            continue
        some = outcomes[keep]
        columns = np.stack([some.iou, some.right.astype(np.float64)], axis=1)
        iou, accuracy = mean_intervals(columns, some.image)
        found[f"IoU{mark}"] = iou
        if named:
            found[f"Acc{mark}"] = accuracy
    return found


def by_frequency(outcomes: Outcomes, vocabulary: Vocabulary) -> list[Row]:
    """Rare, common, frequent; nothing where the vocabulary has no frequencies."""
    if not any(category.frequency for category in vocabulary):
        return []
    frequency = np.array([category.frequency or "" for category in vocabulary])[outcomes.truth]
    return [row(outcomes[frequency == mark], name) for name, mark in FREQUENCIES]


def by_size(outcomes: Outcomes) -> list[Row]:
    """Small, medium, large."""
    area = outcomes.area
    return [row(outcomes[(area >= low) & (area < high)], name) for name, low, high in SIZES]


def by_class(outcomes: Outcomes, vocabulary: Vocabulary) -> list[Row]:
    """Every class that has an instance, in the vocabulary's order."""
    present = np.unique(outcomes.truth)
    return [row(outcomes[outcomes.truth == k], vocabulary.names[k]) for k in present]


def worst_classes(outcomes: Outcomes, vocabulary: Vocabulary, most: int = 20) -> list[Row]:
    """The classes most often wrong, those with more instances first where they are equally so."""
    rows = by_class(outcomes, vocabulary)
    return sorted(rows, key=lambda r: (r.accuracy, -r.instances, r.iou))[:most]


@dataclass(frozen=True)
class Confusion:
    """How often one class was answered for another."""

    truth: str
    answer: str
    count: int


def confusions(
    outcomes: Outcomes, vocabulary: Vocabulary, others: Sequence[str] = (), most: int = 20
) -> list[Confusion]:
    """The most frequent wrong answers.

    Args:
        outcomes: instances and their answers.
        vocabulary: of the classes.
        others: names outside it that were answered, see `outside`.
        most: how many.
    """
    wrong = outcomes[~outcomes.right & (outcomes.answer != UNNAMED)]
    pairs, counts = np.unique(
        np.stack([wrong.truth, wrong.answer], axis=1), axis=0, return_counts=True
    )
    names = vocabulary.names
    order = np.argsort(-counts, kind="stable")[:most]
    found = ((*pairs[i].tolist(), int(counts[i])) for i in order)
    return [
        Confusion(names[truth], names[said] if said >= 0 else others[outside(said)], count)
        for truth, said, count in found
    ]


@dataclass(frozen=True, eq=False)
class Reliability:
    """How far confidences can be believed (Guo et al., On Calibration of Modern Neural Networks).

    Attributes:
        edges: (B + 1,) of equally wide bins of confidence over 0..1.
        counts: (B,) answers in each; a confidence on an edge counts below it.
        confidence, accuracy: (B,) means in each, NaN where it is empty.
        error: expected calibration error, the mean over answers of |accuracy - confidence| of
            their bin; NaN without answers.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    error: float


def reliability(outcomes: Outcomes, bins: int = BINS) -> Reliability:
    """Over the instances that got a name."""
    answered = outcomes[outcomes.answer != UNNAMED]
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], answered.confidence, side="left")
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, answered.confidence, bins) / counts
        accuracy = np.bincount(place, answered.right, bins) / counts
    gaps = np.nan_to_num(np.abs(accuracy - confidence))
    error = float(gaps @ counts / counts.sum()) if counts.sum() else float("nan")
    return Reliability(edges, counts, confidence, accuracy, error)


def worst_images(outcomes: Outcomes, most: int = 12) -> list[int]:
    """Images whose instances are worst answered: by the mean of IoU, counted 0 where wrong."""
    images, place = np.unique(outcomes.image, return_inverse=True)
    worth = np.bincount(place, outcomes.iou * outcomes.right) / np.bincount(place)
    return [int(images[i]) for i in np.argsort(worth, kind="stable")[:most]]
