"""Where a label lies, as one number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import fiftyone as fo
import fiftyone.utils.labels as foul
import numpy as np
from fiftyone.core.utils import serialize_numpy_array

from ovsam_plugin.dataset.edits import edited
from ovsam_plugin.dataset.shapes import shape_of

FIELD = "ovsam"


def test_a_mask_that_is_stored_in_another_way_is_the_same(
    named: fo.Dataset, tmp_path: Path
) -> None:
    sample = named.first()
    for label in sample[FIELD].detections:
        label.mask = label.mask.astype(np.uint8) * 255
    sample.save()
    assert edited(named, FIELD) == set()
    foul.export_segmentations(named, FIELD, output_dir=str(tmp_path), progress=False)
    first = named.first()[FIELD].detections[0]
    assert first.mask is None
    assert edited(named, FIELD) == set()
    picture = cv2.imread(first.mask_path, cv2.IMREAD_GRAYSCALE)
    picture[:5] = 255 - picture[:5]
    cv2.imwrite(first.mask_path, picture)
    assert edited(named, FIELD) == {first.id}


def stored(**parts: Any) -> dict[str, Any]:
    """A label as the database has it."""
    if "mask" in parts:
        parts["mask"] = serialize_numpy_array(parts["mask"])
    return parts


BOX = [0.1, 0.2, 0.3, 0.4]


def test_what_shows_no_place_has_a_number_too() -> None:
    damaged = [
        {"bounding_box": [None, 0.2, 0.3, 0.4]},
        {"bounding_box": ["a", 0.2, 0.3, 0.4]},
        {"points": [[None, None]]},
        {"bounding_box": BOX, "mask": b"no array"},
        {"bounding_box": BOX, "mask": b"no array either"},
    ]
    found = [shape_of(label) for label in damaged]
    assert found == [shape_of(label) for label in damaged]
    assert len({*found, shape_of({"bounding_box": BOX})}) == 6


def test_equal_shapes_have_one_number_and_others_another() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1, 2] = True
    moved = np.roll(mask, 1)
    found = [
        shape_of(stored(bounding_box=BOX)),
        shape_of(stored(bounding_box=[0.1, 0.2, 0.4, 0.3])),
        shape_of(stored(bounding_box=BOX, mask=mask)),
        shape_of(stored(bounding_box=BOX, mask=moved)),
        shape_of(stored(bounding_box=BOX, mask=mask.reshape(6, 4))),
        shape_of(stored(points=[[0.1, 0.2]])),
        shape_of(stored(points=[[0.1, 0.2]], sam_labels=[0])),
    ]
    assert len(set(found)) == len(found)
    assert all(0 <= number < 2**52 for number in found)


def test_how_a_mask_is_stored_makes_no_difference(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    wanted = shape_of({"bounding_box": BOX, "mask": mask})
    cv2.imwrite(str(tmp_path / "mask.png"), mask.astype(np.uint8) * 255)
    for label in (
        stored(bounding_box=BOX, mask=mask),
        stored(bounding_box=BOX, mask=np.asfortranarray(mask)),
        stored(bounding_box=BOX, mask=mask.astype(np.float32) * 0.5),
        {"bounding_box": BOX, "mask_path": str(tmp_path / "mask.png")},
        {"bounding_box": [*BOX[:3], 0.4 + 1e-12], "mask": mask, "label": "cat"},
    ):
        assert shape_of(label) == wanted


def test_a_mask_whose_file_is_gone_is_known_by_its_path() -> None:
    one, other = ({"bounding_box": BOX, "mask_path": f"/gone/{n}.png"} for n in "ab")
    assert shape_of(one) != shape_of(other)
    assert shape_of(one) == shape_of(dict(one))
