"""Good files made bad, one change at a time: each is refused with the reason; nothing is left."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ovsam_plugin.checkpoints import store as weights_store
from ovsam_plugin.checkpoints.preset_weights import load_network
from ovsam_plugin.checkpoints.record import record_path
from ovsam_plugin.presets import Preset
from tests.checkpoints.server import Server

HEAD, NECK = "clip2sam_lvis_rn50x16.pth", "sam2clip_vith_rn50x16.pth"
SAM, CLIP = "sam_vit_h_4b8939.pth", "tiny-resnet.pt"
TOKEN = "mask_decoder.label_token.weight"

Change = Callable[[Path], None]


def edited(change: Callable[[dict[str, Any]], None]) -> Change:
    """Other tensors in an otherwise well-formed file."""

    def apply(path: Path) -> None:
        whole = torch.load(path, weights_only=False)
        change(whole["state_dict"])
        torch.save(whole, path)

    return apply


def rezipped(change: Callable[[zipfile.ZipFile, zipfile.ZipInfo, bytes], None]) -> Change:
    """The same members written in another way."""

    def apply(path: Path) -> None:
        made = io.BytesIO()
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
            for info in old.infolist():
                change(new, info, old.read(info))
        path.write_bytes(made.getvalue())

    return apply


def in_bytes(change: Callable[[bytearray], bytes | bytearray]) -> Change:
    """The bytes of the file."""
    return lambda path: path.write_bytes(bytes(change(bytearray(path.read_bytes())))) and None


def flipped(content: bytearray, at: int) -> bytearray:
    """One bit of them."""
    content[at] ^= 1
    return content


def flip_in_tensor(path: Path) -> None:
    """One bit of the numbers of the largest tensor."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
        start = largest.header_offset + 30
    content = bytearray(path.read_bytes())
    names, extra = struct.unpack_from("<HH", content, largest.header_offset + 26)
    content[start + names + extra + largest.file_size // 2] ^= 8
    path.write_bytes(content)


def bomb(new: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes) -> None:
    """Zeros without end behind a few bytes, where a tensor should be."""
    if info.filename.endswith("data/0"):
        new.writestr(info.filename, bytes(20_000_000), zipfile.ZIP_DEFLATED)
    else:
        new.writestr(info, content)


def twice(new: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes) -> None:
    new.writestr(info, content)
    if info.filename.endswith("data/0"):
        with pytest.warns(UserWarning, match="Duplicate"):
            new.writestr(info.filename, bytes(len(content)))


def shorter_tensor(new: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes) -> None:
    new.writestr(info, content[:-4] if info.filename.endswith("data/0") else content)


def without_tensor(new: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes) -> None:
    if not info.filename.endswith("data/0"):
        new.writestr(info, content)


def big_endian(new: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes) -> None:
    new.writestr(info, b"big" if info.filename.endswith("byteorder") else content)


class Runs:
    """Pickles as a call."""

    def __init__(self, function: Any, *given: Any) -> None:
        self.call = function, given

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def poisoned(path: Path) -> None:
    """All that was there, and in the optimizer's place a command."""
    whole = torch.load(path, weights_only=False)
    whole["optimizer"] = Runs(os.system, f"touch {path.parent / 'canary'}")
    torch.save(whole, path)


def poisoned_tensor(path: Path) -> None:
    whole = torch.load(path, weights_only=False)
    whole["state_dict"][TOKEN] = Runs(eval, f"open({str(path.parent / 'canary')!r}, 'w')")
    torch.save(whole, path)


def bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Runs(os.system, f"touch {path.parent / 'canary'}")))


def as_(name: str) -> Change:
    """Another file of the set under this one's name."""
    return lambda path: path.write_bytes((path.parent / name).read_bytes()) and None


def renamed(state: dict[str, Any]) -> None:
    state["mask_decoder.labeltoken.weight"] = state.pop(TOKEN)


MUTATIONS: dict[str, tuple[str, Change, str]] = {
    "a bit of a tensor": (NECK, flip_in_tensor, "Bad CRC-32"),
    "a bit of the pickle": (
        HEAD,
        in_bytes(lambda b: flipped(b, b.find(b"label_token"))),
        "Bad CRC",
    ),
    "a bit of the directory": (
        HEAD,
        in_bytes(lambda b: flipped(b, b.find(b"PK\x01\x02") + 16)),
        "Bad CRC",
    ),
    "cut in half": (NECK, in_bytes(lambda b: b[: len(b) // 2]), "not a zip file"),
    "cut by a byte": (HEAD, in_bytes(lambda b: b[:-1]), "not a zip file"),
    "empty": (HEAD, in_bytes(lambda b: b""), "it is empty"),
    "zeros": (HEAD, in_bytes(lambda b: bytes(len(b))), "not a checkpoint"),
    "noise": (SAM, in_bytes(lambda b: os.urandom(len(b))), "not a checkpoint"),
    "a web page": (NECK, in_bytes(lambda b: b"<html>Sign in"), "a web page"),
    "an LFS pointer": (NECK, in_bytes(lambda b: b"version https://git-lfs.github.com"), "pointer"),
    "a key renamed": (HEAD, edited(renamed), f"1 missing: {TOKEN}"),
    "a key gone": (HEAD, edited(lambda s: s.pop(TOKEN)), f"1 missing: {TOKEN}"),
    "a key too many": (NECK, edited(lambda s: s.update(x=torch.ones(1))), "1 not expected: x"),
    "another shape": (HEAD, edited(lambda s: s.update({TOKEN: torch.ones(1, 9)})), "another shape"),
    "whole numbers": (HEAD, edited(lambda s: s.update({TOKEN: s[TOKEN].long()})), "another type"),
    "complex numbers": (HEAD, edited(lambda s: s.update({TOKEN: s[TOKEN] + 1j})), "ComplexFloat"),
    "an array of objects": (
        HEAD,
        edited(lambda s: s.update({TOKEN: np.array([None], dtype=object)})),
        f"1 missing: {TOKEN}",
    ),
    "not a number": (HEAD, edited(lambda s: s[TOKEN].fill_(torch.nan)), "not finite"),
    "infinity": (
        NECK,
        edited(lambda s: s["neck_student.pos_embed"].fill_(torch.inf)),
        "not finite",
    ),
    "a command beside the weights": (HEAD, poisoned, "asks for .*system.*nothing of it was run"),
    "a command in a weight's place": (HEAD, poisoned_tensor, "asks for .*eval"),
    "a command alone": (HEAD, bare_pickle, "bare pickle"),
    "a zip bomb": (HEAD, rezipped(bomb), "compressed, as torch never does"),
    "two members of one name": (HEAD, rezipped(twice), "two members of one name"),
    "a tensor too short": (HEAD, rezipped(shorter_tensor), "its numbers take"),
    "a tensor's bytes gone": (HEAD, rezipped(without_tensor), "damaged at"),
    "bytes in the other order": (HEAD, rezipped(big_endian), "little-endian"),
    "the neck for the decoder": (HEAD, as_(NECK), "missing"),
    "SAM for CLIP": (CLIP, as_(SAM), "missing"),
    "another width": (
        NECK,
        edited(lambda s: s.update({k: v[..., :-1].clone() for k, v in s.items() if v.ndim > 1})),
        "of another shape",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bad_file_is_refused_with_the_reason(
    store: Path, tiny: Preset, tiny_files: Path, tmp_path: Path, name: str
) -> None:
    file, change, reason = MUTATIONS[name]
    folder = tmp_path / "files"
    folder.mkdir()
    for path in tiny_files.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    change(folder / file)
    with pytest.raises(ValueError, match=rf"(?s){file}.*{reason}"):
        weights_store.obtain(tiny, accepted=True, source=folder)
    assert weights_store.models() == weights_store.parts() == []
    assert not list(tmp_path.rglob("*.part"))
    assert not (folder / "canary").exists()


def test_bad_files_are_not_converted_either(tiny: Preset, tiny_files: Path, tmp_path: Path) -> None:
    for path in tiny_files.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    files = sorted(tmp_path.iterdir())
    flip_in_tensor(tmp_path / NECK)
    with pytest.raises(ValueError, match=f"{NECK} is damaged"):
        weights_store.convert(tiny, files, tmp_path / "to" / "out.safetensors")
    (tmp_path / NECK).write_bytes((tmp_path / HEAD).read_bytes())
    with pytest.raises(ValueError, match=r"none of the files holds neck\.\* of ovsam"):
        weights_store.convert(tiny, files, tmp_path / "to" / "out.safetensors")
    assert not (tmp_path / "to").exists()


def test_a_download_that_turns_out_damaged_is_fetched_again(
    store: Path, tiny: Preset, server: Server, tmp_path: Path
) -> None:
    good = server.folder
    for path in good.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    flip_in_tensor(tmp_path / NECK)
    server.folder = tmp_path
    with pytest.raises(ValueError, match=f"{NECK} is damaged"):
        weights_store.obtain(tiny, accepted=True)
    server.folder = good
    assert weights_store.obtain(tiny, accepted=True).is_file()
    assert [name for name, _ in server.requests].count(HEAD) == 1


def header(path: Path) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(change: Callable[[dict[str, Any]], None]) -> Change:
    """A safetensors file whose header says otherwise."""

    def apply(path: Path) -> None:
        known, data = header(path)
        change(known)
        text = json.dumps(known).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)

    return apply


def overlap(known: dict[str, Any]) -> None:
    names = [name for name in known if name != "__metadata__"]
    known[names[1]]["data_offsets"] = known[names[0]]["data_offsets"]


def resaved(change: Callable[[dict[str, torch.Tensor]], None]) -> Change:
    def apply(path: Path) -> None:
        state = load_file(path)
        change(state)
        save_file(state, path)

    return apply


CONVERTED: dict[str, tuple[Change, str]] = {
    "a bit of a tensor": (in_bytes(lambda b: flipped(b, -50)), "sha256"),
    "cut": (in_bytes(lambda b: b[:-1]), "sha256"),
    "longer": (in_bytes(lambda b: b + b"x"), "sha256"),
    "another model": (resaved(lambda s: s.update({TOKEN: s[TOKEN] + 1})), "sha256"),
}
UNRECORDED: dict[str, tuple[Change, str]] = {
    "a header beyond the file": (
        in_bytes(lambda b: struct.pack("<Q", 1 << 60) + b[8:]),
        "not a valid safetensors file",
    ),
    "a header that is no JSON": (in_bytes(lambda b: b[:9] + b"#" + b[10:]), "not a valid"),
    "tensors that overlap": (with_header(overlap), "not a valid"),
    "a shape without its bytes": (
        with_header(lambda h: h[TOKEN].update(shape=[1 << 40, 1 << 20])),
        "not a valid",
    ),
    "an unknown type": (with_header(lambda h: h[TOKEN].update(dtype="OBJECT")), "not a valid"),
    "a key renamed": (with_header(lambda h: h.update(x=h.pop(TOKEN))), "1 missing: "),
    "a shape turned": (
        with_header(lambda h: h[TOKEN].update(shape=h[TOKEN]["shape"][::-1])),
        "1 of another shape",
    ),
    "whole numbers": (resaved(lambda s: s.update({TOKEN: s[TOKEN].long()})), "another type"),
    "a pickle": (bare_pickle, "not a valid"),
}


@pytest.fixture
def converted(tiny: Preset, tiny_files: Path, tmp_path: Path, store: Path) -> Path:
    return weights_store.convert(tiny, sorted(tiny_files.iterdir()), tmp_path / "out.safetensors")


@pytest.mark.parametrize("name", CONVERTED)
def test_a_converted_file_that_changed_is_refused(tiny: Preset, converted: Path, name: str) -> None:
    load_network(tiny, converted)
    change, reason = CONVERTED[name]
    change(converted)
    with pytest.raises(ValueError, match=f"out.safetensors has changed.*{reason}"):
        load_network(tiny, converted)


@pytest.mark.parametrize("name", UNRECORDED)
def test_a_file_of_unknown_origin_is_refused_when_it_is_unsound(
    tiny: Preset, converted: Path, name: str
) -> None:
    record_path(converted).unlink()
    load_network(tiny, converted)
    change, reason = UNRECORDED[name]
    change(converted)
    with pytest.raises(ValueError, match=reason):
        load_network(tiny, converted)
    assert not (converted.parent / "canary").exists()


def test_a_damaged_record_is_said_to_be_so(tiny: Preset, converted: Path) -> None:
    record_path(converted).write_text("{")
    with pytest.raises(ValueError, match=r"out.safetensors.json is damaged: remove it"):
        load_network(tiny, converted)


def test_a_process_that_is_killed_while_it_writes_leaves_no_model(
    store: Path, tiny: Preset, tiny_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(state: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(weights_store, "save_file", full)
        with pytest.raises(OSError, match="No space left"):
            weights_store.obtain(tiny, accepted=True, source=tiny_files)
    assert weights_store.models() == []
    assert not list(store.rglob("*.part"))
    assert weights_store.obtain(tiny, accepted=True, source=tiny_files).is_file()
