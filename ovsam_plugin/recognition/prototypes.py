"""Classes by example: what some instances of a class say about others.

An instance is as likely of the class as it is like the class's examples: its cosine with their mean
is held against how like one another they are, each left out once. So the same rule serves
embeddings whose cosines are large and those whose are small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.fusion import Fusion
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

Vectors = npt.NDArray[np.float32]

# Examples that weigh as much as words do.
AS_WORDS = 2.0
# What is taken for how alike instances of one class are, and as how many examples it counts: one
# example says nothing of that.
ALIKE, ALIKE_COUNT = 0.7, 2.0
# The log score of an instance that is as like the examples as they are like one another: in steps
# of 0.1 the most with which classes that training never saw take no names from the others, by
# `benchmarks/names.py --part train`.
TYPICAL = -1.6
# How much a cosine of two instances is worth beside one of an instance and words.
SLOPE = 0.5
# Of few classes, words that know nothing give each a large share: how far it is ahead of that.
AHEAD = 1.5


def prototype_adapter(
    vocabulary: Vocabulary, examples: Mapping[int, Vectors], fusion: Fusion, embedder: str
) -> Adapter:
    """What examples make of the scores that words give.

    Args:
        vocabulary: the classes.
        examples: by a class's place, (n, E) float32 of its examples: joined embeddings, unit
            length.
        fusion: of the words' scores; its scales say how much a cosine is worth.
        embedder: digest of what made the embeddings.

    Raises:
        ValueError: a class has no example, or one has no embedding.
    """
    places = sorted(examples)
    scale = SLOPE * (fusion.head_scale + fusion.clip_scale) / 2
    known = [_unit(examples[place]) for place in places]
    common = _common_likeness(known)
    typical = max(TYPICAL, AHEAD - math.log(max(len(vocabulary), 1)))
    weights, bias, kept = [], [], []
    for place, rows in zip(places, known):
        read = vocabulary.categories[place].words
        own = 1 - words_weigh(len(rows)) if read else 1.0
        mean = rows.sum(0)
        alike = _likeness(rows, common)
        weights.append(own * scale * mean / np.linalg.norm(mean))
        bias.append(own * (typical - scale * alike))
        kept.append(1 - own)
    width = known[0].shape[1] if known else 0
    return Adapter(
        vocabulary=vocabulary,
        classes=np.array(places, np.int64),
        weights=np.array(weights, np.float32).reshape(len(places), width),
        network=embedder,
        provenance={"examples": {vocabulary.names[p]: len(examples[p]) for p in places}},
        bias=np.array(bias, np.float32),
        kept=np.array(kept, np.float32),
    )


def words_weigh(examples: int) -> float:
    """How much of a class's score its words give beside so many examples, 0 to 1."""
    return AS_WORDS / (examples + AS_WORDS)


def prototype(examples: Vectors) -> Vectors:
    """(E,) float32, unit length: what is like all of (n, E) examples."""
    mean = _unit(examples).sum(0)
    found: Vectors = (mean / np.linalg.norm(mean)).astype(np.float32)
    return found


def _unit(examples: Vectors) -> npt.NDArray[np.float64]:
    rows = examples.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not len(rows) or not lengths.all():
        raise ValueError("a class by example needs at least one example with an embedding")
    found: npt.NDArray[np.float64] = rows / lengths
    return found


def _common_likeness(classes: Sequence[npt.NDArray[np.float64]]) -> float:
    """How alike instances of one class are, over all classes that have several examples."""
    several = [_left_out(rows) for rows in classes if len(rows) > 1]
    total = sum(float(one.sum()) for one in several) + ALIKE * ALIKE_COUNT
    return total / (sum(map(len, several)) + ALIKE_COUNT)


def _likeness(rows: npt.NDArray[np.float64], common: float) -> float:
    """How alike the examples of one class are; few of them say little beside the common one."""
    own = _left_out(rows) if len(rows) > 1 else np.zeros(0)
    return (float(own.sum()) + ALIKE_COUNT * common) / (len(own) + ALIKE_COUNT)


def _left_out(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n,) cosine of each example and the mean of the others."""
    others = rows.sum(0) - rows
    found: npt.NDArray[np.float64] = (rows * others).sum(1) / np.linalg.norm(others, axis=1)
    return found
