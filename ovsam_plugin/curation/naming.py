"""Names for instances that came from elsewhere: drawn by a person, or found by another model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import fiftyone as fo
from fiftyone import ViewField as F

from ovsam_plugin.curation.attributes import check_detections
from ovsam_plugin.dataset.fields import ATTRIBUTES, NAME_ATTRIBUTES, declare_attributes
from ovsam_plugin.dataset.labeling import LabelSummary, label_dataset
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset


@dataclass(frozen=True)
class NamingSummary:
    """What one naming did.

    Attributes:
        labels: how the labelling of the instances went.
        filled: instances of the field itself that had no name and have one now.
    """

    labels: LabelSummary
    filled: int = 0


def name_instances(
    samples: Samples, *, field: str, into: str | None = None, fill: bool = False, **settings: Any
) -> NamingSummary:
    """Names and scores the instances of a field, whoever made them.

    A mask is named as it is; a box without one gets a mask. The names go to a field of their own,
    whose labels say in `prompt_id` which instance each names, and which can be searched, relabelled
    and reviewed like any run.

    Args:
        samples: a dataset or view of images.
        field: of Detections or Polylines.
        into: the new field; `<field>_named` when None.
        fill: also give a name, with its scores, to every instance of `field` that has none;
            Detections only.
        **settings: `preset`, `weights`, `vocabulary`, `min_confidence`, `calibration`, `device`,
            `batch_size`, `workers`, `overwrite` and `progress` of `label_dataset`.

    Raises:
        ValueError: as for `label_dataset`; or `fill` and `field` holds no Detections.
    """
    if fill:
        check_detections(samples, field)
    into = into or f"{field}_named"
    summary = label_dataset(samples, field=into, mask_field=field, **settings)
    return NamingSummary(summary, _fill(samples, field, into) if fill else 0)


def _fill(samples: Samples, field: str, into: str) -> int:
    """Copies names to the instances that have none; returns how many there were."""
    dataset = root_dataset(samples)
    view = all_images(samples) if isinstance(samples, fo.Dataset) else samples
    nameless = view.filter_labels(field, (F("label") == None) | (F("label") == ""))  # noqa: E711
    owners = {
        label_id: sample_id
        for sample_id, row in zip(*nameless.values(["id", f"{field}.detections.id"]))
        for label_id in row
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in NAME_ATTRIBUTES}
    columns = ["prompt_id", *NAME_ATTRIBUTES]
    # Not unwound by FiftyOne, which would take lists of names apart too.
    answers = view.values([f"{into}.detections.{name}" for name in columns])
    rows = ([value for row in column for value in row or ()] for column in answers)
    filled = 0
    for asked, *values in zip(*rows):
        if asked not in owners or values[0] is None:
            continue
        filled += 1
        for name, value in zip(NAME_ATTRIBUTES, values):
            where = {"sample_id": owners[asked], "label_id": asked}
            found[name].append({**where, "value": value})
    if filled:
        declare_attributes(dataset, field, (a for a in ATTRIBUTES if a.name in found))
        for name, values in found.items():
            dataset.set_label_values(f"{field}.detections.{name}", values)
    return filled
