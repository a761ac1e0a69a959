"""Which instances fit some words."""

from __future__ import annotations

import numpy as np
import pytest

from ovsam_plugin.prediction.finding import MIN_MATCH, Finder, build_finder
from ovsam_plugin.prediction.instances import Instances, PackedMasks
from ovsam_plugin.prediction.prompts import Box
from ovsam_plugin.presets import get_preset
from ovsam_plugin.recognition.fusion import Fusion
from ovsam_plugin.vocabulary.classifier import Classifier
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

BUS, CAR, TREE = np.eye(3, dtype=np.float32)


def seen_as(head: list[np.ndarray], clip: list[np.ndarray], empty: bool = False) -> Instances:
    count = len(head)
    side = 0 if empty else 2
    return Instances(
        image_size=(9, 9),
        boxes=np.tile(np.array([0, 0, side, side]), (count, 1)),
        masks=PackedMasks.pack([np.ones((side, side), dtype=bool)] * count),
        stability=np.ones(count, dtype=np.float32),
        objectness=np.ones(count, dtype=np.float32),
        head_embeddings=np.array(head, dtype=np.float32).reshape(-1, 3),
        clip_embeddings=np.array(clip, dtype=np.float32).reshape(-1, 3),
        prompts=(Box((0, 0, 5, 5)),) * count,
    )


def finder(words: np.ndarray) -> Finder:
    names = tuple(Category(name, (name,), None, None, None) for name in ("car", "tree"))
    rivals = Classifier(Vocabulary("rivals", names), np.stack([CAR, TREE]), np.arange(2))
    return Finder(words[None], rivals, Fusion(head_scale=10, clip_scale=10))


def test_what_the_words_describe_matches_and_what_another_name_describes_does_not() -> None:
    match = finder(BUS).match(seen_as([BUS, CAR, TREE], [BUS, CAR, TREE]))
    assert match[0] == 1
    assert match[1:] == pytest.approx(np.exp(-10), abs=1e-6)
    assert match[0] >= MIN_MATCH > match[1]


def test_both_branches_count_alike() -> None:
    match = finder(BUS).match(seen_as([BUS, CAR], [CAR, BUS]))
    assert match == pytest.approx([1, 1])
    torn = finder(BUS).match(seen_as([CAR, CAR], [0.9 * BUS + 0.1 * CAR, CAR]))
    assert torn[0] > torn[1]


def test_an_empty_mask_fits_nothing() -> None:
    assert finder(BUS).match(seen_as([0 * BUS], [0 * BUS], empty=True)).tolist() == [0]


def test_no_instance_is_no_match() -> None:
    assert finder(BUS).match(seen_as([], [])).shape == (0,)


def test_words_without_words_are_refused() -> None:
    with pytest.raises(ValueError, match="`find` needs words"):
        build_finder(get_preset("ovsam-lite"), "  ")
