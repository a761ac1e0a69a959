"""Checkpoints as torch and safetensors write them, and as someone who means harm does."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ovsam_plugin.checkpoints.archive import CheckpointError, open_checkpoint
from tests.checkpoints import layout


def read(path: Path) -> dict[str, torch.Tensor]:
    with open_checkpoint(path) as checkpoint:
        return {key: checkpoint.read(key) for key in checkpoint.tensors}


def test_every_type_shape_and_view_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(2, 3, 4)
    state = {
        "plain": base,
        "turned": base.permute(2, 0, 1),
        "slice": base[:, 1:, ::2],
        "number": torch.tensor(7),
        "half": base.half(),
        "brain": base.bfloat16(),
        "flags": base > 3,
        "bytes": base.to(torch.uint8),
        "parameter": torch.nn.Parameter(base[0]),
    }
    torch.save(state, tmp_path / "state.pth")
    found = read(tmp_path / "state.pth")
    assert found.keys() == state.keys()
    for key, value in state.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value)


def test_weights_are_found_beside_an_optimizer_and_the_bookkeeping_of_mmengine(
    tmp_path: Path,
) -> None:
    state = OrderedDict({"neck_student.a": torch.ones(2)})
    state._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    path = tmp_path / "epoch_12.pth"
    torch.save(layout.trained(state), path)
    assert read(path).keys() == {"neck_student.a"}
    with pytest.raises(pickle.UnpicklingError):  # which is why torch.load alone will not do
        torch.load(path, weights_only=True)


def test_torchscript_is_read_without_being_run(tmp_path: Path) -> None:
    state = {"visual.conv1.weight": torch.rand(4, 3).half(), "logit_scale": torch.tensor(4.6)}
    layout.save_script(state, tmp_path / "RN50.pt")
    found = read(tmp_path / "RN50.pt")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], value) for key, value in state.items())


def test_a_bare_tensor_has_no_name(tmp_path: Path) -> None:
    torch.save(torch.ones(2, 3), tmp_path / "classifier.pth")
    assert read(tmp_path / "classifier.pth").keys() == {""}


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2).half()}, tmp_path / "a.safetensors")
    assert torch.equal(read(tmp_path / "a.safetensors")["a"], torch.ones(2).half())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of a Git LFS"),
        (pickle.dumps({"a": 1}), "bare pickle"),
        (bytes(1000), "neither a torch nor a safetensors file"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"weights\.pth is not a checkpoint: .*{reason}"):
        read(path)


def test_the_format_before_torch_1_6_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({"a": torch.ones(1)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="before torch 1.6"):
        read(path)


@pytest.mark.parametrize("member", ["data/0", "data.pkl"])
def test_an_encrypted_member_is_refused_by_name(tmp_path: Path, member: str) -> None:
    """Its first flag says so, in its own header (byte 6) and in the directory (byte 8)."""
    path = tmp_path / "locked.pth"
    torch.save({"a": torch.ones(4)}, path)
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        name = content.index(f"locked/{member}".encode(), content.index(mark))
        content[content.rindex(mark, 0, name) + place] |= 1
    path.write_bytes(content)
    assert [i.flag_bits & 1 for i in zipfile.ZipFile(path).infolist()].count(1) == 1
    with pytest.raises(CheckpointError, match=f"locked.pth has {member} .*encrypted"):
        read(path)


class Reduces:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self.call = function, given

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def with_pickle(path: Path, content: bytes) -> Path:
    """A sound checkpoint in all but its pickle."""
    sound = io.BytesIO()
    torch.save({"a": torch.ones(4)}, sound)
    with zipfile.ZipFile(sound) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            new.writestr(info, content if info.filename.endswith("data.pkl") else old.read(info))
    return path


def hostile(canary: Path) -> dict[str, bytes]:
    """Pickles each of which, unpickled as pickles are, makes the file `canary` or worse."""
    import builtins
    import importlib
    import os
    import subprocess

    shell = f"touch {canary}"
    return {
        "a shell": pickle.dumps(Reduces(os.system, shell)),
        "a process": pickle.dumps(Reduces(subprocess.check_call, ["touch", str(canary)])),
        "exec": pickle.dumps(Reduces(builtins.exec, f"open({str(canary)!r}, 'w')")),
        "a write": pickle.dumps(Reduces(Path.touch, canary)),
        "an import": pickle.dumps(Reduces(importlib.import_module, "antigravity")),
        "getattr": pickle.dumps(Reduces(getattr, canary, "touch")),
        "torch.load": pickle.dumps(Reduces(torch.load, str(canary))),
        "an instance": f"(S'{shell}'\nios\nsystem\n.".encode(),
        "an object": f"(cos\nsystem\nS'{shell}'\no.".encode(),
        "by protocol 4": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c"
        + bytes([len(shell)])
        + shell.encode()
        + b"\x85R.",
        "in a tensor's place": pickle.dumps({"a": Reduces(os.system, shell)}),
        "as a dict's factory": pickle.dumps({"state_dict": {"a": Reduces(eval, "1")}}),
    }


NAMES = sorted(hostile(Path("canary")))


@pytest.mark.parametrize("name", NAMES)
def test_no_code_of_a_pickle_is_run(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    path = with_pickle(tmp_path / "bad.pth", hostile(canary)[name])
    with pytest.raises(CheckpointError, match="bad.pth asks for .*nothing of it was run"):
        read(path)
    assert not canary.exists()


def test_a_symbol_of_numpy_is_neither_run_nor_imported(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    call = f"cnumpy.testing._private.utils\nrunstring\n(S\"open({str(canary)!r}, 'w')\"\n(dtR."
    assert read(with_pickle(tmp_path / "bad.pth", call.encode())) == {}
    assert not canary.exists()
    pickle.loads(call.encode())
    assert canary.exists()


def test_the_hostile_pickles_are_hostile(tmp_path: Path) -> None:
    """Without this the test above could not fail."""
    for name in ("a shell", "a process", "exec", "a write", "an instance", "an object"):
        canary = tmp_path / name.replace(" ", "-")
        pickle.loads(hostile(canary)[name])
        assert canary.exists(), name


def test_a_refusal_names_what_the_pickle_asked_for(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "bad.pth", hostile(tmp_path / "canary")["a shell"])
    with pytest.raises(
        CheckpointError, match=r"bad.pth asks for \w+.system.*nothing of it was run"
    ):
        read(path)


MODULE = b"c__torch__.net\nNet\n)\x81}U\x01a"
"""A TorchScript module whose one attribute is what follows."""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x80\x02}r\xff\xff\xff\x0f.", "fill the memory"),
        (b"\x80\x02" + MODULE * 50_000 + b"N" + b"sb" * 50_000 + b".", "recursion"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "damaged"),
        (b"\x80\x02}q\x00", "damaged"),
        (b"\x82\x01.", "damaged"),
    ],
    ids=["memo", "depth", "long string", "cut", "extension"],
)
def test_a_pickle_that_would_break_the_reader_is_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(CheckpointError, match=f"bad.pth .*{reason}"):
        read(with_pickle(tmp_path / "bad.pth", content))


class Rebuilt:
    """Pickles as a tensor of four stored floats, seen as someone wants them to be."""

    def __init__(self, offset: Any, shape: Any, stride: Any, storage: Any = None) -> None:
        self.seen = offset, shape, stride
        self.storage = storage or ("storage", torch.FloatStorage, "0", "cpu", 4)


def view_pickle(tensor: Rebuilt) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return value[1:] if isinstance(value, tuple) and value[:1] == ("pid",) else None

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, Rebuilt):
                storage = ("pid", *value.storage)
                return torch._utils._rebuild_tensor_v2, (storage, *value.seen, False, OrderedDict())
            return NotImplemented

    out = io.BytesIO()
    Pickler(out, protocol=2).dump({"a": tensor})
    return out.getvalue()


def test_a_tensor_made_up_for_these_tests_is_sound(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "good.pth", view_pickle(Rebuilt(0, (2, 2), (2, 1))))
    assert torch.equal(read(path)["a"], torch.ones(2, 2))


@pytest.mark.parametrize(
    "tensor",
    [
        Rebuilt(0, (5,), (1,)),
        Rebuilt(1, (4,), (1,)),
        Rebuilt(-1, (4,), (1,)),
        Rebuilt(0, (2,), (-1,)),
        Rebuilt(0, (1 << 40,), (0,)),
        Rebuilt(0, (2, 2), (1,)),
        Rebuilt(0, (2.0,), (1,)),
        Rebuilt(0, (4,), (1,), ("storage", torch.FloatStorage, "0", "cpu", 1 << 30)),
        Rebuilt(0, (4,), (1,), ("storage", torch.DoubleStorage, "0", "cpu", 4)),
        Rebuilt(0, (4,), (1,), ("storage", torch.FloatStorage, "../0", "cpu", 4)),
        Rebuilt(0, (4,), (1,), ("module", torch.FloatStorage, "0", "cpu", 4)),
        Rebuilt(0, (4,), (1,), ("storage", "FloatStorage", "0", "cpu", 4)),
    ],
    ids="long late early backward huge flat fraction claim wide outside kind word".split(),
)
def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(
    tmp_path: Path, tensor: Rebuilt
) -> None:
    with pytest.raises(CheckpointError, match="bad.pth is damaged"):
        read(with_pickle(tmp_path / "bad.pth", view_pickle(tensor)))


def test_arrays_of_objects_are_not_tensors(tmp_path: Path) -> None:
    path = tmp_path / "objects.pth"
    torch.save({"a": np.array([{"x": 1}], dtype=object), "b": torch.ones(1)}, path)
    assert read(path).keys() == {"b"}
