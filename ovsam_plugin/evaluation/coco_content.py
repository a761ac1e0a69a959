"""What was evaluated as the content of a COCO or LVIS annotation file: what AP is counted from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ovsam_plugin.evaluation.ground_truth import FederatedLists
from ovsam_plugin.evaluation.protocols import Target
from ovsam_plugin.vocabulary.vocabulary import Vocabulary


class CocoContent:
    """Grows image by image. Image i has id i + 1, and so has class i of the vocabulary.

    Args:
        vocabulary: the classes, with their frequencies where they have any.
        labels: places in it of those that may be annotated.

    Attributes:
        content: "images", "annotations" and "categories".
    """

    def __init__(self, vocabulary: Vocabulary, labels: Iterable[int]) -> None:
        categories = [
            {
                "id": label + 1,
                "name": vocabulary.names[label],
                "frequency": vocabulary.categories[label].frequency or "f",
            }
            for label in sorted(set(labels))
        ]
        self.content: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}

    def add(
        self,
        file_name: str,
        size: tuple[int, int],
        targets: Sequence[Target],
        federated: FederatedLists | None = None,
    ) -> None:
        """One image of (height, width) with what is on it.

        Args:
            file_name: the image's.
            size: (height, width).
            targets: truths, crowds too; those of no class are left out.
            federated: LVIS's lists, as places in the vocabulary.
        """
        height, width = size
        image_id = len(self.content["images"]) + 1
        record = {"id": image_id, "file_name": file_name, "height": height, "width": width}
        if federated is not None:
            record["neg_category_ids"] = [label + 1 for label in federated.negative]
            record["not_exhaustive_category_ids"] = [n + 1 for n in federated.not_exhaustive]
        self.content["images"].append(record)
        for target in targets:
            if target.label < 0:
                continue
            x1, y1, x2, y2 = target.mask.box
            self.content["annotations"].append({
                "id": len(self.content["annotations"]) + 1,
                "image_id": image_id,
                "category_id": target.label + 1,
                "segmentation": target.mask.rle(size),
                "area": target.mask.area if target.truth.area is None else target.truth.area,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "iscrowd": int(target.truth.crowd),
            })  # fmt: skip
