"""Which candidates become instances, as a person would choose: one for each thing, and whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
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

    def __getitem__(self, order: list[int]) -> Overlaps:
        """Of some of the masks, in another order."""
        return Overlaps(self.iou[order][:, order], self.inside[order][:, order], self.areas[order])


def overlaps(masks: Tensor) -> Overlaps:
    """Of (N, h, w) bool masks on one grid."""
    cells = masks.flatten(1).float()
    both, areas = cells @ cells.T, cells.sum(1)
    union = areas[:, None] + areas[None] - both
    return Overlaps(both / union.clamp(min=1), both / areas.clamp(min=1)[None], areas)


def distinct(over: Overlaps, most: float) -> list[int]:
    """Those that no one before them overlaps by an IoU of more than `most`, in their order."""
    again = (over.iou > most).cpu().numpy()
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
        held: share of a mask inside another above which it is a part of that; and share of a mask
            on several surer things that makes it an answer to none of them.
        surer: a part of its whole's name stays where it is surer than the whole by this factor.
        covered: share of a whole that its parts cover together, for it to be a group of things.
        apart: share of one mask inside another up to which the two lie beside each other.
        sure: how sure the parts of a group have to be, as a share of the group's own.
        shared: share of a mask on each of several things above which it straddles them.
    """

    double: float = 0.5
    held: float = 0.6
    surer: float = 2.5
    covered: float = 0.8
    apart: float = 0.3
    sure: float = 0.8
    shared: float = 0.25


def choose(
    masks: Tensor,
    objectness: npt.NDArray[np.float32],
    names: npt.NDArray[np.int64],
    min_objectness: float,
    rules: Rules | None = None,
) -> list[int]:
    """The candidates that become instances, the surest first.

    Doubles are left out first, then groups of things, then answers that straddle things, and at
    last the parts of what is left: nothing is a part of what is itself left out.

    Args:
        masks: (N, h, w) bool, of the candidates on one grid.
        objectness: (N,) in 0..1.
        names: (N,) the class of each.
        min_objectness: those below it are left out before all else, as background.
        rules: what counts as what.

    Returns:
        Indices of the candidates.
    """
    rules = rules or Rules()
    order = np.argsort(-objectness, kind="stable")
    sure = order[objectness[order] >= min_objectness].tolist()
    over = overlaps(masks[sure])
    kept = distinct(over, rules.double)
    chosen = [sure[i] for i in kept]
    scene = _Scene(masks[chosen], over[kept], objectness[chosen], names[chosen], rules)
    left, before = list(range(len(chosen))), list[int]()
    while left != before:  # what is gone may have hidden something
        before = left
        left = scene.without_parts(scene.without_straddlers(scene.without_groups(left)))
    return [chosen[i] for i in left]


class _Scene:
    """Candidates of one photograph, the surest first, no two of them doubles."""

    def __init__(
        self,
        masks: Tensor,
        over: Overlaps,
        objectness: npt.NDArray[np.float32],
        names: npt.NDArray[np.int64],
        rules: Rules,
    ) -> None:
        self.rules, self.objectness, self.names = rules, objectness, names
        self.masks, self.areas = masks.cpu().numpy(), over.areas.cpu().numpy()
        # Row i, column j: the share of j that lies on i.
        self.inside = over.inside.cpu().numpy()
        self.beside = np.maximum(self.inside, self.inside.T) <= rules.apart
        larger = self.areas[:, None] > self.areas[None]
        self.holds = (self.inside >= rules.held) & larger

    def without_groups(self, left: list[int]) -> list[int]:
        """Without wholes that several sure things of one name, beside each other, cover."""
        return [whole for whole in left if not self._is_group(whole, left)]

    def _is_group(self, whole: int, others: list[int]) -> bool:
        least = self.rules.sure * self.objectness[whole]
        parts = [p for p in others if self.holds[whole, p] and self.objectness[p] >= least]
        return any(
            self._cover(whole, [p for p in parts if self.names[p] == name]) >= self.rules.covered
            for name in np.unique(self.names[parts])
        )

    def without_straddlers(self, left: list[int]) -> list[int]:
        """Without answers that lie on several surer things beside each other, and on none alone."""
        kept: list[int] = []
        for i in left:
            share = self.inside[:, i]
            lies = (share > self.rules.shared) & (share < self.rules.held)
            # Of what it holds, those of its own name are its parts, and it is a whole or a group.
            lies &= ~(self.holds[i] & (self.names == self.names[i]))
            on = [j for j in kept if lies[j]]
            on.sort(key=lambda j: -share[j])
            if self._cover(i, on) < self.rules.held:
                kept.append(i)
        return kept

    def without_parts(self, left: list[int]) -> list[int]:
        """Without parts of their wholes' names, unless they are much surer."""
        kept = set(left)
        # Large ones first: a part of a part is judged by the whole that stays.
        for whole in sorted(left, key=lambda i: -self.areas[i]):
            if whole in kept:
                much = self.rules.surer * self.objectness[whole]
                same = self.holds[whole] & (self.names == self.names[whole])
                kept -= set(np.flatnonzero(same & (self.objectness < much)).tolist())
        return [i for i in left if i in kept]

    def _cover(self, whole: int, parts: list[int]) -> float:
        """The share of a mask that several lying beside each other cover; 0 of fewer than two."""
        beside: list[int] = []
        for part in parts:
            if self.beside[part, beside].all():
                beside.append(part)
        if len(beside) < 2:
            return 0.0
        covered = self.masks[beside].any(0) & self.masks[whole]
        return float(covered.sum() / self.areas[whole])
