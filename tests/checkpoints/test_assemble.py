"""Files put together to a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ovsam_plugin.checkpoints import store
from ovsam_plugin.checkpoints.archive import CheckpointError
from ovsam_plugin.checkpoints.assemble import layout as expected_layout
from ovsam_plugin.presets import PRESETS, Preset
from tests.checkpoints import layout

from .test_store import assert_recipe, copies

pytestmark = pytest.mark.usefixtures("store")  # no test here touches another


ROOT = Path(__file__).resolve().parents[2]


def test_the_assembled_layout_is_the_published_one() -> None:
    lines = (ROOT / "tests/golden/keys_RN50x16.txt").read_text().splitlines()
    ours = expected_layout(PRESETS["ovsam-rn50x16-lvis"].network)
    shapes = [" ".join([k, "x".join(map(str, v.shape))]).strip() for k, v in ours.items()]
    assert sorted(shapes) == sorted(line.strip() for line in lines)
    assert len(lines) == 993


def test_halves_are_widened(tiny: Preset, tiny_files: Path, tmp_path: Path) -> None:
    files = copies(tiny_files, tmp_path)
    clip = layout.clip_state(tiny.network, layout.assembled(tiny.network))
    halves = {k: v.half() if v.is_floating_point() else v for k, v in clip.items()}
    layout.save_script(halves, tmp_path / "tiny-resnet.pt")
    found = load_file(store.convert(tiny, files, tmp_path / "out.safetensors"))
    weight = found["backbone.stem.0.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, clip["visual.conv1.weight"].half().float())


def test_what_two_files_both_hold_must_agree(
    tiny: Preset, tiny_files: Path, tmp_path: Path
) -> None:
    files = copies(tiny_files, tmp_path)
    state = layout.assembled(tiny.network)
    neck = {k.replace("neck.", "neck_student.", 1): v for k, v in state.items() if k[:5] == "neck."}
    neck |= {f"backbone_student.{k[9:]}": v for k, v in state.items() if k.startswith("backbone.")}
    torch.save(neck, tmp_path / "sam2clip_vith_rn50x16.pth")
    store.convert(tiny, files, tmp_path / "out.safetensors")
    assert_recipe(tmp_path / "out.safetensors", tiny)
    neck["backbone_student.stem.0.weight"] = neck["backbone_student.stem.0.weight"] + 1
    torch.save(neck, tmp_path / "sam2clip_vith_rn50x16.pth")
    with pytest.raises(
        CheckpointError, match=r"belongs to another model: 1 .*backbone_student.stem.0"
    ):
        store.convert(tiny, files, tmp_path / "new.safetensors")
    assert not (tmp_path / "new.safetensors").exists()


def test_all_that_does_not_fit_is_listed_at_once(
    tiny: Preset, tiny_files: Path, tmp_path: Path
) -> None:
    files = copies(tiny_files, tmp_path)
    path = tmp_path / "clip2sam_lvis_rn50x16.pth"
    state = torch.load(path, weights_only=False)["state_dict"]
    del state["mask_decoder.label_token.weight"]
    state["mask_decoder.iou_token.weight"] = torch.zeros(1, 32)
    state["fpn_neck.fpn_convs.0.conv.bias"] = torch.zeros(7)
    state["fpn_neck.fpn_convs.1.conv.bias"] = torch.zeros(16, dtype=torch.int64)
    torch.save(state, path)
    neck = torch.load(tmp_path / "sam2clip_vith_rn50x16.pth", weights_only=False)["state_dict"]
    del neck["neck_student.pos_embed"]
    torch.save(neck, tmp_path / "sam2clip_vith_rn50x16.pth")
    with pytest.raises(CheckpointError) as refused:
        store.convert(tiny, files, tmp_path / "out.safetensors")
    assert str(refused.value).splitlines()[1:] == [
        "sam2clip_vith_rn50x16.pth: 1 missing: neck.pos_embed",
        "clip2sam_lvis_rn50x16.pth: 1 missing: mask_decoder.label_token.weight",
        "clip2sam_lvis_rn50x16.pth: 1 not expected: mask_decoder.iou_token.weight",
        "clip2sam_lvis_rn50x16.pth: 1 of another shape: fpn_neck.fpn_convs.0.conv.bias",
        "clip2sam_lvis_rn50x16.pth: 1 of another type: fpn_neck.fpn_convs.1.conv.bias",
    ]
