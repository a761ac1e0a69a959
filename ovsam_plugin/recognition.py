"""Embeddings and a vocabulary to names, and to the scores that say how far to trust them."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ovsam_plugin.instances import Instances
from ovsam_plugin.vocabulary.classifier import Classifier
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

TOP_K = 5
# Instances at once: 22k classes with synonyms then take about 80 MB.
_CHUNK = 256

# Of some instances: the head's and the encoder's embeddings, and which masks are empty.
_Part: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Fusion:
    """How the two branches' probabilities become one (paper, section 3.3).

    The fused score is q^(1 - w) c^w, with q the head's and c the frozen encoder's probability.

    Attributes:
        seen_weight: w of classes that the head was trained on, and of the background.
        unseen_weight: w of all others.
        head_scale, clip_scale: what cosines are multiplied by before each softmax.
    """

    seen_weight: float = 0.1
    unseen_weight: float = 0.9
    head_scale: float = float(np.exp(np.float32(4.6052)))
    clip_scale: float = float(np.exp(np.float32(4.6052)))


@dataclass(frozen=True, eq=False)
class Recognition:
    """Names and scores of N instances.

    Attributes:
        vocabulary: the classes that were asked about.
        indices: (N,) int64, the best class of each.
        confidence: (N,) float32 in 0..1, its fused probability, background included.
        head_score, clip_score: (N,) float32 in 0..1, each branch's own probability of it.
        similarity: (N,) float32 in -1..1, cosine of the CLIP embedding and its nearest synonym.
        margin: (N,) float32 in 0..1, `confidence` less the second class's.
        top_indices: (N, k) int64, best first, k = min(5, classes).
        top_scores: (N, k) float32, their fused probabilities.
    """

    vocabulary: Vocabulary
    indices: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    head_score: npt.NDArray[np.float32]
    clip_score: npt.NDArray[np.float32]
    similarity: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float32]
    top_indices: npt.NDArray[np.int64]
    top_scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def names(self) -> tuple[str, ...]:
        """The best class's display name of each instance."""
        return tuple(self.vocabulary.names[i] for i in self.indices)

    @property
    def top_names(self) -> tuple[tuple[str, ...], ...]:
        """The best k display names of each instance."""
        return tuple(tuple(self.vocabulary.names[i] for i in row) for row in self.top_indices)

    def __getitem__(self, keep: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Recognition:
        """The same for some of the instances, chosen by index or by a bool array."""
        return Recognition(
            self.vocabulary,
            self.indices[keep],
            self.confidence[keep],
            self.head_score[keep],
            self.clip_score[keep],
            self.similarity[keep],
            self.margin[keep],
            self.top_indices[keep],
            self.top_scores[keep],
        )


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


def with_background(cosines: Tensor, scale: float) -> Tensor:
    """(N, K) cosines -> (N, K + 1) logits; the background is last and its logit is 0."""
    return torch.nn.functional.pad(cosines * scale, (0, 1))


def fuse(
    head_logits: Tensor, clip_logits: Tensor, seen: Tensor, empty: Tensor, fusion: Fusion
) -> Tensor:
    """The fused log scores, computed in log space so that nothing underflows.

    Args:
        head_logits, clip_logits: (N, K + 1), background last.
        seen: (K,) bool, classes that the head was trained on.
        empty: (N,) bool, masks without a pixel, for which the head alone counts.
        fusion: weights.

    Returns:
        (N, K + 1), not normalised.
    """
    weight = torch.where(seen, fusion.seen_weight, fusion.unseen_weight)
    weight = torch.nn.functional.pad(weight, (0, 1), value=fusion.seen_weight)
    weight = weight * (~empty)[:, None]
    return (1 - weight) * head_logits.log_softmax(-1) + weight * clip_logits.log_softmax(-1)


def seen_classes(vocabulary: Vocabulary, trained_on: Iterable[str]) -> npt.NDArray[np.bool_]:
    """(K,) bool: classes one of whose synonyms the head was trained on (case is ignored)."""
    known = {name.casefold() for name in trained_on}
    return np.array(
        [
            not known.isdisjoint(name.casefold() for name in (c.name, *c.synonyms))
            for c in vocabulary.categories
        ],
        dtype=bool,
    )


class Recognizer:
    """Names instances over one vocabulary.

    Args:
        classifier: the vocabulary's text embeddings.
        fusion: how the branches are put together.
        seen: (K,) bool, classes that the head was trained on; none when not given.
        device: where the similarities are computed.
        temperature: that the fused log scores are divided by before the softmax; see
            `calibration`. The branches' own scores stay as they are.
    """

    def __init__(
        self,
        classifier: Classifier,
        fusion: Fusion,
        seen: npt.NDArray[np.bool_] | None = None,
        device: str | torch.device = "cpu",
        temperature: float = 1.0,
    ) -> None:
        self.classifier = classifier
        self.vocabulary = classifier.vocabulary
        self.fusion = fusion
        self.temperature = temperature
        self.device = torch.device(device)
        classes = len(self.vocabulary)
        if seen is None:
            seen = np.zeros(classes, dtype=bool)
        if seen.shape != (classes,):
            raise ValueError(f"`seen` has shape {seen.shape}, the vocabulary {classes} classes")
        self._seen = torch.from_numpy(seen).to(self.device)
        self._synonyms = Synonyms(
            torch.from_numpy(classifier.embeddings).to(self.device),
            torch.from_numpy(classifier.owner).to(self.device),
        )

    def at_temperature(self, temperature: float) -> Recognizer:
        """The same with another temperature; text embeddings are shared, not copied."""
        other = copy(self)
        other.temperature = temperature
        return other

    def __call__(self, instances: Instances) -> Recognition:
        """Names and scores of an image's instances, in their order."""
        return self.recognize(instances.head_embeddings, instances.clip_embeddings, instances.empty)

    @torch.inference_mode()
    def recognize(
        self,
        head: npt.NDArray[np.float32],
        clip: npt.NDArray[np.float32],
        empty: npt.NDArray[np.bool_],
    ) -> Recognition:
        """Names and scores from embeddings alone.

        Args:
            head, clip: (N, D) float32, the two branches' embeddings.
            empty: (N,) bool, masks without a pixel.

        Raises:
            ValueError: the embeddings are not those of this vocabulary's text tower.
        """
        parts = [self._recognize_part(*part) for part in self._parts(head, clip, empty)]
        columns = [np.concatenate(column) for column in zip(*parts)]
        return Recognition(self.vocabulary, *columns)

    @torch.inference_mode()
    def log_scores(
        self,
        head: npt.NDArray[np.float32],
        clip: npt.NDArray[np.float32],
        empty: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float32]:
        """(N, K + 1) fused log scores, background last, before temperature and softmax.

        Args, Raises: see `recognize`.
        """
        parts = self._parts(head, clip, empty)
        return np.concatenate([self._scores(*part)[2].cpu().numpy() for part in parts])

    def _parts(
        self,
        head: npt.NDArray[np.float32],
        clip: npt.NDArray[np.float32],
        empty: npt.NDArray[np.bool_],
    ) -> list[_Part]:
        """Some instances at a time, at least one part."""
        dim = self._synonyms.dim
        if head.shape != clip.shape or head.ndim != 2 or head.shape[1] != dim:
            raise ValueError(
                f"embeddings of shapes {head.shape} and {clip.shape} do not go with text "
                f"embeddings of {dim} dimensions: use the vocabulary of the same preset"
            )
        return [
            (head[i : i + _CHUNK], clip[i : i + _CHUNK], empty[i : i + _CHUNK])
            for i in range(0, max(len(head), 1), _CHUNK)
        ]

    def _scores(
        self,
        head: npt.NDArray[np.float32],
        clip: npt.NDArray[np.float32],
        empty: npt.NDArray[np.bool_],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Both branches' logits and the fused log scores, each (N, K + 1)."""
        # One product for both branches: with 22k classes, reading the rows is most of the time.
        both = torch.from_numpy(np.concatenate([head, clip])).to(self.device)
        cosines = self._synonyms.nearest(both)
        q = with_background(cosines[: len(head)], self.fusion.head_scale)
        c = with_background(cosines[len(head) :], self.fusion.clip_scale)
        fused = fuse(q, c, self._seen, torch.from_numpy(empty).to(self.device), self.fusion)
        return q, c, fused

    def _recognize_part(
        self,
        head: npt.NDArray[np.float32],
        clip: npt.NDArray[np.float32],
        empty: npt.NDArray[np.bool_],
    ) -> tuple[npt.NDArray[np.generic], ...]:
        classes = len(self.vocabulary)
        q, c, fused = self._scores(head, clip, empty)
        scores = (fused / self.temperature).softmax(-1)[:, :-1]
        top_scores, top = scores.topk(min(max(TOP_K, 2), classes), dim=-1)
        best = top[:, :1]
        second = top_scores[:, 1] if classes > 1 else torch.zeros_like(top_scores[:, 0])
        columns = (
            best[:, 0],
            top_scores[:, 0],
            (q.gather(1, best) - q.logsumexp(-1, keepdim=True)).exp()[:, 0],
            (c.gather(1, best) - c.logsumexp(-1, keepdim=True)).exp()[:, 0],
            c.gather(1, best)[:, 0] / self.fusion.clip_scale,
            top_scores[:, 0] - second,
            top,
            top_scores,
        )
        return tuple(column.cpu().numpy() for column in columns)
