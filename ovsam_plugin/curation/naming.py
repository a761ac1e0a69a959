"""Names for instances that came from elsewhere: drawn by a person, or found by another model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from fiftyone import ViewField as F
from fiftyone.core.patches import PatchesView

from ovsam_plugin.curation.attributes import check_detections
from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.dataset import writing
from ovsam_plugin.dataset.fields import (
    ATTRIBUTES,
    NAME_ATTRIBUTES,
    check_writable,
    declare_attributes,
)
from ovsam_plugin.dataset.internals import root_of
from ovsam_plugin.dataset.labeling import LabelSummary, label_dataset
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset

# A person may have named it since it was looked at.
_NAMED = {"$gt": ["$$d.label", ""]}


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

    A mask is named as it is; a box without one gets a mask from the preset. The names go to a field
    of their own, whose labels say in `prompt_id` which instance each names, and which can be
    searched, relabelled and reviewed like any run.

    Args:
        samples: a dataset or view of images; or patches of the field, which are named alone.
        field: of Detections or Polylines.
        into: the new field; `<field>_named` when None.
        fill: also give a name, with its scores, to every instance of `field` that has none;
            Detections only.
        **settings: `preset`, `namer` and `cuts` (who names), `weights`, `vocabulary`,
            `min_confidence`, `calibration`, `adapter`, `device`, `batch_size`, `workers`,
            `overwrite` and `progress` of `label_dataset`.

    Raises:
        ValueError: as for `label_dataset`; or `fill` and `field` holds no Detections, or is
            read-only; or the patches are of another field.
    """
    if isinstance(samples, PatchesView):
        samples = _behind(samples, field)
    if fill:
        check_detections(samples, field)
        check_writable(root_dataset(samples), field, NAME_ATTRIBUTES)
    into = into or f"{field}_named"
    summary = label_dataset(samples, field=into, mask_field=field, **settings)
    return NamingSummary(summary, _fill(samples, field, into) if fill else 0)


def _behind(patches: PatchesView, field: str) -> Samples:
    """The photographs that patches were cut from, with those of the field's instances alone."""
    if patches.patches_field != field:
        raise ValueError(
            f"these are patches of field {patches.patches_field!r}, not of {field!r}: give "
            f"field={patches.patches_field!r}, or the dataset"
        )
    owners = dict.fromkeys(patches.values("sample_id"))
    labels = [ObjectId(label) for label in patches.values(f"{field}.id")]
    view = all_images(root_of(patches)).select(list(owners))
    shown: Samples = view.filter_labels(field, F("_id").is_in(labels))
    return shown


def _fill(samples: Samples, field: str, into: str) -> int:
    """Copies names to the instances that have none; returns how many there were."""
    dataset = root_dataset(samples)
    names = LabelTable.read(samples, into, ("prompt_id", *NAME_ATTRIBUTES))
    answers = {asked: row for row, asked in enumerate(names.columns["prompt_id"])}
    drawn = LabelTable.read(samples, field, ("label",))
    filled = []
    for owner, label_id, name in zip(drawn.samples, drawn.ids, drawn.columns["label"]):
        row = answers.get(label_id)
        if name or row is None or names.columns["label"][row] is None:
            continue
        filled.append((owner, label_id, {n: names.columns[n][row] for n in NAME_ATTRIBUTES}))
    if filled:
        declare_attributes(dataset, field, (a for a in ATTRIBUTES if a.name in NAME_ATTRIBUTES))
        writing.set_attributes(dataset, field, filled, unless=_NAMED)
    return len(filled)
