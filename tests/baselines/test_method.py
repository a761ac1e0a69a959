from __future__ import annotations

import numpy as np

from ovsam_plugin.baselines import Cost, Method, build_methods
from ovsam_plugin.checkpoints.preset_weights import load_network
from ovsam_plugin.prediction.labeler import Labeler
from ovsam_plugin.prediction.prompts import Box, Points, Prompt

from .conftest import CAT

CUP = Box((165.0, 15.0, 440.0, 245.0), id="a")


def methods(labeler: Labeler) -> dict[str, Method]:
    names = ("image-crop", "feature-crop", "ovsam", "sam")
    return {method.name: method for method in build_methods(names, labeler)}


def test_every_method_finds_the_cup_in_its_box(labeler: Labeler) -> None:
    from skimage import data

    photograph = data.coffee()
    prompts: list[Prompt] = [Points(((300.0, 120.0),), id="b"), CUP]
    alone, _ = labeler.label_image(photograph, prompts)
    for method in methods(labeler).values():
        instances, names = method.label(photograph, prompts)
        assert [p.id for p in instances.prompts] == ["b", "a"]
        for i in range(2):
            np.testing.assert_array_equal(instances.full_mask(i), alone.full_mask(i))
        assert (names is None) == (method.name == "sam")
        if names is not None:
            assert names.names[1] == "cup"
            assert names.confidence[1] > 0.4


def test_ovsam_among_the_methods_is_the_labeler_itself(
    labeler: Labeler, photograph: np.ndarray
) -> None:
    _, expected = labeler.label_image(photograph, [CAT])
    _, names = methods(labeler)["ovsam"].label(photograph, [CAT])
    assert names is not None
    np.testing.assert_allclose(names.top_scores, expected.top_scores, atol=1e-5)


def test_no_prompt_is_answered_by_every_method(labeler: Labeler, photograph: np.ndarray) -> None:
    for method in methods(labeler).values():
        instances, names = method.label(photograph, [])
        assert len(instances) == 0
        assert names is None or len(names) == 0


def test_crops_cost_more_with_each_prompt_and_no_parameter_twice(labeler: Labeler) -> None:
    made = methods(labeler)
    ovsam = made["ovsam"].cost(10)
    # As it is trained: for inference the encoder's normalisations are folded away.
    network, _ = load_network(labeler.predictor.preset)
    assert ovsam.parameters == sum(p.numel() for p in network.parameters())
    for name in ("image-crop", "feature-crop"):
        ten, twenty = made[name].cost(10), made[name].cost(20)
        assert ten.parameters == ovsam.parameters
        own = ten.multiply_adds - ovsam.multiply_adds
        assert own > 0
        assert twenty.multiply_adds - made["ovsam"].cost(20).multiply_adds == 2 * own
    assert Cost(1, 2) + Cost(3, 4) == Cost(4, 6)
