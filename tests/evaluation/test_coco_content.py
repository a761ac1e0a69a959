"""What was evaluated as a file's content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.evaluation.conftest import Annotate, evaluate


def test_what_was_evaluated_is_a_truth_file_of_its_own(
    images: list[Path], annotate: Annotate
) -> None:
    def lvis(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image["coco_url"] = f"http://images.example/val/{image.pop('file_name')}"
            image["neg_category_ids"], image["not_exhaustive_category_ids"] = [47], [17]
        for category, frequency in zip(content["categories"], "rcf"):
            category["frequency"] = frequency

    evaluated = evaluate(annotate(lvis), images)
    assert evaluated.federated
    content = evaluated.truth
    assert [i["neg_category_ids"] for i in content["images"]] == [[2]] * 3
    assert [i["not_exhaustive_category_ids"] for i in content["images"]] == [[1]] * 3
    assert [c["frequency"] for c in content["categories"]] == ["r", "c", "f"]
    assert content["annotations"][0]["area"] == 300 * 220
