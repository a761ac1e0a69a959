"""The published evaluation as a method gives the reference's own labels."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import parity
from ovsam_plugin.evaluation.published import Published
from ovsam_plugin.prediction.labeler import Labeler
from ovsam_plugin.prediction.prompts import Box, Points, Prompt
from ovsam_plugin.recognition.fusion import Fusion
from ovsam_plugin.recognition.recognizer import Recognizer
from ovsam_plugin.vocabulary.classifier import Classifier
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
SPLITS = {0: None, 1: "base", 2: "novel"}


@pytest.fixture(scope="module")
def golden() -> parity.Golden:
    return parity.Golden(GOLDEN)


def published(golden: parity.Golden, case: dict[str, Any]) -> Published:
    """The case's network and vocabulary."""
    classes = parity.golden_classes(golden, case)
    count = int(classes.owner[-1]) + 1
    groups = [0] * count if classes.split is None else classes.split.tolist()
    vocabulary = Vocabulary(
        "golden", tuple(Category(f"class {i}", split=SPLITS[g]) for i, g in enumerate(groups))
    )
    classifier = Classifier(vocabulary, classes.rows.numpy(), classes.owner.numpy())
    predictor = golden.predictor(case["model"])
    fusion = Fusion(seen_weight=case["alpha"], unseen_weight=case["beta"])
    predictor.preset = replace(predictor.preset, fusion=fusion)
    return Published(Labeler(predictor, Recognizer(classifier, fusion), chunk=4))


@pytest.mark.parametrize("name", ["RN50_points", "RN50_points_nobn", "RN50_boxes"])
def test_labels_are_those_of_the_reference(
    golden: parity.Golden, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next(c for c in golden.cases if c["id"] == name)
    z, method = golden.arrays(case["file"]), published(golden, case)
    encoding = golden.encoding(case["model"], case["image"])  # the same for all cases: once
    monkeypatch.setattr(golden.predictor(case["model"]), "encode", lambda frames: [encoding])
    image = golden.image(case["image"])
    scale = golden.predictor(case["model"]).preprocess(image).scale
    prompts: list[Prompt]
    if case["use_point"]:
        prompts = [Points((tuple(xy[0] / scale),)) for xy in z["point_coords"].astype(float)]
        truth = z["clip_rois"][:, 1:].astype(float)  # pixels of the original, as the reference has
    else:
        truth = z["rois_gt_bboxes"].astype(float) / np.tile(scale, 2)
        prompts = [Box(tuple(box)) for box in truth]
    instances, names = method.label_knowing(image, prompts, truth)
    assert len(instances) == len(names) == case["num_prompts"]
    clear = np.array(case["label_margin"]) > parity.LABEL_MARGIN
    assert clear.sum() > 3
    assert names.indices[clear].tolist() == z["labels"][clear].tolist()
    probabilities = z["fused_softmax_fg"].max(-1).ravel()
    assert names.confidence[clear] == pytest.approx(probabilities[clear], abs=5e-4)
    source = golden.arrays(case.get("masks_same_as", case["file"]))
    shape = tuple(source["masks_shape"].tolist())
    masks = np.unpackbits(source["masks_packed"], axis=-1, count=shape[-1]).reshape(shape)
    for i, mask in enumerate(masks.reshape(-1, *shape[-2:]).astype(bool)):
        assert (instances.full_mask(i) != mask).mean() < 1e-3
    assert math.isfinite(method.seconds)
