"""From published files to a loaded network, on a real server and the real layout, small."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ovsam_plugin.checkpoints import sources, store
from ovsam_plugin.checkpoints.preset_weights import load_network
from ovsam_plugin.checkpoints.record import checked_sha256, file_sha256
from ovsam_plugin.prediction.labeler import build_recognizer
from ovsam_plugin.prediction.predictor import load_predictor
from ovsam_plugin.presets import PRESETS, Preset
from ovsam_plugin.vocabulary.classifier import read_classifier
from ovsam_plugin.vocabulary.sources import load_vocabulary
from tests.checkpoints import layout
from tests.checkpoints.server import Server, serve
from tests.golden import recipe


@pytest.fixture(autouse=True)
def _own_store(store: Path) -> None:
    """No test here touches another store."""


def assert_recipe(path: Path, preset: Preset) -> None:
    """The file holds exactly the recipe's weights of the preset's network."""
    found, wanted = load_file(path), layout.assembled(preset.network)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], value) for key, value in wanted.items())


def test_a_preset_is_fetched_assembled_and_loaded(tiny: Preset, server: Server) -> None:
    network, digest = load_network_of(tiny)
    wanted = layout.assembled(tiny.network)
    assert network.state_dict().keys() == wanted.keys()
    assert all(torch.equal(v, wanted[k]) for k, v in network.state_dict().items())
    assert digest == file_sha256(store.model_path(tiny))
    before = len(server.requests)
    assert load_network_of(tiny)[1] == digest
    assert len(server.requests) == before


def load_network_of(preset: Preset) -> tuple[torch.nn.Module, str]:
    store.obtain(preset, accepted=True)
    return load_network(preset)


def test_the_demo_s_set_gives_the_pyramid_s_own_region_convolution(
    tiny: Preset, tiny_files: Path, tmp_path: Path
) -> None:
    preset = layout.preset_of(tiny.network, "ovsam-rn50x16-demo")
    assert preset.release is not None
    folder = tmp_path / "demo"
    layout.write_set(folder, preset.network, preset.release)
    decoder = torch.load(folder / "ovsam_R50x16_lvisnorare.pth", weights_only=False)
    decoder["state_dict"]["mask_decoder.roi_conv.0.conv.weight"] = torch.full((16, 16, 1, 1), 9.0)
    torch.save(decoder, folder / "ovsam_R50x16_lvisnorare.pth")
    store.obtain(preset, accepted=True, source=folder)
    assert_recipe(store.model_path(preset), preset)


def test_the_ready_made_classifier_serves_for_lvis_alone(tiny: Preset, tmp_path: Path) -> None:
    preset = layout.preset_of(tiny.network, "ovsam-rn50x16-demo")
    assert preset.release is not None
    layout.write_set(tmp_path / "demo", preset.network, preset.release)
    store.obtain(preset, accepted=True, source=tmp_path / "demo")
    predictor = load_predictor(preset, device="cpu")
    lvis = load_vocabulary("lvis")
    assert [category.id for category in lvis] == list(range(1, 1204))
    ready = build_recognizer(predictor.preset, "lvis").classifier
    rows = recipe.vocab("lvis", 1203, 2, 16)
    assert np.allclose(ready.embeddings, rows.reshape(-1, 16), atol=1e-6)
    with pytest.raises(ValueError, match="tiny-resnet"):  # for others, the text tower is asked
        build_recognizer(predictor.preset, "cat, dog")


def test_a_classifier_s_padding_is_taken_out(tmp_path: Path) -> None:
    rows = recipe.vocab("coco", 80, 3, 8)
    rows[4, 1:] = rows[4, 0]
    torch.save(torch.from_numpy(rows), tmp_path / "coco.pth")
    classifier = read_classifier(tmp_path / "coco.pth", load_vocabulary("coco"))
    assert np.bincount(classifier.owner).tolist() == [3] * 4 + [1] + [3] * 75
    assert np.allclose(classifier.embeddings[12], rows[4, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.ones(80, 8), "need one tensor"),
        (torch.ones(1203, 2, 4) / 2, "1203 classes, coco has 80"),
        (torch.ones(80, 2, 4), "not of unit length"),
        ({"a": torch.ones(80, 2, 4), "b": torch.ones(1)}, "need one tensor"),
    ],
)
def test_what_is_no_classifier_is_refused(tmp_path: Path, tensor: object, reason: str) -> None:
    torch.save(tensor, tmp_path / "c.pth")
    with pytest.raises(ValueError, match=reason):
        read_classifier(tmp_path / "c.pth", load_vocabulary("coco"))


def test_little_of_sam_crosses_the_wire(
    tiny: Preset, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SAM's real names and layout around the sliver that is wanted: 40 MB, 600 tensors."""
    with serve(tmp_path) as big:
        state = layout.sam_state(layout.assembled(tiny.network), blocks=590, width=130)
        torch.save(state, tmp_path / "sam_vit_h_4b8939.pth")
        size = (tmp_path / "sam_vit_h_4b8939.pth").stat().st_size
        assert size > 40e6
        monkeypatch.setenv("OVSAM_MIRROR", big.address)
        file = replace(sources.SAM_FILE, size=size)
        with store._open_excerpt(file) as checkpoint:
            names = [name for name in checkpoint.tensors if name.startswith("prompt_encoder.")]
            found = {name: checkpoint.read(name) for name in names}
            pos_embed = checkpoint.read("image_encoder.pos_embed")
        for key, value in layout.published(
            sources.SAM_PART, layout.assembled(tiny.network)
        ).items():
            assert torch.equal(found[key], value)
        assert torch.equal(pos_embed, torch.ones(1, 8, 8, 130))
        assert big.total < 1_000_000


def test_a_server_without_ranges_gives_all_of_sam(tiny: Preset, server: Server) -> None:
    server.ranges = False
    store.obtain(tiny, accepted=True)
    assert_recipe(store.model_path(tiny), tiny)
    name = "sam_vit_h_4b8939.pth"
    assert server.sent[name] > (server.folder / name).stat().st_size


def test_two_callers_at_once_make_one_good_model(tiny: Preset, server: Server) -> None:
    """Two processes are the same to the locks; `test_fetch` has them."""
    server.break_after = [1_000]  # so that there is time to get in each other's way
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(store.obtain, tiny, accepted=True) for _ in range(2)]
        assert {each.result(timeout=60) for each in made} == {store.model_path(tiny)}
    assert_recipe(store.model_path(tiny), tiny)
    whole = [name for name, asked in server.requests if asked is None]
    assert len(whole) - 1 == len(set(whole))  # one was broken off before anything had come


@pytest.mark.parametrize("kind", ["state dict", "safetensors", "no counters"])
def test_clip_may_come_in_other_wrappings(
    tiny: Preset, tiny_files: Path, tmp_path: Path, kind: str
) -> None:
    files = copies(tiny_files, tmp_path)
    clip = layout.clip_state(tiny.network, layout.assembled(tiny.network))
    path = tmp_path / "tiny-resnet.pt"
    if kind == "safetensors":
        save_file(clip, path)
    else:
        kept = {k: v for k, v in clip.items() if kind == "state dict" or "num_batches" not in k}
        torch.save({"state_dict": kept}, path)
    store.convert(tiny, files, tmp_path / "out.safetensors")
    assert_recipe(tmp_path / "out.safetensors", tiny)


def test_files_may_be_called_anything_and_one_may_hold_all(
    tiny: Preset, tiny_files: Path, tmp_path: Path
) -> None:
    files = [
        path.rename(tmp_path / f"{i}.bin") for i, path in enumerate(copies(tiny_files, tmp_path))
    ]
    store.convert(tiny, files[::-1], tmp_path / "out.safetensors")
    assert_recipe(tmp_path / "out.safetensors", tiny)
    torch.save(layout.assembled(tiny.network), tmp_path / "all.pth")
    store.convert(tiny, [tmp_path / "all.pth"], tmp_path / "again.safetensors")
    assert_recipe(tmp_path / "again.safetensors", tiny)


def copies(files: Path, folder: Path) -> list[Path]:
    """The published files, to be tampered with."""
    made = []
    for path in sorted(files.iterdir()):
        (folder / path.name).write_bytes(path.read_bytes())
        made.append(folder / path.name)
    return made


def test_offline_every_missing_file_is_named_with_its_size_and_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OVSAM_MIRROR", "http://127.0.0.1:1")
    monkeypatch.setattr("ovsam_plugin.checkpoints.fetch.TRIES", 1)
    with pytest.raises(FileNotFoundError) as offline:
        store.obtain(PRESETS["ovsam-rn50x16-lvis"], accepted=True)
    said = str(offline.value)
    assert "no connection to 127.0.0.1" in said
    assert "RN50x16.pt (about 661.0 MB) https://openaipublic." in said
    assert "sam_vit_h_4b8939.pth (2.56 GB) https://dl.fbaipublicfiles.com/segment_anything" in said
    hub = "https://huggingface.co/HarborYuan/ovsam_models/resolve/main"
    assert f"sam2clip_vith_rn50x16.pth (about 536.0 MB) {hub}/sam2clip_vith_rn50x16.pth" in said
    assert f"{hub}/clip2sam_lvis_rn50x16.pth" in said
    assert "--from FOLDER" in said


def test_a_folder_with_files_fetched_by_other_means_will_do(
    tiny: Preset, tiny_files: Path, tmp_path: Path
) -> None:
    files = copies(tiny_files, tmp_path)
    files[0].rename(tmp_path / "elsewhere.bin")
    with pytest.raises(
        FileNotFoundError, match=rf"not in {tmp_path}:\nMissing are:\n  {files[0].name}"
    ):
        store.obtain(tiny, accepted=True, source=tmp_path)
    (tmp_path / "elsewhere.bin").rename(files[0])
    store.obtain(tiny, accepted=True, source=tmp_path)
    assert_recipe(store.model_path(tiny), tiny)


def test_a_file_whose_hash_is_known_is_held_against_it(
    tiny: Preset, tiny_files: Path, tmp_path: Path
) -> None:
    assert tiny.release is not None
    clip, *others = tiny.release.parts
    pinned = replace(clip, file=replace(clip.file, sha256="5237"))
    preset = replace(tiny, release=replace(tiny.release, parts=(pinned, *others)))
    with pytest.raises(ValueError, match="tiny-resnet.pt is not the published file"):
        store.obtain(preset, accepted=True, source=tiny_files)
    assert not store.model_path(preset).exists()


def test_a_file_that_is_another_one_the_second_time_is_refused(
    tiny: Preset, server: Server, tmp_path: Path
) -> None:
    store.obtain(tiny, accepted=True)
    store.remove(store.model_path(tiny))
    for path in store.parts():
        store.remove(path)
    copies(server.folder, tmp_path)
    server.folder = tmp_path
    state = torch.load(tmp_path / "clip2sam_lvis_rn50x16.pth", weights_only=False)
    state["state_dict"]["fpn_neck.fpn_convs.0.conv.bias"] += 1
    torch.save(state, tmp_path / "clip2sam_lvis_rn50x16.pth")
    with pytest.raises(ValueError, match="is not the file that was fetched here before"):
        store.obtain(tiny, accepted=True)
    assert not store.model_path(tiny).exists()


def test_a_record_says_what_a_model_was_made_of(tiny: Preset, server: Server) -> None:
    path = store.obtain(tiny, accepted=True)
    record = json.loads(path.with_name(f"{path.name}.json").read_text())
    neck = server.folder / "sam2clip_vith_rn50x16.pth"
    assert record["sha256"] == file_sha256(path)
    assert record["facts"]["made_of"]["sam2clip_vith_rn50x16.pth"] == file_sha256(neck)


def test_an_unchanged_model_is_not_hashed_again_and_a_changed_one_is_refused(
    tiny: Preset, tiny_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.convert(tiny, copies(tiny_files, tmp_path), tmp_path / "out.safetensors")
    record = path.with_name(f"{path.name}.json")
    content = json.loads(record.read_text())
    content["recorded_ns"] += 10**9  # as if hashing had taken a second, as it does at full size
    record.write_text(json.dumps(content))
    with monkeypatch.context() as patch:
        patch.setattr("ovsam_plugin.checkpoints.record.file_sha256", None)
        digest = checked_sha256(path)
    before = path.stat()
    flip(path, -5)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # covering one's tracks
    with pytest.raises(ValueError, match=f"has changed.*recorded was {digest[:12]}"):
        load_network(tiny, path)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
