"""OVSAM's own branches as a namer."""

from __future__ import annotations

import numpy as np

from ovsam_plugin.images.mask_crop import NOTHING, MaskCrop
from ovsam_plugin.namers import Masked, NamerSpec, load_namer
from ovsam_plugin.prediction.predictor import load_predictor
from ovsam_plugin.prediction.prompts import Mask


def test_its_embeddings_are_those_of_mask_prompts() -> None:
    from skimage import data

    images = [data.chelsea(), data.coffee()]
    namer, predictor = load_namer(NamerSpec("ovsam-lite"), "cpu"), load_predictor(device="cpu")
    crops = [MaskCrop.pack(np.ones((120, 90), bool), x, 30) for x in (20, 150)]
    found = namer.embed([Masked(images[0], [crops[0], NOTHING]), Masked(images[1], crops)])
    assert namer.side.name == "ovsam-lite"
    assert namer.fingerprint == predictor.weights_hash
    for image, some, branches in zip(images, ([crops[0]], crops), found):
        (encoding,) = predictor.encode([predictor.preprocess(image)])
        prompts = [Mask(crop, size=image.shape[:2]) for crop in some]
        theirs = predictor.decode(encoding, prompts)
        rows = [0] if len(some) == 1 else [0, 1]
        np.testing.assert_allclose(branches.head[rows], theirs.head_embeddings, atol=1e-5)
        np.testing.assert_allclose(branches.clip[rows], theirs.clip_embeddings, atol=1e-5)
    assert not found[0].head[1].any()
    assert np.abs(found[0].head[0] - found[0].clip[0]).max() > 0.01
