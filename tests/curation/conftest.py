"""Instances to review: real photographs, labels made by hand so that every order is known."""

from __future__ import annotations

import fiftyone as fo
import numpy as np
import pytest

from ovsam_plugin.curation.attributes import declare
from ovsam_plugin.dataset.fields import declare_fields, relative_box

# Image, name, confidence, margin, head and CLIP scores, stability; (x1, y1, x2, y2) pixels.
LABELS = (
    (0, "cat", 0.9, 0.8, 0.9, 0.9, 0.7, (40, 20, 140, 120)),
    (0, "dog", 0.3, 0.1, 0.2, 0.8, 0.9, (150, 60, 250, 110)),
    (0, "cup", 0.5, 0.05, 0.6, 0.5, 0.99, (260, 200, 300, 280)),
    (1, "cup", 0.7, 0.6, 0.1, 0.9, 0.8, (60, 60, 220, 260)),
    (1, "spoon", 0.2, 0.15, 0.35, 0.3, 0.6, (300, 100, 380, 180)),
    (2, "person", 0.6, 0.3, 0.7, 0.55, 0.5, (100, 10, 300, 400)),
)
FIELD = "ovsam"


@pytest.fixture
def labelled(dataset: fo.Dataset) -> fo.Dataset:
    """The photographs with LABELS in FIELD, and on the last one an instance without a mask."""
    dataset.compute_metadata(num_workers=1, progress=False)
    declare_fields(dataset, FIELD)
    declare(dataset, FIELD)
    for index, sample in enumerate(dataset.iter_samples(autosave=True)):
        size = sample.metadata.height, sample.metadata.width
        made = [_detection(*row[1:], size) for row in LABELS if row[0] == index]
        if index == 2:
            made.append(fo.Detection(label=None, bounding_box=[0, 0, 0.1, 0.1], confidence=0.0))
        sample[FIELD] = fo.Detections(detections=made)
    return dataset


@pytest.fixture
def ids(labelled: fo.Dataset) -> dict[str, str]:
    """Label ids by a name of the test's: the class, with the second cup as `cup2`."""
    found: dict[str, str] = {}
    for sample in labelled:
        for label in sample[FIELD].detections:
            name = label.label or "nothing"
            found[f"{name}2" if name in found else name] = label.id
    return found


def _detection(
    name: str,
    confidence: float,
    margin: float,
    head: float,
    clip: float,
    stability: float,
    xyxy: tuple[int, int, int, int],
    size: tuple[int, int],
) -> fo.Detection:
    x1, y1, x2, y2 = xyxy
    rows, columns = np.mgrid[: y2 - y1, : x2 - x1]
    # An ellipse: a mask that is neither empty nor its whole box.
    mask = (2 * rows / (y2 - y1) - 1) ** 2 + (2 * columns / (x2 - x1) - 1) ** 2 <= 1
    return fo.Detection(
        label=name,
        bounding_box=relative_box(xyxy, size),
        mask=mask,
        confidence=confidence,
        margin=margin,
        head_score=head,
        clip_score=clip,
        stability=stability,
        top_labels=[name, "lamp", "book", "boat", "tree"],
        top_scores=[confidence, confidence - margin, 0.01, 0.005, 0.001],
    )
