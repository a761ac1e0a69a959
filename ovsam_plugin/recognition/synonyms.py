"""The nearest of a class's names, for every class at once."""

from __future__ import annotations

import torch
from torch import Tensor


class Synonyms:
    """Text embeddings laid out so that the nearest synonym of every class is found fast.

    First synonyms come first, in the order of the classes, then all second ones, and so on; each
    class's best is then the larger of whole rows that lie side by side. With 22k classes this
    takes a fifth of the time of looking them up instance by instance.

    Args:
        rows: (T, D) unit text embeddings, one a synonym, those of a class side by side.
        owner: (T,) int64, the class of each row, ascending, every class at least once.

    Attributes:
        classes: K.
        dim: D.
    """

    def __init__(self, rows: Tensor, owner: Tensor) -> None:
        self.classes, self.dim = int(owner[-1]) + 1, rows.shape[1]
        places = torch.arange(len(owner), device=owner.device)
        first = torch.searchsorted(owner, places[: self.classes])
        rank = places - first[owner]
        order = torch.argsort(rank, stable=True)
        counts = torch.bincount(rank).tolist()
        self._rows = rows if len(counts) == 1 else rows[order]
        self._later: tuple[Tensor, ...] = torch.split(owner[order], counts)[1:]

    @property
    def device(self) -> torch.device:
        """Where the embeddings are."""
        return self._rows.device

    def nearest(self, embeddings: Tensor) -> Tensor:
        """Cosine of each instance and each class's nearest synonym.

        Args:
            embeddings: (N, D), any length; a zero embedding has cosine 0 with everything.

        Returns:
            (N, K) float32 in -1..1.
        """
        cosines = self._rows @ torch.nn.functional.normalize(embeddings, dim=-1).T
        # A copy, so that a gradient can flow through what is overwritten.
        best, start = cosines[: self.classes].clone(), self.classes
        for owners in self._later:
            later = cosines[start : start + len(owners)]
            best[owners] = torch.maximum(best[owners], later)
            start += len(owners)
        return best.T
