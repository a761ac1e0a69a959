"""What was evaluated as the content of a COCO or LVIS annotation file: what AP is counted from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ovsam_plugin.dataset.annotations import AnnotatedImage
from ovsam_plugin.evaluation.ground_truth import GroundTruth
from ovsam_plugin.evaluation.protocols import Target
from ovsam_plugin.vocabulary.vocabulary import Vocabulary


class CocoContent:
    """Grows image by image; ids are of its own.

    Image i has id i + 1, and so has class i of the vocabulary.
    """

    def __init__(
        self, truth: GroundTruth, labels: npt.NDArray[np.int64], vocabulary: Vocabulary
    ) -> None:
        self._truth, self._labels = truth, labels
        frequency: dict[int, str] = defaultdict(lambda: "f")
        for category, label in zip(truth.categories, labels):
            if label >= 0:
                found = category.frequency or vocabulary.categories[label].frequency
                frequency[int(label)] = found or "f"
        categories = [
            {"id": label + 1, "name": vocabulary.names[label], "frequency": frequency[label]}
            for label in sorted(set(labels[labels >= 0].tolist()))
        ]
        self.content: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}

    def add(self, image: AnnotatedImage, size: tuple[int, int], targets: Sequence[Target]) -> None:
        """One image of (height, width) with what is on it."""
        height, width = size
        record: dict[str, Any] = {
            "id": len(self.content["images"]) + 1,
            "file_name": image.file_name,
            "height": height,
            "width": width,
        }
        if self._truth.federated is not None:
            lists = self._truth.federated[image.id]
            record["neg_category_ids"] = self._ids(lists.negative)
            record["not_exhaustive_category_ids"] = self._ids(lists.not_exhaustive)
        self.content["images"].append(record)
        for target in targets:
            x1, y1, x2, y2 = target.mask.box
            self.content["annotations"].append({
                "id": len(self.content["annotations"]) + 1,
                "image_id": record["id"],
                "category_id": target.label + 1,
                "segmentation": target.mask.rle(size),
                "area": target.truth.record.get("area", target.mask.area),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "iscrowd": int(target.truth.crowd),
            })  # fmt: skip

    def _ids(self, categories: Sequence[int]) -> list[int]:
        return [int(self._labels[c]) + 1 for c in categories if self._labels[c] >= 0]
