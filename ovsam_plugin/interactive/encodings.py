"""Encoded photographs, the latest ones, within a bound of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import fields, is_dataclass

from torch import Tensor

from ovsam_plugin.prediction.predictor import Encoding

# Of ovsam-lite about 40 photographs.
MOST_BYTES = 1 << 30


class Encodings:
    """Encodings by key, those used last; safe to use from several threads.

    Args:
        most_bytes: what they take together. The latest stays even if it is larger.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, tuple[Encoding, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """What they take."""
        return self._bytes

    def get(self, key: Hashable) -> Encoding | None:
        """The encoding, which counts as used now."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: Hashable, encoding: Encoding) -> None:
        """Keeps an encoding, and forgets those that it leaves no room for."""
        size = bytes_of(encoding)
        with self._lock:
            if key in self._kept:
                self._bytes -= self._kept.pop(key)[1]
            self._kept[key] = encoding, size
            self._bytes += size
            while self._bytes > self._most_bytes and len(self._kept) > 1:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed

    def clear(self) -> None:
        """Forgets all."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0


def bytes_of(value: object) -> int:
    """Bytes of all tensors and arrays that a value is made of."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if is_dataclass(value) and not isinstance(value, type):
        return sum(bytes_of(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, list | tuple):
        return sum(map(bytes_of, value))
    return int(getattr(value, "nbytes", 0))
