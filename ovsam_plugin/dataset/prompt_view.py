"""What a view shows of prompts, apart from the samples that it chooses.

A run writes to the field that its view may choose by (`exists(field)`, a filter of confidences, an
order by the number of labels): it reads the samples once, by their ids, and then only the prompts
as the view shows them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ovsam_plugin.dataset.fields import error_field
from ovsam_plugin.dataset.internals import stages_of, view_of
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset

# Stages by which labels are hidden or changed, and their switches by which samples are left out.
_SHAPING = (
    "ExcludeLabels",
    "FilterField",
    "FilterKeypoints",
    "FilterLabels",
    "LimitLabels",
    "MapLabels",
    "SelectLabels",
    "SetField",
)
_LEAVING_OUT = ("omit_empty", "only_matches")
# Stages that may do anything, also to what other stages gave.
_OPAQUE = ("Concat", "Mongo")


def prompt_view(samples: Samples, label_field: str, prompt_fields: Mapping[str, str]) -> Samples:
    """All images of the dataset, their prompts as a view shows them.

    Args:
        samples: a dataset or view of images.
        label_field: the field that is written while they are read.
        prompt_fields: field names by keywords of `apply_model`; empty for everything.

    Raises:
        ValueError: a stage of the view that cannot be taken apart names the label field.
    """
    dataset = root_dataset(samples)
    images, stages = all_images(dataset), stages_of(samples)
    if not prompt_fields:
        return images
    if any(_name(stage) in _OPAQUE for stage in stages):
        if _names(stages, label_field):
            raise ValueError(
                f"the view depends on field {label_field!r}, which is written: give "
                "dataset.select(view.values('id')), the same photographs"
            )
        return samples
    asking = set(prompt_fields.values())
    shaping = [_that_keeps_samples(stage) for stage in stages if _shapes(stage, asking)]
    return view_of(dataset, [*stages_of(images), *shaping])


def _name(stage: Mapping[str, Any]) -> str:
    return str(stage["_cls"]).rpartition(".")[2]


def _names(stages: Sequence[Mapping[str, Any]], label_field: str) -> bool:
    """Whether stages name a field that is written, which expressions do behind a "$"."""
    written = "|".join(map(re.escape, (label_field, error_field(label_field))))
    return re.search(rf'"\$?({written})[".]', json.dumps(stages, default=str)) is not None


def _shapes(stage: Mapping[str, Any], asking: set[str]) -> bool:
    """Whether a stage may change what is seen of fields that ask."""
    settings = dict(stage["kwargs"])
    named = settings.get("field") or settings.get("fields") or list(asking)
    fields = [named] if isinstance(named, str) else named
    return _name(stage) in _SHAPING and any(f.partition(".")[0] in asking for f in fields)


def _that_keeps_samples(stage: Mapping[str, Any]) -> dict[str, Any]:
    settings = [(k, False if k in _LEAVING_OUT else value) for k, value in stage["kwargs"]]
    return {**stage, "kwargs": settings}
