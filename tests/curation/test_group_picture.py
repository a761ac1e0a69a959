"""The picture of a group."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ovsam_plugin.curation.group_picture import CROP, group_picture

FIELD = "ovsam"


def examples(dataset: fo.Dataset, count: int) -> list[tuple[str, str]]:
    rows = zip(dataset.values("id"), dataset.values(f"{FIELD}.detections.id"))
    return [(sample_id, label_id) for sample_id, ids in rows for label_id in ids][:count]


def test_crops_stand_side_by_side_as_wide_as_they_are_many(labelled: fo.Dataset) -> None:
    one, three = (group_picture(labelled, FIELD, examples(labelled, n)) for n in (1, 3))
    assert one.size == CROP
    assert three.height == CROP[1]
    gap = (three.width - 3 * CROP[0]) / 2
    assert 0 < gap < 10
    pixels = np.asarray(three)
    assert (pixels[:, : CROP[0]] == np.asarray(one)).all()
    parts = [pixels[:, int(i * (CROP[0] + gap)) :][:, : CROP[0]] for i in range(3)]
    assert all(part.std() > 10 for part in parts)
    assert not (parts[1] == parts[2]).all()


def test_instances_that_are_gone_are_left_out(labelled: fo.Dataset) -> None:
    shown = examples(labelled, 2)
    sample_id = shown[0][0]
    picture = group_picture(labelled, FIELD, [(sample_id, "0" * 24), *shown, ("0" * 24, "0" * 24)])
    assert picture.size == group_picture(labelled, FIELD, shown).size
    assert group_picture(labelled, FIELD, [(sample_id, "0" * 24)]).size == (1, CROP[1])
