"""Instances that fit some words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ovsam_plugin.instances import Instances
from ovsam_plugin.predictor import Predictor
from ovsam_plugin.vocabulary.classifier import build_classifier
from ovsam_plugin.vocabulary.sources import load_vocabulary


class Finder:
    """How well instances fit words.

    Args:
        words: (T, D) float32, unit text embeddings of the words.
        threshold: least cosine of an instance that fits.
    """

    def __init__(self, words: npt.NDArray[np.float32], threshold: float) -> None:
        self._words = words
        self.threshold = threshold

    def match(self, instances: Instances) -> npt.NDArray[np.float32]:
        """(N,) float32 in -1..1: cosine with the words, the mean of both branches'."""
        embeddings = (instances.head_embeddings + instances.clip_embeddings) / 2
        best: npt.NDArray[np.float32] = (embeddings @ self._words.T).max(axis=1)
        return best


def build_finder(predictor: Predictor, words: str) -> Finder:
    """A finder with the text tower, templates and threshold of a predictor's preset.

    Raises:
        ValueError: there are no words.
    """
    if not words.strip():
        raise ValueError('`find` needs words, such as "a red bus"')
    preset = predictor.preset
    classifier = build_classifier(
        load_vocabulary([words.strip()]),
        preset.text_tower,
        preset.templates,
        device=str(predictor.device),
    )
    return Finder(classifier.embeddings, preset.find_similarity)
