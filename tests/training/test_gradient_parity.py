"""What CLIP2SAM minimises, and its gradients, are those of the formulas (`plain_ovsam`)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks.parity import TOLERANCES, Golden, describe, recipe_network, sample
from ovsam_plugin.images.frame import make_frame, stack_pixels
from ovsam_plugin.network.feature_pyramid import pyramid_level
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.clip2sam import Clip2SamRecipe, Clip2SamSettings, padded
from ovsam_plugin.training.crops import Crop, cut
from ovsam_plugin.training.data import normalize
from ovsam_plugin.training.point_losses import POINTS, class_loss
from ovsam_plugin.training.prompting import random_points
from ovsam_plugin.vocabulary.classifier import Classifier
from ovsam_plugin.vocabulary.sources import load_vocabulary
from tests.golden import recipe as golden_recipe
from tests.training import plain_ovsam as plain

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
SIDE, PROMPTS, SEED = 448, 8, 5
# Each loss, and each parameter's gradient by its norm, in float32 on a CPU. Some gradients are 0 by
# the formulas (a softmax does not see a bias of the keys), so a share of all gradients' norm is
# allowed too.
LOSS, GRADIENT, FLOOR = 2e-6, 5e-5, 1e-8
# Of the seven golden masks, as indices of COCO's 80 names.
CLASSES = (0, 16, 79, 5, 79, 41, 3)
TRAINED = ("fpn_neck.", "mask_decoder.")
# Multiplied by zero in the reference, so never trained.
DEAD = "mask_decoder.label_mlp."


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden(GOLDEN)


@pytest.fixture(scope="module")
def network(golden: Golden) -> OVSAM:
    return recipe_network(golden.index["models"]["RN50"], "RN50")


@pytest.fixture(scope="module")
def vocabulary(golden: Golden) -> Tensor:
    """(80, 17, 1024) unit vectors."""
    name = "RN50_CocoOVDataset"
    return torch.from_numpy(golden_recipe.vocab(name, *golden.index["vocab"][name]["shape"]))


def golden_crop() -> Crop:
    """The right end of the golden photograph: the boxes of its masks reach all four levels."""
    height, width = 427, 640
    zoom = SIDE / height
    masks = golden_recipe.gt_masks(height, width).astype(np.uint8)
    return cut(
        golden_recipe.image("a", height, width),
        list(masks),
        CLASSES,
        np.array([[zoom, 0, SIDE - width * zoom], [0, zoom, 0]]),
        SIDE,
        len(masks),
        np.random.default_rng(0),
    )


@pytest.fixture
def recipe(tmp_path: Path, golden: Golden, network: OVSAM, vocabulary: Tensor) -> Clip2SamRecipe:
    """The recipe on a file of COCO's 80 categories."""
    names = load_vocabulary("coco").names
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    square = [[8, 8, 40, 8, 40, 32, 8, 32]]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": square}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
    }
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(content))
    settings = Clip2SamSettings(
        images=tmp_path,
        annotations=file,
        vocabulary="coco",
        weights=tmp_path / "given.safetensors",
        prompts=PROMPTS,
        crop=SIDE,
        kept_back=0.0,
    )
    owner = torch.arange(80).repeat_interleave(vocabulary.shape[1])
    classifier = Classifier(
        load_vocabulary("coco"), vocabulary.flatten(0, 1).numpy(), owner.numpy()
    )
    preset = replace(
        get_preset("ovsam-rn50x16-coco"), network=describe(golden.index["models"]["RN50"], "RN50")
    )
    return Clip2SamRecipe(settings, network, classifier, preset)


def plain_losses(
    weights: dict[str, Tensor], network: OVSAM, vocabulary: Tensor, crop: Crop
) -> dict[str, Tensor]:
    """The same step by the formulas, with the same random choices, from the same frozen features.

    The frozen encoder and neck are held to the reference by `tests/network/test_parity.py`.
    """
    with torch.no_grad():
        stages = network.backbone(normalize([crop], network.description))
        image = network.neck(stages)
    generator = torch.Generator().manual_seed(SEED)
    which = padded(len(crop.boxes), PROMPTS, generator)
    boxes, points = which[: PROMPTS // 2], which[PROMPTS // 2 :]
    clicked = random_points(crop, points, generator).points
    assert clicked is not None
    random = plain.RandomPlaces(
        torch.rand(PROMPTS, 3 * POINTS, 2, generator=generator),
        torch.rand(PROMPTS, POINTS // 4, 2, generator=generator),
    )
    levels = plain.pyramid(weights, stages)
    prompts = [
        plain.box_tokens(weights, crop.boxes[boxes], SIDE),
        plain.point_tokens(weights, clicked, SIDE),
    ]
    drawn = torch.cat([plain.mask_logits(weights, image, tokens) for tokens in prompts])
    named = plain.class_logits(weights, levels, crop.boxes[which], vocabulary)
    entropy, dice = plain.mask_losses(drawn, crop.masks[which], random)
    return {
        "class": 2 * plain.class_loss(named, crop.classes[which], 0.1),
        "mask": 5 * entropy,
        "dice": 5 * dice,
    }


def test_the_plain_formulas_give_the_references_own_numbers(
    golden: Golden, network: OVSAM, vocabulary: Tensor
) -> None:
    """So that what the gradients are compared with is the reference, not our reading of it."""
    weights = network.state_dict()
    frame = make_frame(golden.image("a"), network.description)
    side = network.description.image_size
    with torch.inference_mode():
        stages = network.backbone(
            stack_pixels([frame], network.description, (side, side), torch.device("cpu"))
        )
        image, levels = network.neck(stages), plain.pyramid(weights, stages)
        features = golden.arrays("feat_RN50_a.npz")
        for i, level in enumerate(levels, 2):
            assert_near(sample(level), features[f"p{i}_s"], "feature")
        for kind in ("boxes", "points"):
            case = golden.arrays(f"case_RN50_{kind}.npz")
            if kind == "boxes":
                boxes = torch.from_numpy(case["rois_gt_bboxes"])
                tokens = plain.box_tokens(weights, boxes, side)
                named = plain.class_logits(weights, levels, boxes, vocabulary)
                assert_near(named, case["head_logits"][:, 0], "logit")
            else:
                points = torch.from_numpy(case["point_coords"]).float()
                tokens = plain.point_tokens(weights, points, side)
            drawn = plain.mask_logits(weights, image, tokens)
            assert_near(sample(drawn), case["low_res_masks_s"], "mask")


def assert_near(ours: object, wanted: object, kind: str) -> None:
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=TOLERANCES[kind])


def test_losses_and_gradients_of_a_golden_step_are_those_of_the_formulas(
    recipe: Clip2SamRecipe, network: OVSAM, vocabulary: Tensor
) -> None:
    crop = golden_crop()
    assert set(pyramid_level(crop.boxes).tolist()) == {0, 1, 2, 3}
    assert len(crop.boxes) <= PROMPTS
    recipe.train()
    ours = recipe([crop], torch.Generator().manual_seed(SEED))
    torch.stack(list(ours.values())).sum().backward()
    weights = {k: v.detach().clone() for k, v in network.state_dict().items()}
    names = [k for k in weights if k.startswith(TRAINED) and not k.startswith(DEAD)]
    for name in names:
        weights[name].requires_grad_()
    wanted = plain_losses(weights, network, vocabulary, crop)
    torch.stack(list(wanted.values())).sum().backward()
    for name, loss in wanted.items():
        torch.testing.assert_close(ours[name], loss, rtol=LOSS, atol=0)
        assert float(loss.detach()) > 0.1
    parameters = dict(network.named_parameters())
    assert {n for n, p in parameters.items() if p.grad is not None} == set(names)
    gradients = {n: weights[n].grad for n in names}
    norms = {n: float(g.norm()) for n, g in gradients.items() if g is not None}
    assert norms.keys() == gradients.keys()
    floor = FLOOR * float(torch.tensor(list(norms.values())).norm())
    off = {}
    for name, gradient in gradients.items():
        own = parameters[name].grad
        assert own is not None
        assert gradient is not None
        difference = float((own - gradient).norm())
        if difference > GRADIENT * norms[name] + floor:
            off[name] = difference / norms[name]
    assert off == {}


def test_the_class_loss_gives_what_is_no_class_a_tenth_of_the_weight() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = (5 * torch.randn(6, 4, generator=generator)).requires_grad_()
    classes = torch.tensor([0, 3, 2, 3, 3, 1])
    other = scores.detach().clone().requires_grad_()
    ours, wanted = class_loss(scores, classes, 0.1), plain.class_loss(other, classes, 0.1)
    torch.testing.assert_close(ours, wanted)
    ours.backward()
    wanted.backward()
    torch.testing.assert_close(scores.grad, other.grad)
