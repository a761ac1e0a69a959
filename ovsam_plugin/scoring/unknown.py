"""Instances that no class of the vocabulary explains, and which of them are of one kind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.cluster import AgglomerativeClustering, KMeans

from ovsam_plugin.scoring.arrays import Floats, Numbers, column, same_length, unit_rows
from ovsam_plugin.scoring.score import NamedInstances, Score

_BIAS, _OF_CONFIDENCE, _OF_FIT = -1.38, -0.48, -0.77
_EDGE = 1e-4
"""Probabilities of exactly 0 and 1 have no logit."""

_NEAR = 0.6
"""Instances of one kind lie nearer than this share of the mean distance of any two."""

_CELL = 4000
"""Most instances that are compared pair by pair: 64 MB of distances."""

_SAME = 1e-5
"""Copies of one embedding lie so near in float32, and are always of one kind."""


def best_logit(
    head_cosines: npt.NDArray[np.floating],
    clip_cosines: npt.NDArray[np.floating],
    *,
    weight: float,
    head_scale: float,
    clip_scale: float,
) -> Floats:
    """How well the best class of a vocabulary fits, with the same fusion for every class.

    The fused logit of the paper's section 3.3 without its normalisers, and with one weight whether
    a class was seen in training or not: so that two vocabularies can be held against each other.

    Args:
        head_cosines, clip_cosines: (N, K), cosines of each branch's embedding and each class.
        weight: of the CLIP branch, 0..1; a preset's `fusion.seen_weight`.
        head_scale, clip_scale: a preset's `fusion.head_scale` and `fusion.clip_scale`.

    Returns:
        (N,) float64, the largest logit.

    Raises:
        ValueError: the shapes differ, or there is no class.
    """
    if head_cosines.shape != clip_cosines.shape or head_cosines.ndim != 2:
        raise ValueError(
            f"cosines of shapes {head_cosines.shape} and {clip_cosines.shape}: need (N, K) of both"
        )
    if not head_cosines.shape[1]:
        raise ValueError("there is no class: give a vocabulary of at least one")
    fused = (1 - weight) * head_scale * head_cosines + weight * clip_scale * clip_cosines
    best: Floats = fused.max(axis=1).astype(np.float64)
    return best


def unknownness(
    confidence: Numbers, known: Numbers | None = None, elsewhere: Numbers | None = None
) -> Floats:
    """How likely it is that no class of a vocabulary explains an instance.

    A logistic regression over two things: the label's own probability, and by how much the
    vocabulary's best word fits better than the best word of a reference vocabulary (an everyday one
    of many words, `imagenet-1k`, which need not hold the right word and wins by a little even where
    the vocabulary has it). It was fitted on photographs kept for choosing, with classes left out of
    COCO's vocabulary, about a fifth of the instances, so that of the instances at 0.7 about 70 %
    are of a class that is not there (`benchmarks/curation.py` judges it). Without a reference it
    is one less the confidence.

    Args:
        confidence: (N,) in 0..1, the fused probability of the label.
        known: (N,) from `best_logit` over the vocabulary.
        elsewhere: (N,) from `best_logit` over the reference.

    Returns:
        (N,) float64 in 0..1, higher = unknown; NaN where a column has none.

    Raises:
        ValueError: the lengths differ, or only one of `known` and `elsewhere` is given.
    """
    sure = column(confidence)
    if (known is None) != (elsewhere is None):
        raise ValueError("give both `known` and `elsewhere`, or neither")
    if known is not None and elsewhere is not None:
        here, there = column(known), column(elsewhere)
        same_length(confidence=sure, known=here, elsewhere=there)
        odds = logit(np.clip(sure, _EDGE, 1 - _EDGE))
        found: Floats = expit(_BIAS + _OF_CONFIDENCE * odds + _OF_FIT * (here - there))
        return found
    return np.clip(1 - sure, 0, 1)


def count_as_unknown(scores: Floats, share: float | None) -> npt.NDArray[np.bool_]:
    """(N,) which instances count as unknown.

    Args:
        scores: (N,) from `unknownness`.
        share: of the instances, 0..1, that do, those highest in `scores`; by default those of 0.5
            and more.
    """
    if share is None or not len(scores):
        return np.nan_to_num(scores) >= 0.5
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[np.argsort(-scores, kind="stable")[: round(share * len(scores))]] = True
    return chosen


def group_unknown(
    embeddings: npt.NDArray[np.floating],
    unknown: npt.NDArray[np.bool_],
    *,
    near: float = _NEAR,
    cell: int = _CELL,
) -> npt.NDArray[np.int64]:
    """Numbers the kinds among unknown instances, so that a class is named once for a group.

    Average linkage on cosine distances, cut at a share of the mean distance of any two instances
    of the run: no distance is fixed, so it does not matter how widely a network spreads its
    embeddings. More than `cell` instances are first cut in two, again and again, by seeded
    k-means, which can split a kind; memory then grows with the instances and not their square.

    Args:
        embeddings: (N, D) float32 of all instances of the run, any length. Both branches side by
            side, each of unit length, group about as well as the head's alone.
        unknown: (N,) bool, those to be grouped; a zero row gets no group.
        near: the share, above 0.
        cell: most instances that are compared pair by pair, at least 2.

    Returns:
        (N,) int64: 1 for those of the largest group, 2 for the next, and so on (of equal ones,
        that with the earliest instance first); 0 for a single, and for the known.

    Raises:
        ValueError: the lengths differ, or a number is out of range.
    """
    if unknown.shape != (len(embeddings),):
        raise ValueError(f"{len(embeddings)} embeddings, but `unknown` has shape {unknown.shape}")
    if not near > 0 or cell < 2:
        raise ValueError(f"`near` is {near} and `cell` {cell}: need above 0, and 2 or more")
    # Most of a run is known: it counts, and is not copied.
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64))
    chosen = np.flatnonzero(unknown & (lengths > 0))
    result = np.zeros(len(embeddings), dtype=np.int64)
    if len(chosen) < 2:
        return result
    reach = max(near * _mean_distance(embeddings, lengths), _SAME)
    rows = unit_rows(embeddings[chosen])
    groups = [
        chosen[cell_members[kinds == kind]]
        for cell_members in _cells(rows, np.arange(len(rows)), cell)
        for kinds in [_link(rows[cell_members], reach)]
        for kind in np.unique(kinds)
    ]
    # Members ascend within a group, so its first is its earliest.
    ranked = sorted(
        (group for group in groups if len(group) > 1), key=lambda group: (-len(group), group[0])
    )
    for number, group in enumerate(ranked, start=1):
        result[group] = number
    return result


def _mean_distance(rows: npt.NDArray[np.floating], lengths: Floats) -> float:
    """Mean cosine distance of two different rows, of at least two that have a length."""
    n = int(np.count_nonzero(lengths))
    shares = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    total = (shares.astype(np.float32) @ rows).astype(np.float64)
    return max(1 - (float(total @ total) - n) / (n * (n - 1)), 0.0)


def _cells(
    rows: npt.NDArray[np.float32], members: npt.NDArray[np.int64], most: int
) -> list[npt.NDArray[np.int64]]:
    """The members in parts of at most so many, like with like."""
    done, waiting = [], [members]
    while waiting:
        part = waiting.pop()
        if len(part) <= most:
            done.append(part)
            continue
        right = np.zeros(len(part), dtype=bool)
        if np.ptp(rows[part], axis=0).any():
            right = KMeans(2, n_init=1, random_state=0).fit_predict(rows[part]).astype(bool)
        if right.all() or not right.any():  # all alike: any cut is as good
            right[: len(part) // 2] = ~right[: len(part) // 2]
        waiting += [part[~right], part[right]]
    return done


def _link(rows: npt.NDArray[np.float32], reach: float) -> npt.NDArray[np.int64]:
    """(n,) the kind of each row: kinds lie on average at least `reach` apart."""
    if len(rows) < 2:
        return np.zeros(len(rows), dtype=np.int64)
    linkage = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=reach
    )
    distances = np.clip(1 - rows @ rows.T, 0, 2)
    kinds: npt.NDArray[np.int64] = linkage.fit_predict(distances)
    return kinds


def _groups(run: NamedInstances) -> Floats:
    groups = group_unknown(run.vectors, count_as_unknown(run.columns["unknown"], run.share))
    return np.where(groups > 0, groups, np.nan)


UNKNOWN = Score(
    "unknown",
    "how little any class of the vocabulary explains the instance, 0 to 1",
    lambda run: unknownness(run.columns["confidence"], run.fit, run.fit_elsewhere),
    needs=("confidence",),
)
GROUP = Score(
    "group",
    "number of its group among the unknown instances, 1 being the largest; none otherwise",
    _groups,
    needs=("unknown",),
    whole=True,
)
