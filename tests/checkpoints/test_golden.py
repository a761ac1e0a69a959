"""The golden cases of the reference, from published files on a server to a zoo model's answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fiftyone as fo
import fiftyone.zoo as foz
import numpy as np
import pytest
import torch

from benchmarks import parity
from ovsam_plugin.checkpoints import store as weights_store
from ovsam_plugin.checkpoints.preset_weights import load_network
from ovsam_plugin.dataset.labeler_cache import _predictor
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.presets import PRESETS, Preset
from ovsam_plugin.vocabulary.text import load_text_tower
from tests.checkpoints import layout
from tests.checkpoints.server import Server, serve

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CASES = {"RN50_points", "RN50_boxes_genbox"}
TEXTS = ["a photo of a cat.", "There is the hair drier in the scene"]


@dataclass
class Fetched:
    """A model as the zoo gives it, what it was made from, and where that was fetched."""

    model: OvsamModel
    preset: Preset
    server: Server


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetched]:
    """`ovsam-rn50x16-lvis`, with CLIP RN50 in place of RN50x16: a preset of its own entry."""
    folder = tmp_path_factory.mktemp("published")
    preset = layout.preset_of(layout.RN50)
    assert preset.release is not None
    layout.write_set(folder / "served", preset.network, preset.release)
    with pytest.MonkeyPatch.context() as patch, serve(folder / "served") as server:
        patch.setitem(PRESETS, preset.name, preset)
        patch.setenv("OVSAM_MIRROR", server.address)
        patch.setenv("OVSAM_CACHE_DIR", str(folder / "cache"))
        patch.setenv("OVSAM_ACCEPT_LICENCE", "1")
        patch.setattr(fo.config, "model_zoo_dir", fo.config.model_zoo_dir)
        model = foz.load_zoo_model(
            preset.name, vocabulary="cat, cup", device="cpu", precision="fp32", cache=False
        )
        yield Fetched(model, preset, server)
    _predictor.cache_clear()


def test_the_zoo_model_was_fetched_and_made_into_one_file(fetched: Fetched) -> None:
    assert isinstance(fetched.model, OvsamModel)
    assert weights_store.model_path(fetched.preset).is_file()
    assert set(fetched.server.sent) == {f.name for f in fetched.preset.release.files}
    assert fetched.model.labeler.predictor.weights_hash == weights_store.checked_sha256(
        weights_store.model_path(fetched.preset)
    )


def test_golden_cases_come_out_of_the_published_files(fetched: Fetched) -> None:
    """A case of each kind of prompt; of all others the weights say the same (see `test_parity`)."""
    golden = parity.Golden(GOLDEN)
    golden._predictors["RN50"] = fetched.model.labeler.predictor
    cases = [case for case in golden.cases if case["id"] in CASES]
    results = list(parity.compare_features(golden, "RN50", "a"))
    for case in cases:
        results.extend(parity.compare_case(golden, case))
    assert len(cases) == len(CASES)
    assert len(results) > 20 * len(cases)
    assert [r for r in results if not r.passed] == []
    recipe = parity.recipe_network(golden.index["models"]["RN50"], "RN50").state_dict()
    network, _ = load_network(fetched.preset)
    assert all(torch.equal(v, recipe[k]) for k, v in network.state_dict().items())


def test_the_text_tower_comes_out_of_them_too(fetched: Fetched) -> None:
    with np.load(GOLDEN / "case_text_RN50.npz") as golden:
        tower = load_text_tower("openclip:RN50/openai", "cpu")
        features = tower.features(TEXTS)
        np.testing.assert_allclose(features, golden["features"][:2], rtol=0, atol=5e-5)
