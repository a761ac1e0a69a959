"""Methods by their names."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.baselines import METHODS, build_methods
from ovsam_plugin.prediction.labeler import Labeler

from .conftest import CAT
from .test_method import methods


def test_the_image_is_encoded_once_for_all_and_counted_in_each(
    labeler: Labeler, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, encode = [], labeler.predictor.encode
    monkeypatch.setattr(
        labeler.predictor, "encode", lambda frames: passes.append(1) or encode(frames)
    )
    made = methods(labeler)
    for method in made.values():
        method.label(photograph, [CAT])
    assert len(passes) == 1
    masks = made["sam"].seconds
    assert masks > 0.01
    assert all(method.seconds > masks for name, method in made.items() if name != "sam")
    methods(labeler)["sam"].label(photograph, [CAT])
    assert len(passes) == 2


def test_an_unknown_method_is_refused_with_those_there_are(labeler: Labeler) -> None:
    with pytest.raises(ValueError, match="'imagecrop'.*image-crop"):
        build_methods(["ovsam", "imagecrop"], labeler)
    assert len(METHODS) == len(set(METHODS))
