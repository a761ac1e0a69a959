"""Names for instances that came from elsewhere: drawn by a person, or found by another model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiftyone.core.patches import PatchesView

from ovsam_plugin.curation.attributes import own_detections
from ovsam_plugin.curation.label_table import LabelTable
from ovsam_plugin.dataset import writing
from ovsam_plugin.dataset.fields import (
    ATTRIBUTES,
    NAME_ATTRIBUTES,
    check_writable,
    declare_attributes,
)
from ovsam_plugin.dataset.labeling import LabelSummary, label_dataset
from ovsam_plugin.dataset.overwriting import Overwrite
from ovsam_plugin.dataset.targets import Samples, photographs_behind, root_dataset
from ovsam_plugin.dataset.vocabulary_spec import Examples, VocabularySpec
from ovsam_plugin.hardware.precision import Precision
from ovsam_plugin.namers import Cut, NamerSpec
from ovsam_plugin.recognition.adapter import Adapter
from ovsam_plugin.recognition.calibration import Calibration
from ovsam_plugin.renaming import renamed

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


@renamed(field="pred_field", into="label_field")
def name_instances(
    samples: Samples,
    *,
    pred_field: str,
    label_field: str | None = None,
    fill: bool = False,
    preset: str = "ovsam-lite",
    namer: str | NamerSpec | None = None,
    cuts: str | Sequence[Cut] | None = None,
    weights: str | Path | None = None,
    vocabulary: VocabularySpec = "lvis",
    examples: Examples | None = None,
    min_confidence: float | None = None,
    calibration: Calibration | str | Path | None = None,
    adapter: Adapter | str | Path | None = None,
    refine_masks: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    overwrite: Overwrite = False,
    progress: bool | Callable[[Any], None] | None = None,
) -> NamingSummary:
    """Names and scores the instances of a field, whoever made them.

    A mask is named as it is; a box without one gets a mask from the preset. The names go to a field
    of their own, whose labels say in `prompt_id` which instance each names, and which can be
    searched, relabelled and reviewed like any run.

    Args:
        samples: a dataset or view of images; or patches of the field, which are named alone.
        pred_field: of Detections or Polylines.
        label_field: the new field; `<field>_named` when None.
        fill: also give a name, with its scores, to every instance of `pred_field` that has none;
            Detections only.
        preset, namer, cuts, weights, vocabulary, examples, min_confidence, calibration, adapter,
            refine_masks, batch_size, workers, device, precision, overwrite, progress: as for
            `label_dataset`.

    Returns:
        what was done.

    Raises:
        ValueError: as for `label_dataset`; or `fill` and `pred_field` holds no Detections, or is
            read-only; or the patches are of another field.
    """
    if isinstance(samples, PatchesView):
        if samples.patches_field != pred_field:
            raise ValueError(
                f"these are patches of field {samples.patches_field!r}, not of {pred_field!r}: "
                f"give pred_field={samples.patches_field!r}, or the dataset"
            )
        samples = photographs_behind(samples, pred_field)
    if fill:
        own_detections(samples, pred_field)
        check_writable(root_dataset(samples), pred_field, NAME_ATTRIBUTES)
    label_field = label_field or f"{pred_field}_named"
    summary = label_dataset(
        samples,
        preset=preset,
        weights=weights,
        vocabulary=vocabulary,
        examples=examples,
        label_field=label_field,
        mask_field=pred_field,
        refine_masks=refine_masks,
        min_confidence=min_confidence,
        calibration=calibration,
        adapter=adapter,
        namer=namer,
        cuts=cuts,
        batch_size=batch_size,
        workers=workers,
        device=device,
        precision=precision,
        overwrite=overwrite,
        progress=progress,
    )
    return NamingSummary(summary, _fill(samples, pred_field, label_field) if fill else 0)


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
