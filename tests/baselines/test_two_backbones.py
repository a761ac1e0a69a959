"""SAM + CLIP at small sizes with random weights; the paper's own sizes are counted, not run."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

from ovsam_plugin.baselines.context import Context, word_vectors
from ovsam_plugin.baselines.two_backbones import (
    SamSegmenter,
    build_two_backbones,
    sam_cost,
)
from ovsam_plugin.namers.tower import Tower
from ovsam_plugin.network.image_encoder import ClipResNet
from ovsam_plugin.prediction.prompts import Box, Mask, Points
from ovsam_plugin.prediction.sam import empty_sam, load_sam
from ovsam_plugin.presets import get_preset
from ovsam_plugin.vocabulary.text import load_text_tower
from tests.namers.open_clip_model import write_model

SIDE = 128
CAT = (110.0, 20.0, 410.0, 290.0)
# The paper's table counts the attention pool for all its cells, of which only the query is needed.
PAPER_GIGA = {"image-crop": 3748, "feature-crop": 3545}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint of a small CLIP, by the name that both its halves are asked for."""
    return write_model(tmp_path_factory.mktemp("clip"), "RN-namer")


def tiny_sam(width: int = 768) -> Sam:
    """SAM's architecture at 128 pixels, one block deep."""
    torch.manual_seed(0)
    grid = SIDE // 16
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=SIDE,
            embed_dim=width,
            depth=1,
            num_heads=4,
            out_chans=32,
            use_rel_pos=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        ),
        prompt_encoder=PromptEncoder(32, (grid, grid), (SIDE, SIDE), 16),
        mask_decoder=MaskDecoder(
            transformer_dim=32,
            transformer=TwoWayTransformer(depth=2, embedding_dim=32, num_heads=4, mlp_dim=64),
        ),
    ).eval()


@pytest.fixture(scope="module")
def sam() -> Sam:
    return tiny_sam().requires_grad_(False)


def test_masks_are_those_of_sams_own_predictor(sam: Sam, photograph: np.ndarray) -> None:
    theirs = SamPredictor(sam)
    theirs.set_image(photograph)
    drawn = np.zeros(photograph.shape[:2], dtype=bool)
    drawn[40:200, 60:300] = True
    prompts = [
        Points(((250.0, 150.0),)),
        Box(CAT, id="cat"),
        Mask(drawn),
        Points(((250.0, 150.0), (10.0, 10.0)), (1, 0)),
        Box((0, 0, 60, 60)),
    ]
    ours = SamSegmenter(sam, chunk=1).segment(photograph, prompts).value.instances
    assert ours.prompts[1].id == "cat"
    np.testing.assert_array_equal(ours.full_mask(2), drawn)
    three, quality, _ = theirs.predict(np.array([[250, 150]]), np.array([1]))
    both, _, _ = theirs.predict(
        np.array([[250, 150], [10, 10]]), np.array([1, 0]), multimask_output=False
    )
    for i, expected in (
        (0, three[quality.argmax()]),
        (1, theirs.predict(box=np.array(CAT), multimask_output=False)[0][0]),
        (3, both[0]),
        (4, theirs.predict(box=np.array([0, 0, 60, 60]), multimask_output=False)[0][0]),
    ):
        assert 0.001 < expected.mean() < 0.999
        assert (ours.full_mask(i) != expected).mean() < 1e-4
    together = SamSegmenter(sam).segment(photograph, prompts).value.instances
    for i in range(len(prompts)):
        assert (together.full_mask(i) != ours.full_mask(i)).mean() < 1e-3


def test_a_mask_can_be_drawn_anew(sam: Sam, photograph: np.ndarray) -> None:
    drawn = np.zeros(photograph.shape[:2], dtype=bool)
    drawn[40:200, 60:300] = True
    segment = SamSegmenter(sam).segment
    refined = segment(photograph, [Mask(drawn, refine=True)]).value.instances
    assert 0 < (refined.full_mask(0) != drawn).mean() < 1


@pytest.mark.parametrize("name", ["image-crop", "feature-crop"])
def test_names_and_masks_come_from_two_backbones(
    sam: Sam, clip: str, photograph: np.ndarray, name: str
) -> None:
    alone, method = build_two_backbones(
        ["sam", name], sam=sam, clip=clip, vocabulary="cat, cup, car", device="cpu"
    )
    assert (alone.name, method.name) == ("sam", f"sam+{name}")
    prompts = [Box(CAT), Box((0, 0, 200, 200))]
    masks, nothing = alone.label(photograph, prompts)
    instances, names = method.label(photograph, prompts)
    assert nothing is None
    assert names is not None
    assert method.seconds > alone.seconds > 0
    for i in range(2):
        np.testing.assert_array_equal(instances.full_mask(i), masks.full_mask(i))
    assert instances.clip_embeddings.shape == (2, 48)
    np.testing.assert_allclose(np.linalg.norm(instances.clip_embeddings, axis=1), 1, atol=1e-5)
    assert np.isfinite(names.confidence).all()
    whole, masks_alone = method.cost(2), alone.cost(2)
    assert whole.parameters > masks_alone.parameters
    assert whole.multiply_adds > masks_alone.multiply_adds


def test_learned_context_serves_two_backbones(sam: Sam, clip: str, photograph: np.ndarray) -> None:
    tower = load_text_tower(clip, "cpu")
    vectors = word_vectors(tower, "a photo of a")  # type: ignore[arg-type]
    context = Context(vectors * 3, "image-crop", tower.fingerprint, {})
    plain, learned = build_two_backbones(
        ["image-crop", "image-crop+coop"],
        sam=sam,
        clip=clip,
        vocabulary="cat, cup, car",
        contexts=[context],
        device="cpu",
    )
    scores = [m.label(photograph, [Box(CAT)])[1] for m in (plain, learned)]
    assert scores[0] is not None
    assert scores[1] is not None
    assert np.abs(scores[0].top_scores - scores[1].top_scores).max() > 1e-4


def test_the_papers_baseline_has_the_papers_size_and_cost() -> None:
    sam = sam_cost(empty_sam("vit_h"), 10)
    with torch.device("meta"):
        encoder = ClipResNet("RN50x16").requires_grad_(False).eval()
    clip = Tower(encoder, get_preset("ovsam-rn50x16-coco").network)
    crop = sam + clip.cost_of_pictures(10)
    features = sam + clip.cost_of_image() + clip.cost_of_regions(10)
    for cost in (crop, features):
        assert round(cost.parameters / 1e6) == 808
    assert abs(sam.multiply_adds / 1e9 - 3001) < 2
    # The paper's attention pool projects all cells of the ten crops, and ours the pooled one alone.
    spared = 43.5
    assert abs(crop.multiply_adds / 1e9 + spared - PAPER_GIGA["image-crop"]) < 2
    assert abs((features.multiply_adds / 1e9 + spared) / PAPER_GIGA["feature-crop"] - 1) < 0.01


def test_which_sam_it_is_is_read_from_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photograph: np.ndarray, sam: Sam
) -> None:
    monkeypatch.setitem(sam_model_registry, "vit_b", tiny_sam)
    path = tmp_path / "sam.pth"
    torch.save(sam.state_dict(), path)
    loaded = load_sam(path)
    a, b = (SamSegmenter(s).segment(photograph, [Box(CAT)]).value.instances for s in (loaded, sam))
    np.testing.assert_array_equal(a.full_mask(0), b.full_mask(0))
    torch.save({k: v for k, v in sam.state_dict().items() if "mask_tokens" not in k}, path)
    with pytest.raises(
        ValueError, match="does not fit vit_b:\n1 missing: mask_decoder.mask_tokens"
    ):
        load_sam(path)


def test_what_is_no_sam_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sam.pth"
    with pytest.raises(FileNotFoundError, match="no SAM checkpoint"):
        load_sam(path)
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match="not a checkpoint of tensors alone"):
        load_sam(path)
    torch.save({"code": print}, path)
    with pytest.raises(ValueError, match="not a checkpoint of tensors alone") as caught:
        load_sam(path)
    assert "load failed" not in str(caught.value)  # torch then advises to run what it holds
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="not one of segment_anything's checkpoints"):
        load_sam(path)
