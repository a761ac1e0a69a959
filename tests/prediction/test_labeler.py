from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ovsam_plugin.prediction.everything import DRAWN_FOR_ALL, MOST_DRAWN
from ovsam_plugin.prediction.labeler import Labeler, load_labeler, trained_names
from ovsam_plugin.prediction.prompts import Box, Grid
from ovsam_plugin.presets import get_preset

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


def test_all_candidates_are_the_chosen_ones_and_more(
    labeler: Labeler, photograph: np.ndarray
) -> None:
    (encoding,) = labeler.predictor.encode([labeler.predictor.preprocess(photograph)])
    everything = Labeler(labeler.predictor, labeler.recognizer, all_candidates=True)
    every, _ = everything.label(encoding)
    some = Labeler(labeler.predictor, labeler.recognizer, min_objectness=0.0)
    chosen, _ = some.label(encoding)
    assert 1 <= len(chosen) < len(every)
    assert set(chosen.prompts) <= set(every.prompts)
    for instances in (every, chosen):
        assert (np.diff(instances.objectness) <= 0).all()
        assert not instances.empty.any()


def test_who_wants_all_candidates_has_more_proposals_drawn(
    labeler: Labeler, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_DRAWN < DRAWN_FOR_ALL
    monkeypatch.setattr("ovsam_plugin.prediction.labeler.MOST_DRAWN", 3)
    (encoding,) = labeler.predictor.encode([labeler.predictor.preprocess(photograph)])
    every = Labeler(labeler.predictor, labeler.recognizer, all_candidates=True)
    few, many = (each.look_everywhere(encoding, None)[0].prompts for each in (labeler, every))
    assert 1 <= len(few) <= 3 < len(many)


def test_every_instance_has_its_own_name(labeler: Labeler, photograph: np.ndarray) -> None:
    """Though it is named before it is chosen, and drawn at last."""
    for kind in (False, True):
        mine = Labeler(
            labeler.predictor, labeler.recognizer, all_candidates=kind, min_objectness=0.0
        )
        instances, names = mine.label_image(photograph)
        assert len(instances) > 0
        again = labeler.recognizer(instances)
        assert names.names == again.names
        np.testing.assert_allclose(names.confidence, again.confidence, atol=1e-5)


def test_of_what_nobody_asked_for_the_preset_says_how_sure_it_has_to_be(
    labeler: Labeler, photograph: np.ndarray
) -> None:
    (encoding,) = labeler.predictor.encode([labeler.predictor.preprocess(photograph)])

    def kept(min_objectness: float | None) -> list[float]:
        mine = Labeler(labeler.predictor, labeler.recognizer, min_objectness=min_objectness)
        return mine.label(encoding)[0].objectness.tolist()

    everything = kept(0.0)
    middle = (everything[0] + everything[-1]) / 2
    for least in (middle, 1.0):
        assert all(objectness >= least for objectness in kept(least))
    assert 1 <= len(kept(middle)) < len(everything)
    assert kept(1.0) == []
    assert kept(None) == kept(labeler.predictor.preset.min_objectness)


def test_what_was_asked_for_is_answered_however_unsure_unless_a_minimum_is_given(
    labeler: Labeler, photograph: np.ndarray
) -> None:
    prompts = [CAT, Box((0, 0, 30, 30)), Box((200, 0, 451, 40))]
    instances, names = labeler.label_image(photograph, prompts)
    assert len(instances) == len(names) == 3
    least = float(np.sort(instances.objectness)[1])
    picky = Labeler(labeler.predictor, labeler.recognizer, min_objectness=least)
    kept, named = picky.label_image(photograph, prompts)
    assert len(kept) == len(named) == 2
    assert (kept.objectness >= least).all()


def test_a_likely_background_makes_what_nobody_asked_for_less_sure(
    labeler: Labeler, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = labeler.predictor
    (encoding,) = predictor.encode([predictor.preprocess(photograph)])
    found = {}
    for foreground in (0.0, 1.0):
        judge = replace(predictor.preset.found, foreground=foreground)
        monkeypatch.setattr(predictor, "preset", replace(predictor.preset, found=judge))
        every = Labeler(predictor, labeler.recognizer, all_candidates=True)
        instances, names = every.label(encoding)
        found[foreground] = dict(zip(instances.prompts, instances.objectness.tolist()))
        background = dict(zip(instances.prompts, names.background.tolist()))
    assert found[0.0].keys() == found[1.0].keys()
    for prompt, before in found[0.0].items():
        assert (found[1.0][prompt] < before) == (background[prompt] > 0.5)


def test_only_the_base_classes_count_as_trained_on_where_the_preset_says_so() -> None:
    base = trained_names(get_preset("ovsam-rn50x16-coco"))
    assert "horse" in base
    assert "cat" not in base
    assert "cat" in trained_names(get_preset("ovsam-lite"))


def test_an_unknown_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="lvis"):
        load_labeler(vocabulary="lviss", device="cpu")
