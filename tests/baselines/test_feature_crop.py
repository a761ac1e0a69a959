"""The encoder's features of the whole image, pooled under each mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ovsam_plugin.baselines.feature_crop import FeatureCrop, cell_shares
from ovsam_plugin.baselines.segmenter import Segmented
from ovsam_plugin.namers.tower import Tower
from ovsam_plugin.prediction.instances import Instances, PackedMasks
from ovsam_plugin.prediction.labeler import Labeler
from ovsam_plugin.prediction.prompts import Points

from .conftest import CAT


@pytest.fixture
def segmented(labeler: Labeler, photograph: np.ndarray) -> Segmented:
    predictor = labeler.predictor
    (encoding,) = predictor.encode([predictor.preprocess(photograph)])
    return Segmented(predictor.decode(encoding, [CAT]), encoding)


def with_masks(instances: Instances, *masks: np.ndarray) -> Instances:
    """As many instances as there are masks, each in its own box at the corner."""
    boxes = np.array([[0, 0, m.shape[1], m.shape[0]] for m in masks])
    some = instances[np.zeros(len(masks), dtype=np.int64)]
    points = tuple(Points(((1.0, 1.0),)) for _ in masks)
    return replace(some, boxes=boxes, masks=PackedMasks.pack(list(masks)), prompts=points)


def test_a_cell_counts_by_the_share_of_it_under_the_mask(segmented: Segmented) -> None:
    half = np.zeros((8, 8), bool)
    half[:, :4] = True
    corner = np.zeros((8, 8), bool)
    corner[:2, :1] = True
    shares = cell_shares(with_masks(segmented.instances, half, corner), 4)
    assert shares.shape == (2, 4, 4)
    assert shares[0].tolist() == [[1, 1, 0, 0]] * 4
    assert shares[1].flatten().tolist() == [0.5] + [0] * 15


def test_the_segmenter_s_own_map_is_read_instead_of_made_again(
    labeler: Labeler, photograph: np.ndarray, segmented: Segmented, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = Tower.of(labeler.predictor)
    alone = FeatureCrop(tower, shared=False).embed(photograph, segmented)
    monkeypatch.setattr(tower, "last_stage", lambda image: pytest.fail("it was made again"))
    shared = FeatureCrop(tower, shared=True).embed(photograph, segmented)
    assert shared.shape == (1, tower.description.embed_dim)
    cosine = (alone @ shared.T) / np.linalg.norm(alone) / np.linalg.norm(shared)
    assert cosine.item() == pytest.approx(1, abs=1e-3)


def test_what_lies_off_the_mask_is_not_read_and_an_empty_mask_has_zeros(
    labeler: Labeler, photograph: np.ndarray, segmented: Segmented
) -> None:
    crop = FeatureCrop(Tower.of(labeler.predictor), shared=True)
    whole = np.ones((200, 200), bool)
    left = whole.copy()
    left[:, 100:] = False
    instances = with_masks(segmented.instances, whole, left, np.zeros((0, 0), bool))
    found = crop.embed(photograph, replace(segmented, instances=instances))
    assert not found[2].any()
    assert np.abs(found[0] - found[1]).max() > 1e-3
    none = crop.embed(photograph, replace(segmented, instances=instances[np.array([], np.int64)]))
    assert none.shape == (0, found.shape[1])


def test_a_map_of_its_own_costs_the_encoder_once(labeler: Labeler) -> None:
    tower = Tower.of(labeler.predictor)
    own, shared = (FeatureCrop(tower, shared=s).cost(3) for s in (False, True))
    assert shared.parameters == 0
    assert own.multiply_adds - shared.multiply_adds == tower.cost_of_image().multiply_adds
    assert torch.is_tensor(next(tower.encoder.parameters()))
