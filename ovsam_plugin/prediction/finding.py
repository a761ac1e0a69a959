"""Instances that fit some words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ovsam_plugin.prediction.instances import Instances
from ovsam_plugin.recognition.fusion import Fusion
from ovsam_plugin.recognition.recognizer import Recognizer
from ovsam_plugin.recognition.synonyms import Synonyms
from ovsam_plugin.recognition.text_side import TextSide
from ovsam_plugin.vocabulary.classifier import Classifier, build_classifier
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

MIN_MATCH = 0.5
_RIVALS = "lvis"


class Finder:
    """How well instances fit words, against names that might fit better.

    How large a cosine is a good one differs between text towers, words and branches; whether some
    other name fits better does not. So the match is the probability of the words over that of the
    best rival's name, with both branches weighted alike.

    Args:
        words: (T, D) float32, unit text embeddings of the words.
        rivals: the names that the words are held against.
        fusion: what each branch's cosines are multiplied by.
    """

    def __init__(self, words: npt.NDArray[np.float32], rivals: Classifier, fusion: Fusion) -> None:
        self._words = torch.from_numpy(words)
        self._rivals = Synonyms(torch.from_numpy(rivals.embeddings), torch.from_numpy(rivals.owner))
        self._fusion = fusion

    @torch.inference_mode()
    def match(self, instances: Instances) -> npt.NDArray[np.float32]:
        """(N,) float32 in 0..1: 1 when no name fits better than the words, 0 for empty masks."""
        words = rivals = torch.zeros(())
        for embeddings, scale in (
            (instances.head_embeddings, self._fusion.head_scale),
            (instances.clip_embeddings, self._fusion.clip_scale),
        ):
            rows = torch.from_numpy(embeddings)
            cosines = self._rivals.nearest(rows)
            words = words + scale / 2 * (rows @ self._words.T).amax(1)
            rivals = rivals + scale / 2 * cosines
        match = (words - rivals.amax(1)).clamp(max=0).exp()
        match[torch.from_numpy(instances.empty)] = 0
        found: npt.NDArray[np.float32] = match.numpy()
        return found


class ClassFinder:
    """How well instances fit a class that has examples, against names that might fit better.

    Args:
        recognizer: over the class and its rivals, with what the examples teach.
        name: of the class.
    """

    def __init__(self, recognizer: Recognizer, name: str) -> None:
        place = recognizer.vocabulary.find(name)
        assert place is not None
        self._recognizer = recognizer
        self._place = place

    def match(self, instances: Instances) -> npt.NDArray[np.float32]:
        """(N,) float32 in 0..1; see `Finder.match`."""
        head, clip = instances.head_embeddings, instances.clip_embeddings
        scores = self._recognizer.log_scores(head, clip, instances.empty)
        rivals = np.delete(scores, self._place, axis=1).max(axis=1)
        found: npt.NDArray[np.float32] = np.exp(np.minimum(scores[:, self._place] - rivals, 0))
        found[instances.empty] = 0
        return found


def rivals_of(category: Category) -> Vocabulary:
    """A class among those that it is held against."""
    return load_vocabulary(_RIVALS).with_class(category)


def build_finder(side: TextSide, words: str, device: str | torch.device = "cpu") -> Finder:
    """A finder with the text tower, templates and scales of a preset or namer.

    Raises:
        ValueError: there are no words.
    """
    if not words.strip():
        raise ValueError('`find` needs words, such as "a red bus"')
    asked, rivals = (
        build_classifier(
            load_vocabulary(names), side.text_tower, side.templates, device=str(device)
        )
        for names in ([words.strip()], _RIVALS)
    )
    return Finder(asked.embeddings, rivals, side.fusion)
