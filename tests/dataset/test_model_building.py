"""A model from what a call gives: the settings that it refuses, and those that it keeps."""

from __future__ import annotations

from typing import Any

import pytest

from ovsam_plugin.dataset.model_building import build_model
from ovsam_plugin.vocabulary.vocabulary import Category

SMALL: dict[str, Any] = {"vocabulary": "cat, cup, person, spoon", "device": "cpu"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"min_confidence": 1.5}, "min_confidence is a number from 0 to 1, got 1.5"),
        ({"min_objectness": -0.1}, "min_objectness is a number from 0 to 1, got -0.1"),
        ({"points_per_side": 0}, "points_per_side is a whole number from 1 on"),
        ({"find": Category("cat")}, "'cat' has no examples to search by"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build_model(**SMALL, **settings)


def test_models_of_the_same_network_have_settings_of_their_own() -> None:
    strict = build_model(**SMALL, min_objectness=0.9, min_confidence=0.5, tiles="off")
    lenient = build_model(**SMALL, all_candidates=True)
    assert strict.labeler.predictor.network is lenient.labeler.predictor.network
    assert (strict.labeler.min_objectness, lenient.labeler.min_objectness) == (0.9, None)
    assert (strict.labeler.all_candidates, lenient.labeler.all_candidates) == (False, True)
    assert (strict.config.confidence_thresh, strict.config.tiles) == (0.5, 0)
    assert strict.classes == ("cat", "cup", "person", "spoon")
