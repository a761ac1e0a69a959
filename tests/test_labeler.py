from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.labeler import Labeler, load_labeler, trained_names
from ovsam_plugin.presets import get_preset
from ovsam_plugin.prompts import Box, Grid

CAT = Box((110, 20, 410, 290), id="cat")


@pytest.fixture(scope="module")
def labeler() -> Labeler:
    return load_labeler("ovsam-lite", vocabulary="coco", device="cpu")


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    from skimage import data

    return data.chelsea()


def test_the_cat_is_called_a_cat(labeler: Labeler, photograph: np.ndarray) -> None:
    instances, names = labeler.label_image(photograph, [CAT])
    assert names.names == ("cat",)
    assert names.top_names[0][0] == "cat"
    assert instances.prompts == (CAT,)


def test_the_cat_is_called_a_cat_among_a_users_own_words(photograph: np.ndarray) -> None:
    own = load_labeler(vocabulary="teapot, cat, fire hydrant", device="cpu")
    assert own.label_image(photograph, [CAT])[1].names == ("cat",)


def test_answers_below_the_threshold_are_left_out(labeler: Labeler, photograph: np.ndarray) -> None:
    picky = Labeler(labeler.predictor, labeler.recognizer, min_confidence=1.0)
    instances, names = picky.label_image(photograph, [CAT])
    assert len(instances) == len(names) == 0


def test_everything_is_labelled_when_nothing_is_asked(
    labeler: Labeler, photograph: np.ndarray
) -> None:
    coarse = Labeler(labeler.predictor, labeler.recognizer, grid=Grid(4))
    instances, names = coarse.label_image(photograph)
    asked, _ = labeler.label_image(photograph, Grid(4))
    assert len(instances) == len(names) == len(asked)


def test_only_the_base_classes_count_as_trained_on_where_the_preset_says_so() -> None:
    base = trained_names(get_preset("ovsam-rn50x16-coco"))
    assert "horse" in base
    assert "cat" not in base
    assert "cat" in trained_names(get_preset("ovsam-lite"))


def test_an_unknown_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="lvis"):
        load_labeler(vocabulary="lviss", device="cpu")
