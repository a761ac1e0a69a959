"""What a label carries: the fields that a labelling run declares and fills."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from bson import ObjectId
from fiftyone.core.utils import serialize_numpy_array

from ovsam_plugin.dataset import samples_in_memory
from ovsam_plugin.dataset.database import in_parts
from ovsam_plugin.dataset.expressions import Id
from ovsam_plugin.dataset.internals import (
    declare_all,
    declared_fields,
    is_generated,
    sample_documents,
)
from ovsam_plugin.dataset.prompt_kinds import PROMPT_KINDS
from ovsam_plugin.prediction.instances import Instances

if TYPE_CHECKING:  # fields are declared, and checked by forms, without torch
    from ovsam_plugin.recognition.recognizer import Recognition


class FieldGoneError(ValueError):
    """A field was deleted or renamed while it was written to."""


@dataclass(frozen=True)
class Attribute:
    """One attribute of a label: its name, FiftyOne field type and meaning."""

    name: str
    kind: type[fo.Field]
    description: str
    subfield: type[fo.Field] | None = None

    def made(self) -> fo.Field:
        """The field as a dataset declares it."""
        inside = {} if self.subfield is None else {"field": self.subfield()}
        return self.kind(description=self.description, **inside)


FOUND = ("everything", "text")
"""Prompt types of instances that nobody pointed at: whether there is a thing is in doubt, too."""

ATTRIBUTES = (
    Attribute("label", fo.StringField, "best class of the vocabulary"),
    Attribute(
        "objectness",
        fo.FloatField,
        "how likely this is one whole thing, well cut out, whatever its name, 0 to 1",
    ),
    Attribute("confidence", fo.FloatField, "fused probability of the label, 0 to 1"),
    Attribute(
        "similarity",
        fo.FloatField,
        "cosine of the instance's CLIP embedding and the nearest synonym of the label, -1 to 1",
    ),
    Attribute("head_score", fo.FloatField, "the trained head's own probability of the label"),
    Attribute("clip_score", fo.FloatField, "the frozen encoder's own probability of the label"),
    Attribute("margin", fo.FloatField, "probability of the best class less that of the second"),
    Attribute("top_labels", fo.ListField, "the best classes, at most 5", fo.StringField),
    Attribute("top_scores", fo.ListField, "fused probabilities of top_labels", fo.FloatField),
    Attribute(
        "stability",
        fo.FloatField,
        "IoU of the mask thresholded a little higher and a little lower, 0 to 1",
    ),
    Attribute("split", fo.StringField, "base or novel, by the vocabulary's split"),
    Attribute("frequency", fo.StringField, "f, c or r: frequent, common or rare in LVIS"),
    Attribute(
        "prompt_type",
        fo.StringField,
        f"kind of the prompt: {', '.join((*PROMPT_KINDS, *FOUND))}",
    ),
    Attribute("prompt_id", fo.StringField, "id of the label that was the prompt, or the words"),
    Attribute(
        "match",
        fo.FloatField,
        "probability of the words in the prompt relative to that of the best name, at most 1",
    ),
    Attribute("mask", fo.ArrayField, "the instance, cut to its own bounding box"),
    Attribute(
        "bounding_box",
        fo.ListField,
        "[x, y, width, height] of the mask, relative",
        fo.FloatField,
    ),
    Attribute(
        "outline",
        fo.FloatField,
        "a number computed from the mask and box, to tell whether they were edited since",
    ),
)

# What a label's name decides; its mask, box and whoever asked are the instance's own.
NAME_ATTRIBUTES = (
    "label",
    "confidence",
    "similarity",
    "head_score",
    "clip_score",
    "margin",
    "top_labels",
    "top_scores",
    "split",
    "frequency",
)

_DOCUMENT_LIMIT = 15_500_000
_BYTES_A_LABEL = 1500
# Random pixels, the worst there are, compress to about a sixth of a byte each.
_WORST_PIXELS_A_BYTE = 5

# FiftyOne declares these itself, and may mark them.
_UNTOUCHED = ("id", "_id", "_cls")

FIELD_DESCRIPTION = "instances named by Open-Vocabulary SAM"
ERROR_DESCRIPTION = "why labelling this sample, or some of its prompts, failed"


def error_field(field: str) -> str:
    """Where the reason stands when labelling a sample into `field` failed."""
    return f"{field}_error"


def check_field(dataset: fo.Dataset, field: str) -> None:
    """Whether labels may be written to the field.

    Raises:
        ValueError: the name cannot be a field, one of another type has it, it is read-only, or
            the field for reasons of failure holds something else.
    """
    if not field.isidentifier() or field.startswith("_"):
        raise ValueError(
            f"{field!r} cannot be a label field: use letters, digits and underscores, "
            "starting with a letter"
        )
    existing = dataset.get_field(field)
    if existing is not None and not _is(existing, fo.Detections):
        raise ValueError(
            f"field {field!r} holds {describe(existing)}, not Detections: choose another field"
        )
    error = dataset.get_field(error_field(field))
    if error is not None and not isinstance(error, fo.StringField):
        raise ValueError(
            f"{error_field(field)!r}, where reasons of failure go, holds {describe(error)}: "
            "choose another field"
        )
    foreign = error is not None and error.description != ERROR_DESCRIPTION
    if foreign and sample_documents(dataset).find_one({error_field(field): {"$ne": None}}):
        raise ValueError(
            f"field {error_field(field)!r}, where reasons of failure go, holds text of somebody "
            "else: choose another field"
        )
    for name in (field, error_field(field)):
        check_writable(dataset, name)


def check_writable(
    dataset: fo.Dataset, field: str, attributes: Iterable[str] | None = None
) -> None:
    """Whether a field of labels may be changed; to be asked before work is begun.

    Args:
        dataset: the dataset.
        field: a field; one that is not there yet may be.
        attributes: of its labels, those that will be changed; when None, all that are declared.

    Raises:
        ValueError: it is read-only, or one of these attributes is.
    """
    labels = f"{field}.detections"
    if attributes is None:
        schema = dataset.get_field_schema(flat=True)
        paths = [path for path in schema if path == field or path.startswith(f"{field}.")]
    else:
        paths = [field, labels, *(f"{labels}.{name}" for name in attributes)]
    for path in paths:
        declared = dataset.get_field(path)
        if declared is not None and declared.read_only and declared.name not in _UNTOUCHED:
            raise ValueError(
                f"field {path!r} is read-only. To let it be changed: "
                f"f = dataset.get_field({path!r}); f.read_only = False; f.save()"
            )


def declare_fields(dataset: fo.Dataset, field: str) -> None:
    """Declares the label field, every attribute and the error field, each with its description.

    What is declared already stays as it is, so this may be called again.

    Raises:
        ValueError: as for `check_field`.
    """
    check_field(dataset, field)
    if dataset.get_field(field) is None:
        dataset.add_sample_field(
            field,
            fo.EmbeddedDocumentField,
            embedded_doc_type=fo.Detections,
            description=FIELD_DESCRIPTION,
        )
    declare_attributes(dataset, field, ATTRIBUTES)
    if dataset.get_field(error_field(field)) is None:
        dataset.add_sample_field(error_field(field), fo.StringField, description=ERROR_DESCRIPTION)


def declare_attributes(
    dataset: fo.Dataset, field: str, attributes: Iterable[Attribute], slot: str = "detections"
) -> None:
    """Declares attributes of a field's labels that are not declared, and describes them.

    Args:
        dataset: the dataset.
        field: a field of Detections, or of another list of labels.
        attributes: of the labels.
        slot: the name of that list.
    """
    missing: dict[str, fo.Field] = {}
    for attribute in attributes:
        path = f"{field}.{slot}.{attribute.name}"
        declared = dataset.get_field(path)
        if declared is None:
            missing[path] = attribute.made()
        elif declared.description is None and not is_generated(dataset):
            declared.description = attribute.description
            declared.save()
    declare_all(dataset, missing)


def check_declared(dataset: fo.Dataset, fields: Sequence[str], written: Iterable[Id] = ()) -> None:
    """Whether fields are still a dataset's; FiftyOne reads no sample with one that is not.

    Args:
        dataset: the dataset.
        fields: top-level fields that are written to, the labels' first.
        written: samples that have been written to; they lose those of the fields that are gone.

    Raises:
        FieldGoneError: another call or process has deleted or renamed one.
    """
    declared = declared_fields(dataset)
    gone = [name for name in fields if name not in (declared or ())]
    if not gone:
        return
    removed, there = {"$unset": dict.fromkeys(gone, "")}, [{n: {"$exists": True}} for n in gone]
    for part in in_parts(written):
        chosen = {"_id": {"$in": [ObjectId(i) for i in part]}, "$or": there}
        sample_documents(dataset).update_many(chosen, removed)
    if declared is None:
        raise FieldGoneError(f"dataset {dataset.name!r} has been deleted meanwhile")
    raise FieldGoneError(
        f"field {gone[0]!r} of dataset {dataset.name!r} has been deleted or renamed meanwhile: "
        "labelling stopped. The same call makes the field again"
    )


def delete_fields(dataset: fo.Dataset, names: Sequence[str]) -> None:
    """Deletes fields of samples; samples in memory keep their unsaved edits of all others.

    Raises:
        ValueError: one is read-only. None is deleted then.
    """
    there = [name for name in names if dataset.get_field(name) is not None]
    for name in there:
        check_writable(dataset, name)
    if there:
        with samples_in_memory.edits_kept(dataset):
            dataset.delete_sample_fields(there)


def to_detections(
    instances: Instances,
    recognition: Recognition,
    *,
    prompt_type: str | None = None,
    prompt_id: str | None = None,
    match: Sequence[float] | npt.NDArray[np.float32] | None = None,
) -> fo.Detections:
    """Instances and their names as labels, in the same order.

    Args:
        instances: N instances, none of which is empty.
        recognition: their names.
        prompt_type: what was asked, when that is not each instance's own prompt.
        prompt_id: what asked, the same.
        match: N numbers for the attribute of that name.
    """
    size = instances.image_size
    detections = []
    for i, prompt in enumerate(instances.prompts):
        asked = {
            "prompt_type": prompt_type or prompt.kind,
            "prompt_id": prompt_id if prompt_type else prompt.id,
            "match": None if match is None else float(match[i]),
        }
        detections.append(
            fo.Detection(
                bounding_box=relative_box(instances.boxes[i], size),
                mask=instances.masks[i],
                objectness=float(instances.objectness[i]),
                stability=float(instances.stability[i]),
                **name_attributes(recognition, i),
                **asked,
            )
        )
    return fo.Detections(detections=detections)


def name_attributes(recognition: Recognition, index: int) -> dict[str, Any]:
    """The attributes of a label that its name decides: `NAME_ATTRIBUTES`.

    Args:
        recognition: names of some instances.
        index: which of them.
    """
    vocabulary = recognition.vocabulary
    category = vocabulary.categories[int(recognition.indices[index])]
    return {
        "label": category.name,
        "confidence": float(recognition.confidence[index]),
        "similarity": float(recognition.similarity[index]),
        "head_score": float(recognition.head_score[index]),
        "clip_score": float(recognition.clip_score[index]),
        "margin": float(recognition.margin[index]),
        "top_labels": [vocabulary.names[i] for i in recognition.top_indices[index]],
        "top_scores": recognition.top_scores[index].tolist(),
        "split": category.split,
        "frequency": category.frequency,
    }


def check_storable(detections: fo.Detections) -> None:
    """Whether the labels of one sample fit into its document.

    Raises:
        ValueError: they do not; FiftyOne would otherwise fail while it writes, and take other
            samples of the batch with it.
    """
    masks = [label.mask for label in detections.detections if label.mask is not None]
    overhead = _BYTES_A_LABEL * len(detections.detections)
    if overhead + sum(mask.size for mask in masks) / _WORST_PIXELS_A_BYTE < _DOCUMENT_LIMIT:
        return
    size = overhead + sum(len(serialize_numpy_array(mask)) for mask in masks)
    if size > _DOCUMENT_LIMIT:
        raise ValueError(
            f"{len(masks)} masks take {size / 1e6:.1f} MB, and MongoDB stores at most 16 MB per "
            "sample: label fewer instances of this image at once, into several fields"
        )


def relative_box(xyxy: Sequence[int] | npt.NDArray[np.int64], size: tuple[int, int]) -> list[float]:
    """Whole-pixel (x1, y1, x2, y2) to relative [x, y, w, h].

    FiftyOne goes back to pixels with `int(x * width)`, which loses a pixel where the quotient
    was rounded down; such a quotient is moved up by a step of a double, so that a mask is drawn
    on exactly the pixels it came from.
    """
    height, width = size
    x1, y1, x2, y2 = (int(v) for v in xyxy)
    x, w = _relative_span(x1, x2, width)
    y, h = _relative_span(y1, y2, height)
    return [x, y, w, h]


def describe(field: fo.Field) -> str:
    """A field's type in words a user knows: the label's class, or the field's."""
    document = getattr(field, "document_type", None)
    return str((document or type(field)).__name__)


def _relative_span(start: int, stop: int, total: int) -> tuple[float, float]:
    origin = start / total
    while int(total * origin) < start:
        origin += math.ulp(origin)
    extent = stop / total - origin
    while int(total * (origin + extent)) < stop:
        extent += math.ulp(stop / total)
    return origin, extent


def _is(field: fo.Field, label: type[fo.Label]) -> bool:
    document = getattr(field, "document_type", None)
    return isinstance(document, type) and issubclass(document, label)
