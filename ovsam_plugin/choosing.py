"""Which candidates become instances, as a person would choose: one for each thing, and whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Overlaps:
    """How N masks lie over each other.

    Attributes:
        iou: (N, N) float32 in 0..1.
        inside: (N, N) float32 in 0..1; row i, column j: the share of mask j that lies on mask i.
        areas: (N,) float32, in cells.
    """

    iou: Tensor
    inside: Tensor
    areas: Tensor


def overlaps(masks: Tensor) -> Overlaps:
    """Of (N, h, w) bool masks on one grid."""
    cells = masks.flatten(1).float()
    both, areas = cells @ cells.T, cells.sum(1)
    union = areas[:, None] + areas[None] - both
    return Overlaps(both / union.clamp(min=1), both / areas.clamp(min=1)[None], areas)


def distinct(over: Overlaps, most: float) -> list[int]:
    """Those that no one before them overlaps by an IoU of more than `most`, in their order."""
    again = (over.iou > most).numpy()
    kept: list[int] = []
    for i in range(len(again)):
        if not again[i, kept].any():
            kept.append(i)
    return kept


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What counts as what; chosen on photographs kept for choosing.

    Attributes:
        double: IoU above which a less sure candidate shows the same thing.
        held: share of a mask inside another above which it is a part of that.
        surer: a part of its whole's name stays where it is surer than the whole by this factor.
        covered: share of a whole that its parts cover together, for it to be a group of things.
        apart: share of one part inside another up to which the two are parts beside each other.
        sure: how sure the parts of a group have to be, as a share of the group's own.
    """

    double: float = 0.55
    held: float = 0.8
    surer: float = 1.6
    covered: float = 0.6
    apart: float = 0.3
    sure: float = 0.8


def choose(
    masks: Tensor,
    objectness: npt.NDArray[np.float32],
    names: npt.NDArray[np.int64],
    min_objectness: float,
    rules: Rules | None = None,
) -> list[int]:
    """The candidates that become instances, the surest first.

    Args:
        masks: (N, h, w) bool, of the candidates on one grid.
        objectness: (N,) in 0..1.
        names: (N,) the class of each.
        min_objectness: those below it are left out first, as background.
        rules: what counts as what.

    Returns:
        Indices of the candidates.
    """
    rules = rules or Rules()
    sure = [int(i) for i in np.argsort(-objectness, kind="stable")]
    sure = [i for i in sure if objectness[i] >= min_objectness]
    over = overlaps(masks[sure])
    order = distinct(over, rules.double)
    chosen = [sure[i] for i in order]
    if len(chosen) < 2:
        return chosen
    left_out = _left_out(masks[chosen], objectness[chosen], names[chosen], rules)
    return [index for i, index in enumerate(chosen) if i not in left_out]


def _left_out(
    masks: Tensor,
    objectness: npt.NDArray[np.float32],
    names: npt.NDArray[np.int64],
    rules: Rules,
) -> set[int]:
    """Wholes that are groups, then parts of what is left, by their place in the order."""
    over = overlaps(masks)
    larger = (over.areas[:, None] > over.areas[None]).numpy()
    holds = (over.inside.numpy() >= rules.held) & larger
    out: set[int] = set()
    # Large ones first: a group within a group is told once the outer one is gone.
    for whole in torch.argsort(over.areas, descending=True).tolist():
        parts = [int(p) for p in np.flatnonzero(holds[whole]) if p not in out]
        if _is_group(whole, parts, masks, over, objectness, names, rules):
            out.add(whole)
            continue
        for part in parts:
            same = names[part] == names[whole]
            if same and objectness[part] < rules.surer * objectness[whole]:
                out.add(part)
    return out | _straddling(over, objectness, out, rules)


def _is_group(
    whole: int,
    parts: list[int],
    masks: Tensor,
    over: Overlaps,
    objectness: npt.NDArray[np.float32],
    names: npt.NDArray[np.int64],
    rules: Rules,
) -> bool:
    """Whether several sure things of one name lie beside each other and cover the whole."""
    good = [p for p in parts if objectness[p] >= rules.sure * objectness[whole]]
    for name in {int(names[p]) for p in good}:
        beside: list[int] = []
        for part in (p for p in good if names[p] == name):
            near = over.inside[part, beside], over.inside[beside, part]
            if all(bool((share <= rules.apart).all()) for share in near):
                beside.append(part)
        if len(beside) > 1:
            cover = (masks[beside].any(0) & masks[whole]).sum() / over.areas[whole]
            if float(cover) >= rules.covered:
                return True
    return False


def _straddling(
    over: Overlaps, objectness: npt.NDArray[np.float32], out: set[int], rules: Rules
) -> set[int]:
    """Answers that lie mostly on two surer ones which lie beside each other."""
    found: set[int] = set()
    inside = over.inside.numpy()
    for i in range(len(objectness)):
        if i in out:
            continue
        # Those before are surer.
        sharing = [j for j in range(i) if j not in out and j not in found and inside[j, i] > 0.25]
        for a, first in enumerate(sharing):
            for second in sharing[a + 1 :]:
                beside = max(inside[first, second], inside[second, first]) <= rules.apart
                if beside and inside[first, i] + inside[second, i] >= rules.held:
                    found.add(i)
    return found
