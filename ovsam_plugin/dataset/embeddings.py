"""Both embeddings of many instances, by the ids of their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

_HALF = np.float32(np.sqrt(0.5))


@dataclass(frozen=True, eq=False)
class StoredEmbeddings:
    """What is kept of N instances, so that they can be named and searched again.

    Attributes:
        label_ids, sample_ids: N ids each.
        vectors: (N, 2 D) float32, unit length: `join` of the two branches' embeddings.
    """

    label_ids: npt.NDArray[np.str_]
    sample_ids: npt.NDArray[np.str_]
    vectors: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.label_ids)

    @property
    def head(self) -> npt.NDArray[np.float32]:
        """(N, D) float32, unit length: the trained head's."""
        return self._half(0)

    @property
    def clip(self) -> npt.NDArray[np.float32]:
        """(N, D) float32, unit length: the frozen encoder's own."""
        return self._half(1)

    def _half(self, which: int) -> npt.NDArray[np.float32]:
        width = self.vectors.shape[1] // 2
        half: npt.NDArray[np.float32] = self.vectors[:, which * width : (which + 1) * width]
        unit: npt.NDArray[np.float32] = half / _HALF
        return unit

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {label_id: row for row, label_id in enumerate(self.label_ids.tolist())}

    def rows(self, label_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """(M,) where each label's vector is; -1 for those that have none."""
        return np.array([self._rows.get(i, -1) for i in label_ids], dtype=np.int64)

    def __getitem__(self, keep: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> StoredEmbeddings:
        """The same for some of the instances, chosen by index or by a bool array."""
        return StoredEmbeddings(self.label_ids[keep], self.sample_ids[keep], self.vectors[keep])


def join(head: npt.NDArray[np.float32], clip: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One vector of both branches' embeddings, side by side.

    Its cosine with a text embedding that is joined to itself is the mean of the two branches'
    cosines with that text, so one index answers for both.

    Args:
        head, clip: (N, D) float32, unit length.

    Returns:
        (N, 2 D) float32, unit length.
    """
    joined: npt.NDArray[np.float32] = np.concatenate([head, clip], axis=1) * _HALF
    return joined
