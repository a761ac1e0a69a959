"""Which photographs a preview is made of."""

from __future__ import annotations

import fiftyone as fo

from ovsam_plugin.dataset.request import LabelRequest
from ovsam_plugin.dataset.tried_photographs import COUNT, as_they_are, tried_photographs

BOXES = {"box_prompt_field": "asks"}


def many(count: int) -> list[fo.Sample]:
    return [fo.Sample(filepath=f"/none/{i}.jpg") for i in range(count)]


def test_they_are_few_and_always_the_same(dataset: fo.Dataset) -> None:
    dataset.add_samples(many(40))
    first = tried_photographs(dataset, {}).values("id")
    assert len(first) == COUNT
    assert tried_photographs(dataset, {}).values("id") == first
    assert set(tried_photographs(dataset.limit(2), {}).values("id")) <= set(dataset.values("id"))
    assert len(tried_photographs(dataset.limit(2), {})) == 2


def test_those_that_ask_come_with_new_ones(boxed: fo.Dataset) -> None:
    asking = boxed.exists("asks").values("id")
    assert set(tried_photographs(boxed, BOXES).values("id")) <= set(asking)
    (new,) = boxed.add_samples(many(1))
    sample = boxed[new]
    sample["asks"] = fo.Detections(detections=[fo.Detection(bounding_box=[0, 0, 1, 1])])
    sample.save()
    assert new in tried_photographs(boxed, BOXES).values("id")


def test_a_preview_is_another_once_a_box_was_drawn(boxed: fo.Dataset) -> None:
    request = LabelRequest.from_params({"prompts": "box", "prompt_field": "asks"})
    photographs = tried_photographs(boxed, request.prompt_fields)
    before, keys = as_they_are(photographs), request.preview_keys(boxed)
    assert (as_they_are(photographs), request.preview_keys(boxed)) == (before, keys)
    sample = photographs.first()
    sample["asks"].detections.append(fo.Detection(bounding_box=[0.1, 0.1, 0.2, 0.2]))
    sample.save()
    assert as_they_are(photographs) != before
    assert not set(request.preview_keys(boxed)) & set(keys)
