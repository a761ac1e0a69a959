"""SAM in the place of OVSAM's network, against its authors' own predictor.

Masks may differ by single pixels at their edges: theirs are resized in two steps.
"""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from ovsam_plugin import label_dataset
from ovsam_plugin.checkpoints import preset_weights
from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.zoo_source import SAM_MODELS
from ovsam_plugin.prediction.predictor import Predictor, load_predictor
from ovsam_plugin.prediction.prompts import Box, Mask, Points
from ovsam_plugin.prediction.sam import SamNetwork
from ovsam_plugin.presets import SAM_PRESETS
from tests.baselines.test_two_backbones import SIDE, tiny_sam
from tests.namers.open_clip_model import write_model


@pytest.fixture(scope="module")
def sam() -> Sam:
    return tiny_sam().requires_grad_(False)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """As large as the network sees it, so that nothing is resized on the way in."""
    from skimage import data

    return np.ascontiguousarray(data.chelsea()[:SIDE, 100 : 100 + SIDE])


@pytest.fixture
def predictor(sam: Sam) -> Predictor:
    return Predictor(SamNetwork(sam), SAM_PRESETS["sam-clip"], "hash")


def test_masks_are_those_of_sams_own_predictor(
    sam: Sam, predictor: Predictor, photograph: np.ndarray
) -> None:
    theirs = SamPredictor(sam)
    theirs.set_image(photograph)
    box = (20.0, 10.0, 110.0, 100.0)
    prompts = [
        Box(box),
        Points(((60.0, 50.0),)),
        Points(((60.0, 50.0), (5.0, 5.0)), (1, 0)),
    ]
    (encoding,) = predictor.encode([predictor.preprocess(photograph)])
    ours = predictor.decode(encoding, prompts)
    boxed, _, _ = theirs.predict(box=np.array(box), multimask_output=False)
    three, scores, _ = theirs.predict(
        point_coords=np.array([[60.0, 50.0]]), point_labels=np.array([1])
    )
    both, _, _ = theirs.predict(
        point_coords=np.array([[60.0, 50.0], [5.0, 5.0]]),
        point_labels=np.array([1, 0]),
        multimask_output=False,
    )
    for row, mask in enumerate((boxed[0], three[scores.argmax()], both[0])):
        assert (ours.full_mask(row) != mask).mean() < 0.005, row


def test_a_mask_that_is_given_stays(predictor: Predictor, photograph: np.ndarray) -> None:
    drawn = np.zeros(photograph.shape[:2], bool)
    drawn[30:90, 20:70] = True
    (encoding,) = predictor.encode([predictor.preprocess(photograph)])
    found = predictor.decode(encoding, [Mask(drawn)])
    np.testing.assert_array_equal(found.full_mask(0), drawn)


def test_without_its_checkpoint_it_says_what_to_give() -> None:
    with pytest.raises(FileNotFoundError, match=r"sam-clip draws its masks with .*as the weights"):
        load_predictor("sam-clip", device="cpu")


def test_boxes_are_drawn_by_sam_and_named_by_open_clip(
    dataset: fo.Dataset, sam: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sam.pth").write_bytes(b"read by its name alone here")
    monkeypatch.setattr(preset_weights, "load_sam", lambda path: sam)
    namer = write_model(tmp_path)
    for sample in dataset:
        asks = [fo.Detection(bounding_box=[0.2, 0.1, 0.6, 0.8])]
        sample["asks"] = fo.Detections(detections=asks)
        sample.save()
    settings = {
        "preset": "sam-clip",
        "weights": tmp_path / "sam.pth",
        "namer": namer,
        "vocabulary": "cat, cup, woman",
        "device": "cpu",
        "workers": 0,
        "progress": False,
    }
    summary = label_dataset(dataset, box_field="asks", **settings)
    assert summary.failed + summary.instances == 3
    assert summary.instances
    kept = embedding_index.load(dataset, "ovsam")
    assert kept.vectors.shape == (summary.instances, 96)
    recorded = runs.recorded(dataset, "ovsam")
    assert recorded is not None
    assert (recorded["preset"], recorded["namer"]) == ("sam-clip", namer)
    every = label_dataset(dataset[:1], label_field="all", grid=4, **settings)
    assert every.failed == 0


def test_every_preset_that_draws_alone_says_who_names_and_its_licence() -> None:
    assert list(SAM_MODELS) == list(SAM_PRESETS)
    for name, preset in SAM_PRESETS.items():
        assert SAM_MODELS[name].min_objectness == preset.min_objectness
        assert preset.namer == preset.text_tower
        assert preset.licence.endswith("free for commercial use")
