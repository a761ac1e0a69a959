from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ovsam_plugin.prediction.labeler import Labeler, load_labeler
from ovsam_plugin.prediction.prompts import Box
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.training.calibrating import calibrate
from ovsam_plugin.training.examples import Annotated

CAT, CUP = Box((110.0, 20.0, 410.0, 290.0)), Box((150.0, 100.0, 450.0, 330.0))
WORDS = "cat, cup, person"


@pytest.fixture(scope="module")
def labeler() -> Labeler:
    return load_labeler(vocabulary=WORDS, device="cpu")


@pytest.fixture(scope="module")
def named() -> list[Annotated]:
    from skimage import data

    return [
        Annotated(data.chelsea(), (CAT, CAT, Box((0, 0, 30, 30))), ("cat", "cup", "unheard of")),
        Annotated(data.coffee(), (CUP,), ("cup",)),
    ]


def test_a_calibrated_labeler_answers_with_other_confidences(
    labeler: Labeler, named: list[Annotated]
) -> None:
    made = calibrate(labeler, named, min_instances=1)
    assert made.provenance["instances"] == 3
    # One of two equal answers is wrong, so nobody should be this sure.
    assert made.temperature > 1.2
    assert "cat" in made.thresholds
    calibrated = load_labeler(vocabulary=WORDS, device="cpu", calibration=made)
    _, before = labeler.label_image(named[0].image, [CAT])
    _, after = calibrated.label_image(named[0].image, [CAT])
    assert after.names == before.names
    assert after.confidence[0] < before.confidence[0] - 0.05
    np.testing.assert_allclose(after.head_score, before.head_score, atol=1e-6)
    scores = labeler.recognizer.log_scores(
        *[np.ones((1, 384), np.float32)] * 2, np.zeros(1, dtype=bool)
    )
    assert scores.shape == (1, 4)


def test_answers_below_the_least_confidence_of_their_class_are_left_out(labeler: Labeler) -> None:
    from skimage import data

    for least, kept in ((0.0, 1), (1.0, 0)):
        calibration = Calibration(
            thresholds={"cat": least},
            weights=labeler.predictor.weights_hash,
            vocabulary=labeler.recognizer.vocabulary.hash,
        )
        made = Labeler(labeler.predictor, labeler.recognizer, calibration=calibration)
        instances, names = made.label_image(data.chelsea(), [CAT])
        assert len(instances) == len(names) == kept


def test_a_calibration_of_other_weights_is_refused(labeler: Labeler) -> None:
    vocabulary = labeler.recognizer.vocabulary.hash
    foreign = Calibration(weights="f" * 64, vocabulary=vocabulary)
    with pytest.raises(ValueError, match="another weights"):
        Labeler(labeler.predictor, labeler.recognizer, calibration=foreign)


def annotate(images: list[Path], path: Path) -> Path:
    """A COCO file of the first two photographs, with a crowd, an empty box and one off the edge."""
    boxes = [
        (1, 1, (110, 20, 300, 270), 0),
        (1, 1, (0, 0, 50, 50), 1),
        (1, 2, (10, 10, 0, 5), 0),
        (2, 2, (150, 100, 300, 230), 0),
        (2, 1, (9000, 0, 5, 5), 0),
    ]
    content = {
        "images": [
            {"id": 1, "file_name": images[0].name, "width": 451, "height": 300},
            {"id": 2, "coco_url": f"http://x/{images[1].name}", "width": 600, "height": 400},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "cup"}],
        "annotations": [
            {"id": i, "image_id": im, "category_id": c, "bbox": b, "iscrowd": crowd}
            for i, (im, c, b, crowd) in enumerate(boxes)
        ],
    }
    path.write_text(json.dumps(content))
    return path


def test_a_file_of_a_calibration_may_be_a_text(labeler: Labeler, tmp_path: Path) -> None:
    made = Calibration(
        temperature=2.0,
        weights=labeler.predictor.weights_hash,
        vocabulary=labeler.recognizer.vocabulary.hash,
    )
    path = tmp_path / "calibration.json"
    made.save(str(path))
    for given in (made, path, str(path)):
        assert Calibration.of(given) == made
        read = load_labeler(vocabulary=WORDS, device="cpu", calibration=given)
        assert read.calibration == made
    assert Calibration.of(None) is None
    with pytest.raises(TypeError, match="a Calibration or its file"):
        Calibration.of(2.0)  # type: ignore[arg-type]
