"""Checkpoint files, read without running anything that is in them.

A torch checkpoint is a zip of raw arrays beside one pickle that names and shapes them. The pickle
is read here with every symbol replaced by an inert stand-in of our own, so nothing of it is ever
imported or called. That is stricter than `torch.load(weights_only=True)`, which moreover refuses
TorchScript (OpenAI's CLIP files) and the bookkeeping that mmengine saves beside its weights, and
cannot read a few tensors of a file that lies on a server. What is not a tensor is left out.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_SAFETENSORS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
# What stands in training checkpoints beside the weights; never imported, and dropped.
_BOOKKEEPING = ("__torch__.", "torch.jit._pickle.", "mmengine.", "numpy.", "datetime.datetime")
_BOOKKEEPING_NAMES = {"_codecs.encode", "collections.deque", "collections.defaultdict"}
_MAX_PICKLE = 64 << 20
_MAX_MEMBERS = 100_000
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"


class CheckpointError(ValueError):
    """A checkpoint file is not what it should be; the message says which file and why."""


class DamagedError(CheckpointError):
    """Its bytes are not those that were written; to fetch it again may help.

    Attributes:
        name: of the file.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name} {message}")
        self.name = name


@dataclass(frozen=True)
class TensorInfo:
    """A tensor that has not been read.

    Attributes:
        dtype: as stored.
        shape: of the tensor.
        place: where its numbers are; the reader's own affair.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    place: Any = None


class CheckpointArchive(Protocol):
    """An open checkpoint: `tensors` by name, and `read` for the numbers of one.

    A file that holds one bare tensor has it under the empty name.
    """

    name: str
    tensors: dict[str, TensorInfo]

    def read(self, key: str) -> Tensor:
        """One tensor, on the CPU, of its stored dtype, in memory of its own.

        Raises:
            CheckpointError: its bytes are damaged.
        """
        ...


@contextmanager
def open_checkpoint(path: str | Path) -> Iterator[CheckpointArchive]:
    """A torch or safetensors file on this machine.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is no checkpoint, is damaged, or asks for code to be run.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with path.open("rb") as file:
        start = file.read(512)
        if start.startswith(b"PK\x03\x04"):
            file.seek(0)
            yield TorchArchive(file, path.name)
            return
    if len(start) > 8 and start[8:9] == b"{":
        with _sound(path.name):
            opened = safe_open(str(path), framework="pt")
        yield SafetensorsFile(opened, path.name)
        return
    raise DamagedError(path.name, f"is not a checkpoint: {_guess(start)}")


class SafetensorsFile:
    """A safetensors file; see `CheckpointArchive`."""

    def __init__(self, file: Any, name: str) -> None:
        self.name = name
        self._file = file
        with _sound(name):
            parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            self.tensors = {
                key: TensorInfo(_SAFETENSORS[part.get_dtype()], tuple(part.get_shape()))
                for key, part in parts.items()
            }

    def read(self, key: str) -> Tensor:
        with _sound(self.name):
            tensor: Tensor = self._file.get_tensor(key)
        return tensor


class TorchArchive:
    """What `torch.save` or `torch.jit.save` wrote; see `CheckpointArchive`.

    Args:
        file: seekable; may be a `RemoteFile`, since only the directory, the pickle and the tensors
            asked for are read.
        name: for messages.

    Raises:
        CheckpointError: see `open_checkpoint`.
    """

    def __init__(self, file: io.BufferedReader, name: str) -> None:
        self.name = name
        with _sound(name):
            self._zip = zipfile.ZipFile(file)
            self._members = self._checked_members(file.seek(0, io.SEEK_END))
            pickles = [m for m in self._members if m.endswith("/data.pkl") and m.count("/") == 1]
            if len(pickles) != 1:
                raise CheckpointError(f"{name} is a zip file, but not a torch checkpoint")
            self._root = pickles[0].removesuffix("data.pkl")
            if f"{self._root}byteorder" in self._members and self._bytes("byteorder") != b"little":
                raise CheckpointError(f"{name} was not written on a little-endian machine")
            if self._members[pickles[0]].file_size > _MAX_PICKLE:
                raise CheckpointError(f"{name} has a pickle beyond {_MAX_PICKLE:,} bytes")
            root = _Unpickler(self._bytes("data.pkl"), name).load()
            self.tensors = dict(_named_tensors(root))
        self._last: tuple[str, bytearray] = ("", bytearray())

    def _checked_members(self, length: int) -> dict[str, zipfile.ZipInfo]:
        infos = self._zip.infolist()
        members = {info.filename: info for info in infos}
        if len(members) < len(infos):
            raise CheckpointError(f"{self.name} has two members of one name")
        if len(infos) > _MAX_MEMBERS or sum(info.compress_size for info in infos) > length:
            raise CheckpointError(f"{self.name} claims more content than it has bytes")
        return members

    def read(self, key: str) -> Tensor:
        info = self.tensors[key]
        storage, numel, offset, stride = info.place
        with _sound(self.name, f" at {key}"):
            _check_view(info.shape, stride, offset, numel)
            flat = torch.frombuffer(
                self._storage(storage, numel * info.dtype.itemsize), dtype=info.dtype
            )
            return flat.as_strided(info.shape, stride, offset).clone(
                memory_format=torch.contiguous_format
            )

    def _storage(self, key: str, size: int) -> bytearray:
        if self._last[0] != key:
            content = self._bytes(f"data/{key}")
            if len(content) != size:
                raise ValueError(f"its numbers take {len(content):,} bytes, not {size:,}")
            self._last = key, bytearray(content)
        return self._last[1]

    def _bytes(self, member: str) -> bytes:
        """A member, its CRC checked."""
        info = self._members[self._root + member]
        # torch only stores these, and what is stored cannot be larger than the file.
        how = "encrypted" if info.flag_bits & 1 else "compressed"
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise CheckpointError(f"{self.name} has {member} {how}, as torch never does")
        return self._zip.read(info)


def _check_view(shape: tuple[int, ...], stride: Any, offset: Any, numel: int) -> None:
    """A view must lie inside its storage."""
    numbers = [*shape, *stride, offset, numel]
    if len(shape) != len(stride) or any(type(n) is not int or n < 0 for n in numbers):
        raise ValueError("its sizes are not sizes")
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride))
    if 0 in shape or last >= numel or math.prod(shape) > numel:
        raise ValueError("it reaches beyond its storage")


class _Unpickler(pickle.Unpickler):
    """Builds containers and descriptions of tensors, and refuses every other symbol.

    The stand-ins are made anew for each pickle: whatever a pickle does to them ends with it.
    """

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(io.BytesIO(data))
        self._name = name
        for opcode, number, _ in pickletools.genops(data):
            # The C unpickler makes its memo as long as the largest number it is told.
            if opcode.name.endswith("PUT") and isinstance(number, int) and number > len(data):
                raise CheckpointError(f"{name} has a pickle that would fill the memory")

        class Inert(_Inert):
            pass

        class Mapping(dict[Any, Any]):
            def __setstate__(self, state: object) -> None:
                pass

        self._inert = Inert
        self._symbols: dict[str, Any] = {
            "collections.OrderedDict": Mapping,
            "torch._utils._rebuild_tensor_v2": lambda *given: _tensor_info(*given[:4]),
            "torch._utils._rebuild_parameter": lambda *given: given[0],
            **{f"torch.{name}": dtype for name, dtype in _STORAGES.items()},
        }

    def find_class(self, module: str, name: str) -> Any:
        symbol = f"{module}.{name}"
        if symbol in self._symbols:
            return self._symbols[symbol]
        if symbol.startswith(_BOOKKEEPING) or symbol in _BOOKKEEPING_NAMES:
            return self._inert
        raise CheckpointError(
            f"{self._name} asks for {symbol:.80}, which has no place in a checkpoint: it may be an "
            "attempt to run code, and nothing of it was run"
        )

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, _, numel = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise ValueError(f"unknown kind of content {pid!r:.80}")
        return dtype, str(key), int(numel)


class _Inert:
    """Stands for an object that is not wanted; keeps its state, in which there may be tensors."""

    state: Any = None

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """A list's, for stand-ins of lists."""

    def extend(self, values: Any) -> None:
        """A list's, for stand-ins of lists."""


def _tensor_info(storage: Any, offset: Any, shape: Any, stride: Any) -> TensorInfo:
    dtype, key, numel = storage
    return TensorInfo(dtype, tuple(shape), (key, numel, offset, tuple(stride)))


def _named_tensors(root: Any, prefix: str = "") -> Iterator[tuple[str, TensorInfo]]:
    """The tensors of a bare tensor, a state dict (perhaps nested), or TorchScript's modules."""
    if isinstance(root, TensorInfo):
        yield prefix, root
        return
    content = root.state if isinstance(root, _Inert) else root
    if not prefix and isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if isinstance(key, str) and isinstance(value, TensorInfo | _Inert):
            yield from _named_tensors(value, f"{prefix}.{key}" if prefix else key)


@contextmanager
def _sound(name: str, where: str = "") -> Iterator[None]:
    """Whatever a damaged or hostile file brings about is one kind of error."""
    try:
        yield
    except (CheckpointError, FileNotFoundError, ConnectionError):
        raise
    except (SafetensorError, Exception) as error:
        reason = str(error) or type(error).__name__
        raise DamagedError(name, f"is damaged{where}: {reason:.200}") from error


def _guess(start: bytes) -> str:
    """What a file is instead."""
    text = start.lstrip().lower()
    if not start:
        return "it is empty"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, perhaps the error page of a server or proxy"
    if text.startswith(b"version https://git-lfs"):
        return "it is the pointer of a Git LFS file; fetch the file itself"
    if start.startswith(_LEGACY):
        return (
            "it is in the format from before torch 1.6; load and save it with a newer torch first"
        )
    if start[:1] == b"\x80":
        return "it is a bare pickle, which could run code"
    return "neither a torch nor a safetensors file"
