"""Which answer belongs to which ground truth, where no prompt says so: COCO's greedy rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of one image's D detections and G truths.

    Attributes:
        truth_of: (D,) int64, the truth that each detection took, a crowd too; -1 for none.
        detection_of: (G,) int64, the detection that took each truth; -1 for none. Of a crowd, the
            first.
    """

    truth_of: npt.NDArray[np.int64]
    detection_of: npt.NDArray[np.int64]


def match_greedily(
    ious: npt.NDArray[np.float64],
    scores: npt.NDArray[np.floating],
    crowd: npt.NDArray[np.bool_],
    min_iou: float = 0.5,
) -> Matches:
    """The surest detection chooses first, and takes the truth that it overlaps most.

    As pycocotools' COCOeval with `useCats=0`: classes play no part, a truth is taken once, a crowd
    any number of times but only by what matches no other truth, and of equal overlaps the last
    counts.

    Args:
        ious: (D, G), those with crowds over the detection's area.
        scores: (D,), equal ones in their given order.
        crowd: (G,) bool.
        min_iou: least overlap of a pair.
    """
    truth_of = np.full(ious.shape[0], -1, dtype=np.int64)
    detection_of = np.full(ious.shape[1], -1, dtype=np.int64)
    # COCOeval compares with 1 - 1e-10 when the threshold is 1, so that rounding costs no pair.
    least = min(min_iou, 1 - 1e-10)
    for detection in np.argsort(-np.asarray(scores), kind="stable"):
        row = ious[detection]
        for pool in (~crowd & (detection_of < 0), crowd):
            allowed = np.flatnonzero(pool & (row >= least))
            if len(allowed):
                overlaps = row[allowed]
                best = allowed[len(allowed) - 1 - int(np.argmax(overlaps[::-1]))]
                truth_of[detection] = best
                if detection_of[best] < 0:
                    detection_of[best] = detection
                break
    return Matches(truth_of, detection_of)
