"""What an evaluation gives, whoever made the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovsam_plugin.evaluation.metrics import Outcomes
from ovsam_plugin.evaluation.protocols import MIN_IOU, Protocol
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

if TYPE_CHECKING:  # labels that are there are evaluated without torch
    from ovsam_plugin.network.cost import Cost

COST_PROMPTS = 10
"""Prompts an image that costs are counted for, as the paper does."""


@dataclass(frozen=True, eq=False)
class MethodResult:
    """One method's answers.

    Attributes:
        name: the method's.
        outcomes: one an instance that was evaluated.
        named: whether it gives names.
        others: names outside the vocabulary that it may give, see `metrics.outside`.
        rows: its answers as COCO results, ids as in `Evaluated.truth`.
        detector_rows: the same under the detector's classes and scores; empty without those.
        surplus: answers that matched no truth (greedy protocols).
        seconds: a mean image's; NaN for labels that were made before.
        cost: of an image with ten box prompts; None for labels that were made before.
    """

    name: str
    outcomes: Outcomes
    named: bool
    rows: list[dict[str, Any]]
    detector_rows: list[dict[str, Any]]
    surplus: int
    seconds: float
    cost: Cost | None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What an evaluation gives.

    Attributes:
        vocabulary: the classes that were answered from, with their splits and frequencies.
        protocol: what was asked.
        paths: of the images that were evaluated, by their place in `Outcomes.image`.
        methods: one result a method.
        truth: a COCO annotation file's content, of exactly what was evaluated.
        federated: whether it has LVIS's lists.
        problems: why images and annotations were left out.
        notes: what else to know before believing the figures.
        asked: what else decided it, such as files and the hash of weights, by name.
        min_iou: least IoU of a greedy pair.
        slices: by a field of the samples, by group, the places of its images in `paths`.
    """

    vocabulary: Vocabulary
    protocol: Protocol
    paths: tuple[Path, ...]
    methods: tuple[MethodResult, ...]
    truth: dict[str, Any]
    federated: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    min_iou: float = MIN_IOU
    asked: Mapping[str, str] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
