"""Labelers that stay loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ovsam_plugin.dataset.labeler_cache import cached_labeler
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.recognition.prototypes import prototype_adapter
from ovsam_plugin.vocabulary import load_vocabulary

NAMES = load_vocabulary("cat, cup, person, spoon")


def labeler(names: Any = NAMES, **settings: Any) -> Any:
    return cached_labeler("ovsam-lite", names, "cpu", **settings)


def test_weights_are_loaded_once_and_classes_read_once() -> None:
    first, again = labeler(), labeler()
    other = labeler(load_vocabulary("cat, dog"))
    assert first.predictor is again.predictor is other.predictor
    assert first.recognizer is again.recognizer
    assert other.recognizer is not first.recognizer
    assert other.recognizer.vocabulary.names == ("cat", "dog")


def test_a_calibration_is_of_one_labeler_and_none_of_those_after() -> None:
    weights = labeler().predictor.weights_hash
    calibration = Calibration(temperature=2.0, weights=weights, vocabulary=NAMES.hash)
    calibrated = labeler(calibration=calibration)
    assert calibrated.calibration is calibration
    assert calibrated.predictor is labeler().predictor
    assert labeler().calibration is None
    assert labeler().recognizer is not calibrated.recognizer


def test_what_was_learned_over_other_weights_is_refused() -> None:
    rows = {0: np.eye(1, 768, dtype=np.float32)}
    side = labeler().predictor.preset
    adapter = prototype_adapter(NAMES, rows, side.fusion, "of other weights")
    with pytest.raises(ValueError, match="weights"):
        labeler(adapter=adapter)
    adapter = prototype_adapter(NAMES, rows, side.fusion, labeler().predictor.weights_hash)
    assert labeler(adapter=adapter).recognizer.adapter is adapter
    assert labeler().recognizer.adapter is None
    with pytest.raises(ValueError, match="no-such"):
        cached_labeler("no-such", NAMES, "cpu")
