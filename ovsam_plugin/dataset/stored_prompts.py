"""The prompts of an annotation file as they lie on samples: written where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fiftyone as fo

from ovsam_plugin.consent import OVERWRITE, ConsentError
from ovsam_plugin.dataset.database import in_parts
from ovsam_plugin.dataset.fields import declare_attributes
from ovsam_plugin.dataset.provenance import ATTRIBUTES
from ovsam_plugin.dataset.runs import recorded_settings
from ovsam_plugin.dataset.targets import all_images


@dataclass(frozen=True)
class ReplacedPrompts:
    """Prompts that others have taken the place of, and had been answered.

    Attributes:
        field: where they lay.
        prompts: by sample id; None of a sample that had none.
        answered: the field of the answers.
        answers: the answers' ids by sample id, as they were then.
    """

    field: str
    prompts: dict[str, fo.Label | None]
    answered: str
    answers: dict[str, list[str] | None]

    def put_back(self, dataset: fo.Dataset) -> None:
        """Puts them in their places again where their answers are still there, all of them."""
        if self.answers == _answers(dataset, self.answered, self.prompts):
            all_images(dataset).set_values(self.field, self.prompts, key_field="id")


def _told(label: fo.Label) -> dict[str, Any]:
    """What a label has of `ATTRIBUTES`, as it compares with what the database gives."""
    values = {a.name: label.get_attribute_value(a.name, None) for a in ATTRIBUTES}
    return {
        # FiftyOne gives times without a zone, and means UTC.
        name: value.replace(tzinfo=None) if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None and value != []
    }


def store_prompts(
    dataset: fo.Dataset,
    field: str,
    answers: str,
    sample_ids: Iterable[str],
    values: Mapping[str, list[fo.Label]],
    overwrite: bool,
) -> ReplacedPrompts | None:
    """Writes the prompts of samples where they differ from those there.

    Args:
        dataset: the samples' dataset.
        field: where prompts go, `<answers>_boxes` or `<answers>_points`.
        answers: the field that holds, or will hold, the answers.
        sample_ids: of the samples that a file names.
        values: by sample id, its prompts; a sample without any loses those that it has.
        overwrite: whether prompts may change whose answers are there.

    Returns:
        what was there and had been answered; None where nothing of that has changed.

    Raises:
        ValueError: some that would change were answered in the field `answers`, and are not to be
            overwritten; or the field holds what is no annotation file's.
    """
    kind = fo.Detections if field.endswith("_boxes") else fo.Keypoints
    slot = "detections" if kind is fo.Detections else "keypoints"
    _check_ours(dataset, field, slot, sample_ids)
    if not dataset.has_sample_field(field):
        dataset.add_sample_field(
            field,
            fo.EmbeddedDocumentField,
            embedded_doc_type=kind,
            description="The prompts of an annotation file: places only, no classes and no masks",
        )
        dataset.add_sample_field(
            f"{field}.{slot}.annotation_id",
            fo.StringField,
            description="The id of the annotation that is the prompt",
        )
    told = {name for made in values.values() for label in made for name in _told(label)}
    ids = list(dict.fromkeys(sample_ids))
    images = all_images(dataset)
    changed: dict[str, fo.Label] = {}
    retold: dict[str, fo.Label] = {}
    for part in in_parts(ids):
        # Labels are read whole only where more than their ids is to be compared.
        there = images.select(part).values(["id", f"{field}.{slot}" + ("" if told else ".id")])
        for sample_id, before in zip(*there, strict=True):
            now = values.get(sample_id, [])
            made = kind(**{slot: now})
            if told and before is not None:
                if [_told(label) for label in before] != [_told(label) for label in now]:
                    retold[sample_id] = made
                before = [label.id for label in before]
            if before != [label.id for label in now]:
                changed[sample_id] = made
    if not changed and not retold:
        return None
    recorded = None if overwrite else recorded_settings(dataset, answers)
    if changed and recorded is not None and field in recorded.get("prompt_fields", {}).values():
        parts = in_parts(changed)
        answered = sum(len(images.select(part).exists(answers)) for part in parts)
        if answered:
            raise ConsentError(
                f"field {answers!r} holds answers of {answered} images to other prompts than the "
                "annotation file's",
                "use another field",
                OVERWRITE,
            )
    declare_attributes(dataset, field, (a for a in ATTRIBUTES if a.name in told), slot)
    replaced = None
    if overwrite and changed and dataset.get_field(answers) is not None:
        there = [images.select(part).values(["id", field]) for part in in_parts(changed)]
        before = {sample_id: label for part in there for sample_id, label in zip(*part)}
        replaced = ReplacedPrompts(field, before, answers, _answers(dataset, answers, before))
    images.set_values(field, {**retold, **changed}, key_field="id")
    return replaced


def _answers(
    dataset: fo.Dataset, field: str, sample_ids: Iterable[str]
) -> dict[str, list[str] | None]:
    wanted = ["id", f"{field}.detections.id"]
    parts = [all_images(dataset).select(part).values(wanted) for part in in_parts(sample_ids)]
    return {sample_id: ids for part in parts for sample_id, ids in zip(*part)}


def _check_ours(dataset: fo.Dataset, field: str, slot: str, sample_ids: Iterable[str]) -> None:
    """Whether these samples have labels in the field that no annotation file gave.

    Raises:
        ValueError: some have, or the field holds something else.
    """
    there = dataset.get_field(field)
    if there is None:
        return
    if dataset.get_field(f"{field}.{slot}") is None:
        raise ValueError(
            f"the prompts go to field {field!r}, which holds something else: rename it, or use "
            "another field for the labels"
        )
    named = dataset.get_field(f"{field}.{slot}.annotation_id") is not None
    count = 0
    for part in in_parts(sample_ids):
        wanted = [f"{field}.{slot}.id", *([f"{field}.{slot}.annotation_id"] if named else [])]
        for ids, *names in zip(*all_images(dataset).select(part).values(wanted), strict=True):
            count += len(ids or ()) - sum(n is not None for n in (names[0] if names else ()) or ())
    if count:
        raise ValueError(
            f"the prompts go to field {field!r}, which holds {count:,} labels that no annotation "
            "file gave: rename it, or use another field for the labels"
        )
