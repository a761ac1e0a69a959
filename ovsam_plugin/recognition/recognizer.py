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

from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.fusion import Fusion, fuse, with_background
from ovsam_plugin.recognition.synonyms import Synonyms
from ovsam_plugin.vocabulary.classifier import Classifier
from ovsam_plugin.vocabulary.text_reading import unit
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

TOP_K = 5
# Instances at once: 22k classes with synonyms then take about 80 MB.
_CHUNK = 256

# Of some instances: the head's and the encoder's embeddings, and which masks are empty.
_Part: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_]]


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
        background: (N,) float32 in 0..1, the head's probability of none of the classes.
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
    background: npt.NDArray[np.float32]
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
            self.background[keep],
            self.top_indices[keep],
            self.top_scores[keep],
        )


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
        self._adapter: Adapter | None = None
        self._synonyms = Synonyms(
            torch.from_numpy(classifier.embeddings).to(self.device),
            torch.from_numpy(classifier.owner).to(self.device),
        )

    @property
    def adapter(self) -> Adapter | None:
        """What decisions have taught; None where nothing."""
        return self._adapter

    def at_temperature(self, temperature: float) -> Recognizer:
        """The same with another temperature; text embeddings are shared, not copied."""
        other = copy(self)
        other.temperature = temperature
        return other

    def adapted(self, adapter: Adapter) -> Recognizer:
        """The same with what decisions have taught; text embeddings are shared, not copied.

        Args:
            adapter: learned over this vocabulary; its other classes keep their scores.

        Raises:
            ValueError: it was learned over another vocabulary, or from other embeddings.
        """
        if adapter.vocabulary.hash != self.vocabulary.hash:
            raise ValueError(
                f"the adapter was learned over {adapter.vocabulary.name!r}, but the names come "
                f"from {self.vocabulary.name!r}: use that vocabulary"
            )
        if adapter.weights.shape[1] != 2 * self._synonyms.dim:
            raise ValueError(
                f"the adapter was learned from embeddings of {adapter.weights.shape[1]} numbers, "
                f"these have {2 * self._synonyms.dim}: use the preset that it was learned for"
            )
        other = copy(self)
        other._adapter = adapter
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
        if self._adapter is not None and len(self._adapter.classes):
            added = self._adapter.added_scores(unit(head), unit(clip)) * ~empty[:, None]
            kept = np.where(empty[:, None], np.float32(1), self._adapter.kept)
            scores = fused[:, self._adapter.classes]
            scores = scores * torch.from_numpy(kept).to(self.device)
            fused[:, self._adapter.classes] = scores + torch.from_numpy(added).to(self.device)
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
            q.softmax(-1)[:, -1],
            top,
            top_scores,
        )
        return tuple(column.cpu().numpy() for column in columns)
