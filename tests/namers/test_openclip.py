"""An open_clip model as a namer, against open_clip itself on crops made by hand.

Tolerance (absolute) of unit embeddings: 2e-6 from a Vision Transformer; 2e-5 from a ResNet, whose
attention pool is computed in another order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from ovsam_plugin.images.mask_crop import NOTHING, MaskCrop
from ovsam_plugin.namers import Cut, Masked, NamerSpec, load_namer
from ovsam_plugin.prediction.labeler import build_recognizer
from ovsam_plugin.vocabulary.text import load_openclip

from .open_clip_model import write_model

TOLERANCES = {"ViT-namer": 2e-6, "RN-namer": 2e-5}
CUTS = (Cut(0.0, 0.0), Cut(0.1, 0.5), Cut(0.25, 1.0))


@pytest.fixture(scope="module", params=list(TOLERANCES))
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("namer"), request.param)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    from skimage import data

    return [data.chelsea(), data.coffee(), data.astronaut()]


def masks(image: np.ndarray, seed: int, count: int = 12) -> list[MaskCrop]:
    """Ellipses, each in its box, some at the edge."""
    rng, made = np.random.default_rng(seed), []
    height, width = image.shape[:2]
    for _ in range(count):
        w, h = (int(v) for v in rng.integers(5, 150, 2))
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        rows, columns = np.mgrid[:h, :w]
        ellipse = (2 * rows / h - 1) ** 2 + (2 * columns / w - 1) ** 2 <= 1
        made.append(MaskCrop.at(ellipse, x, y))
    return made


def by_hand(name: str, image: np.ndarray, crop: MaskCrop, cuts: tuple[Cut, ...]) -> np.ndarray:
    """open_clip's own preprocessing and forward pass on crops that are cut here."""
    model, _ = load_openclip(name)
    model.eval()
    shown = model.visual.preprocess_cfg
    preprocess = open_clip.image_transform(
        64, is_train=False, mean=shown["mean"], std=shown["std"], interpolation="bicubic"
    )
    fill = np.round(np.array(shown["mean"]) * 255)
    height, width = image.shape[:2]
    full = crop.on((height, width))
    found = []
    for cut in cuts:
        x1, y1, x2, y2 = crop.box
        longer = max(x2 - x1, y2 - y1)
        pad = round(cut.margin * longer)
        side = longer + 2 * pad
        left, top = (x1 + x2 - side) // 2, (y1 + y2 - side) // 2
        canvas = np.empty((side, side, 3), np.uint8)
        for row in range(side):
            for column in range(side):
                y, x = top + row, left + column
                if not (0 <= y < height and 0 <= x < width):
                    canvas[row, column] = fill
                elif full[y, x]:
                    canvas[row, column] = image[y, x]
                else:
                    mixed = cut.background * image[y, x] + (1 - cut.background) * fill
                    canvas[row, column] = np.rint(mixed)
        with torch.inference_mode():
            features = model.encode_image(preprocess(Image.fromarray(canvas))[None])
        found.append(torch.nn.functional.normalize(features, dim=-1)[0].numpy())
    mean = np.mean(found, axis=0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("cuts", [(CUTS[0],), (CUTS[1],), (CUTS[2],), CUTS])
def test_embeddings_are_open_clips_own_on_crops_made_by_hand(
    name: str, images: list[np.ndarray], cuts: tuple[Cut, ...]
) -> None:
    namer = load_namer(NamerSpec.of(name, cuts), "cpu")
    tolerance = TOLERANCES[name.partition(":")[2].partition("/")[0]]
    photographs = [Masked(image, masks(image, i, 3)) for i, image in enumerate(images)]
    for photograph, found in zip(photographs, namer.embed(photographs)):
        theirs = [by_hand(name, photograph.pixels, crop, cuts) for crop in photograph.crops]
        np.testing.assert_allclose(found.head, theirs, rtol=0, atol=tolerance)
        np.testing.assert_array_equal(found.head, found.clip)


def test_instances_do_not_depend_on_those_they_are_looked_at_with(
    name: str, images: list[np.ndarray]
) -> None:
    namer = load_namer(NamerSpec.of(name), "cpu")
    photographs = [Masked(image, masks(image, i, 20)) for i, image in enumerate(images)]
    together = namer.embed(photographs)
    for photograph, found in zip(photographs, together):
        (alone,) = namer.embed([photograph])
        np.testing.assert_allclose(alone.head, found.head, rtol=0, atol=2e-6)
        np.testing.assert_allclose(np.linalg.norm(found.head, axis=1), 1, atol=1e-5)


def test_an_empty_mask_has_zeros_and_one_outside_is_refused(
    name: str, images: list[np.ndarray]
) -> None:
    namer = load_namer(NamerSpec.of(name), "cpu")
    solid = masks(images[0], 0, 1)
    found, none = namer.embed([Masked(images[0], [NOTHING, *solid]), Masked(images[1], [])])
    assert not found.head[0].any()
    assert found.head[1].any()
    assert none.head.shape == (0, 48)
    outside = MaskCrop.pack(np.ones((5, 5), bool), 449, 0)
    with pytest.raises(ValueError, match="does not lie on the 451 x 300 photograph"):
        Masked(images[0], [outside])


def test_the_text_side_is_the_models_own(name: str, images: list[np.ndarray]) -> None:
    """A name's score is the softmax of open_clip's own cosines, its background among them."""
    namer = load_namer(NamerSpec.of(name), "cpu")
    names = ["cat", "cup", "woman"]
    recognizer = build_recognizer(namer.side, names)
    found = namer.embed([Masked(images[0], masks(images[0], 0, 4))])[0]
    recognition = recognizer.recognize(found.head, found.clip, np.zeros(4, bool))
    model, tokenizer = load_openclip(name)
    rows = []
    for word in names:
        with torch.inference_mode():
            texts = model.eval().encode_text(
                tokenizer([t.format(word) for t in namer.side.templates])
            )
        mean = torch.nn.functional.normalize(texts, dim=-1).mean(0)
        rows.append(torch.nn.functional.normalize(mean, dim=0))
    logits = torch.from_numpy(found.head) @ torch.stack(rows).T * namer.side.fusion.clip_scale
    scores = torch.nn.functional.pad(logits, (0, 1)).softmax(-1)[:, :-1]
    np.testing.assert_array_equal(recognition.indices, scores.argmax(1).numpy())
    np.testing.assert_allclose(recognition.confidence, scores.amax(1).numpy(), atol=2e-3)


def test_other_weights_or_cuts_are_another_namer(tmp_path: Path) -> None:
    name = write_model(tmp_path)
    first = NamerSpec.of(name)
    assert first.fingerprint == NamerSpec.of(name).fingerprint
    assert first.fingerprint != NamerSpec.of(name, "0.1:1").fingerprint
    before = first.fingerprint
    write_model(tmp_path, seed=1)
    assert NamerSpec.of(name).fingerprint != before


@pytest.mark.parametrize(
    ("name", "cuts", "why"),
    [
        ("openclip:ViT-none/laion", None, "open_clip has no model"),
        ("openclip:ViT-B-32/none", None, "no weights 'none'"),
        ("openclip:ViT-B-32", None, "MODEL/WEIGHTS"),
        ("clip", None, "unknown namer 'clip'.*ovsam-lite"),
        ("ovsam-lite", "0.1:1", "looks at whole photographs"),
        (None, "0.1:1", "cuts are for a namer"),
    ],
)
def test_a_namer_that_is_none_is_refused(name: str | None, cuts: str | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        NamerSpec.of(name, cuts)


def test_nothing_asked_for_is_no_namer() -> None:
    assert NamerSpec.of(None) is None
