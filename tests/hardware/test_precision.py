from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovsam_plugin.evaluation.published import Published
from ovsam_plugin.hardware import precision
from ovsam_plugin.hardware.precision import check_precision, computing_in, pick_precision
from ovsam_plugin.prediction.labeler import load_labeler
from ovsam_plugin.prediction.predictor import load_predictor
from ovsam_plugin.prediction.prompts import Box

CPU = torch.device("cpu")


@pytest.mark.parametrize("given", ["fp64", "", None, 16])
def test_what_is_no_precision_is_refused_with_those_there_are(given: object) -> None:
    with pytest.raises(ValueError, match="auto, fp32, bf16, fp16"):
        check_precision(given)


@pytest.mark.parametrize(("has", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_what_the_processor_is_made_for(
    monkeypatch: pytest.MonkeyPatch, has: bool, expected: str
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: has)
    assert pick_precision("auto", CPU) == expected
    assert pick_precision("fp32", CPU) == "fp32"


@pytest.mark.parametrize("wide", [True, False, None])
@pytest.mark.parametrize("tiles", [True, False, None])
def test_the_processor_is_asked_through_torch_where_that_can_tell(
    monkeypatch: pytest.MonkeyPatch, wide: bool | None, tiles: bool | None
) -> None:
    for name, has in (("_is_avx512_bf16_supported", wide), ("_is_amx_tile_supported", tiles)):
        monkeypatch.delattr(torch.cpu, name, raising=False)
        if has is not None:
            monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
    assert precision.cpu_has_tiles() is bool(tiles)
    assert precision.cpu_has_bf16() is bool(wide or tiles)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp16"), ((9, 0), "bf16")])
def test_auto_on_cuda_goes_by_the_device(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert pick_precision("auto", torch.device("cuda")) == expected
    assert pick_precision("auto", torch.device("mps")) == "fp16"


def test_products_are_computed_in_the_precision_asked_for() -> None:
    a = torch.ones(2, 2)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with computing_in(name, CPU):  # type: ignore[arg-type]
            assert (a @ a).dtype == dtype


def test_one_network_serves_two_precisions() -> None:
    whole = load_predictor("ovsam-lite", device="cpu", precision="fp32")
    half = whole.at_precision("bf16")
    assert (whole.precision, half.precision) == ("fp32", "bf16")
    assert whole.network is half.network


def test_the_published_evaluation_is_computed_in_full() -> None:
    labeler = load_labeler("ovsam-lite", vocabulary="cat, dog", device="cpu", precision="bf16")
    assert Published(labeler)._predictor.precision == "fp32"
    assert labeler.predictor.precision == "bf16"


def test_half_precision_gives_the_names_that_full_precision_is_sure_of(
    photographs: dict[str, Path],
) -> None:
    """The stated bound: of instances whose margin is above 0.05, 99 % have the same name, and their
    masks nearly the same pixels."""
    labeler = load_labeler("ovsam-lite", vocabulary="lvis", device="cpu", precision="fp32")
    whole = labeler.predictor
    same, shared = [], []
    for path in photographs.values():
        image = np.array(Image.open(path).convert("RGB"))
        height, width = image.shape[:2]
        corners = np.random.default_rng(0).random((40, 2, 2)) * (width - 9, height - 9)
        asked = [
            Box((*low, *high)) for low, high in zip(corners.min(1), corners.max(1) + 8, strict=True)
        ]
        labeler.predictor = whole
        masks, expected = labeler.label_image(image, asked)
        labeler.predictor = whole.at_precision("bf16")
        found_masks, found = labeler.label_image(image, asked)
        sure = expected.margin > 0.05
        same += (expected.indices == found.indices)[sure].tolist()
        for row in np.flatnonzero(sure & ~masks.empty).tolist():
            a = masks.masks.crops[row].on((height, width))
            b = found_masks.masks.crops[row].on((height, width))
            shared.append(float((a & b).sum() / (a | b).sum()))
    assert len(same) >= 30
    assert np.mean(same) >= 0.99
    assert np.mean(shared) > 0.97
