"""The text half of the parity check: tokens, features and the classifier built from them."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.parity import Comparison, compare  # noqa: E402
from ovsam_plugin.vocabulary import (  # noqa: E402
    CLIP_TEMPLATES,
    Category,
    Vocabulary,
    build_classifier,
)
from ovsam_plugin.vocabulary.openclip import OpenClipTower  # noqa: E402
from tests.golden import recipe  # noqa: E402


def recipe_tower(name: str) -> OpenClipTower:
    """A CLIP text tower whose every weight is the recipe's."""
    model: Any = open_clip.create_model(f"{name}-quickgelu", pretrained=None)
    del model.visual
    state = {
        key: torch.from_numpy(np.asarray(recipe.make(f"clip.{key}", tuple(value.shape))))
        for key, value in model.state_dict().items()
        if key != "logit_scale"
    }
    model.load_state_dict(state, strict=False)
    return OpenClipTower("golden", model, open_clip.get_tokenizer(name), "golden", device="cpu")


def compare_text(folder: Path, text: dict[str, Any], file: str) -> Iterator[Comparison]:
    """One file of the index's `text` entry, named `case_text_MODEL.npz`."""
    case = Path(file).stem
    name = case.removeprefix("case_text_")
    z = np.load(folder / file)
    tower = recipe_tower(name)
    tokens = open_clip.get_tokenizer(name)(text["texts"]).numpy()
    yield compare(case, "tokens", tokens, z["tokens"], "exact")
    yield compare(case, "features", tower.features(text["texts"]), z["features"], "feature")
    synonyms = [recipe.synonyms(line) for line in text["gen_cls_classes"]]
    vocabulary = Vocabulary("golden", tuple(Category(own[0], own) for own in synonyms))
    with tempfile.TemporaryDirectory() as cache, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier = build_classifier(vocabulary, tower, CLIP_TEMPLATES, cache_dir=cache)
    width = z["classifier"].shape[1]
    padded = []
    for index, own in enumerate(synonyms):
        rows = classifier.embeddings[classifier.owner == index]
        # The reference pads a class that has fewer synonyms with its first.
        padded.append(rows[[*range(len(own)), *[0] * (width - len(own))]])
    yield compare(case, "classifier", np.stack(padded), z["classifier"], "neck")
