"""Labels out of a dataset as a COCO results list, every prompt answered, in the prompts' order."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import fiftyone as fo

from ovsam_plugin.annotations import AnnotatedCategory, Id
from ovsam_plugin.dataset.edits import check_photograph
from ovsam_plugin.dataset.fields import FOUND, error_field
from ovsam_plugin.dataset.image_folder import image_folder
from ovsam_plugin.dataset.importing import AttachedPrompts
from ovsam_plugin.dataset.label_masks import crop_of, reaches_over, to_xyxy
from ovsam_plugin.dataset.prompt_kinds import BY_TYPE, kind_of
from ovsam_plugin.dataset.provenance import KEY, SCORES, Provenance
from ovsam_plugin.dataset.rank import number, rank
from ovsam_plugin.dataset.record_spool import RecordSpool
from ovsam_plugin.dataset.runs import recorded_settings
from ovsam_plugin.dataset.sample_prompts import elements, read_prompts
from ovsam_plugin.dataset.sizes import UNSIZED, size_of
from ovsam_plugin.dataset.targets import check_flat, root_dataset
from ovsam_plugin.files import whole_file
from ovsam_plugin.images.mask_crop import NOTHING
from ovsam_plugin.vocabulary.names import joined_key, name_key
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

Row: TypeAlias = dict[str, Any]
CategoryOf: TypeAlias = Callable[[str], Id | None]

_UNANSWERED = "the prompt was not answered; label the sample again"
_BOX = "a box without a mask"
_CUT = "the box extends beyond the image's edge: the mask was cut there"

logger = logging.getLogger(__name__)


class CategoryIds:
    """An annotation file's category ids by name.

    A predicted name is looked up among the file's names, then among its synonyms, then by the
    synonyms that its vocabulary gives it; where several categories answer, it has none. Case,
    underscores and hyphens do not count, and where nothing is called so, spaces neither.

    Args:
        categories: the annotation file's.
        vocabulary: what the names were predicted from; None when it is not known.
    """

    def __init__(
        self, categories: Sequence[AnnotatedCategory], vocabulary: Vocabulary | None = None
    ) -> None:
        self._names = _Claims((c.id, (c.name,)) for c in categories)
        self._texts = _Claims((c.id, (c.name, *c.synonyms)) for c in categories)
        self._synonyms = (
            {category.name: category.synonyms for category in vocabulary.categories}
            if vocabulary is not None
            else {}
        )

    def __call__(self, name: str) -> Id | None:
        found = (
            self._names.of(name)
            or self._texts.of(name)
            or self._texts.of(*self._synonyms.get(name, ()))
        )
        return next(iter(found)) if len(found) == 1 else None


class _Claims:
    """Category ids by what they are called, where several may be called the same."""

    _KEYS = (name_key, joined_key)

    def __init__(self, called: Iterable[tuple[Id | None, Iterable[str]]]) -> None:
        self._ids: tuple[dict[str, set[Id]], ...] = tuple({} for _ in self._KEYS)
        for category_id, names in called:
            if category_id is None:
                continue
            for name in names:
                for ids, key in zip(self._ids, self._KEYS, strict=True):
                    ids.setdefault(key(name), set()).add(category_id)

    def of(self, *names: str) -> set[Id]:
        """Of those that have one of these names, in words or, where none has, run together."""
        for ids, key in zip(self._ids, self._KEYS, strict=True):
            if found := {i for name in names for i in ids.get(key(name), ())}:
                return found
        return set()


def annotation_rows(
    samples: fo.SampleCollection,
    label_field: str,
    asked: AttachedPrompts,
    category_of: CategoryOf,
) -> Iterator[Row]:
    """One row an annotation, in the annotation file's order, answered or not.

    `image_id`, `file_name` and `prompt_id` are the annotation file's.

    Args:
        samples: the dataset, or the view that `asked` gives of it.
        label_field: where the answers are.
        asked: the annotation file's prompts.
        category_of: category id by name.
    """
    images = {image.id: image for image in asked.file.images}
    images_of: dict[str, list[Id]] = {}
    for image_id, sample_id in asked.samples.items():
        images_of.setdefault(sample_id, []).append(image_id)
    prompts_of: dict[Id | None, list[int]] = {}
    for index, prompt in enumerate(asked.file.prompts):
        prompts_of.setdefault(prompt.image_id, []).append(index)
    prompt_type = "box" if asked.file.source == "box" else "point"

    otherwise = _otherwise(samples, label_field)
    provenance = Provenance.of(samples, label_field)
    # Images come one after the other and the file's annotations in any order, so rows wait on disk.
    with closing(RecordSpool()) as rows:
        numbers: dict[int, int] = {}
        for sample in _light(samples, label_field, asked.field):
            answers = _Answers.of(sample, label_field, {BY_TYPE: asked.field}, otherwise)
            for image_id in images_of.get(sample.id, ()):
                image = images[image_id]
                for index in prompts_of.get(image_id, ()):
                    prompt = asked.file.prompts[index]
                    label_id = asked.labels.get(index, "")
                    row = _row(
                        _head(image.id, image.file_name, prompt.id, prompt_type),
                        answers.by_prompt.get(label_id),
                        answers.size or image.size,
                        category_of,
                        asked.errors.get(index) or answers.reason(label_id),
                        provenance,
                    )
                    numbers[index] = rows.append(row)
        for index, prompt in enumerate(asked.file.prompts):
            if index in numbers:
                yield rows[numbers[index]]
                continue
            lost = None if prompt.image_id is None else images.get(prompt.image_id)
            name, size = (lost.file_name, lost.size) if lost is not None else (None, None)
            head = _head(prompt.image_id, name, prompt.id, prompt_type)
            yield _failed(head, size, asked.errors.get(index, _UNANSWERED))


def field_rows(
    samples: fo.SampleCollection, label_field: str, prompt_fields: Mapping[str, str] | None = None
) -> Iterator[Row]:
    """Rows of labels that no annotation file asked for.

    Samples come in their order; `image_id` counts them from 1, and `file_name` is relative to the
    dataset's `image_folder`. With fields that ask, by the keywords of `apply_model` that name them,
    there is one row a prompt, in the prompts' order, answered or not, `prompt_id` being the id of
    the label that asked; without, one row an instance in the field's order. `category_id` is null,
    there being no file to take it from.

    Raises:
        ValueError: the samples are groups; the message says which view to give instead.
    """
    check_flat(samples)
    root = image_folder(samples)
    otherwise = _otherwise(samples, label_field)
    provenance = Provenance.of(samples, label_field)
    asking = prompt_fields or {}
    for place, sample in enumerate(_light(samples, label_field, *asking.values()), start=1):
        name = Path(sample.filepath).relative_to(root).as_posix()
        answers = _Answers.of(sample, label_field, asking, otherwise)
        if not asking:
            for label in answers.labels:
                head = _head(place, name, None, None)
                yield _row(head, label, answers.size, _no_id, None, provenance)
            continue
        for key, field in asking.items():
            for prompt in elements(key, sample[field]):
                yield _row(
                    _head(place, name, prompt.id, kind_of(key).name),
                    answers.by_prompt.get(prompt.id),
                    answers.size,
                    _no_id,
                    answers.reason(prompt.id),
                    provenance,
                )


def write_rows(rows: Iterable[Row], path: str | Path) -> int:
    """Write rows as they come, as a JSON list, a row a line; the file is there whole or not at all.

    Masks that were cut at the image's edge are told in the log; each says so in its `note`.

    Returns:
        How many rows were written.
    """
    count = cut = 0
    with whole_file(path) as file:
        for row in rows:
            cut += "note" in row
            file.write("[\n" if count == 0 else ",\n")
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False))
            count += 1
        file.write("\n]\n" if count else "[]\n")
    if cut:
        logger.warning(
            "%d masks of %s were cut: their boxes extend beyond the image's edge (see `note`)",
            cut,
            Path(path).name,
        )
    return count


def _light(
    samples: fo.SampleCollection, label_field: str, *prompt_fields: str
) -> fo.SampleCollection:
    wanted = [label_field, f"{label_field}_error", *prompt_fields]
    return samples.select_fields([f for f in wanted if samples.has_sample_field(f)])


def _otherwise(samples: fo.SampleCollection, label_field: str) -> str:
    """Why a prompt has no answer on a sample that did not fail."""
    settings = recorded_settings(root_dataset(samples), label_field) or {}
    limits = {"confidence": "min_confidence", "objectness": "min_objectness"}
    below = [
        f"{name} is below {settings[key]:g}"
        for name, key in limits.items()
        if settings.get(key) is not None
    ]
    return f"the answer's {' or its '.join(below)}" if below else _UNANSWERED


@dataclass(frozen=True)
class _Answers:
    """The labels of one sample, and why prompts of it have none."""

    labels: list[fo.Detection]
    by_prompt: dict[str, fo.Detection]
    size: tuple[int, int] | None
    failure: str | None
    refused: dict[str, str]
    otherwise: str

    @classmethod
    def of(
        cls, sample: fo.Sample, label_field: str, asking: Mapping[str, str], otherwise: str
    ) -> _Answers:
        value = sample[label_field] if sample.has_field(label_field) else None
        error = error_field(label_field)
        labels = [] if value is None else list(value.detections)
        size = size_of(sample)
        refused: dict[str, str] = {}
        if asking and size is not None:
            asked = {key: sample[field] for key, field in asking.items()}
            refused = dict(read_prompts(asked, size).refused)
        return cls(
            labels=labels,
            by_prompt={
                str(label.get_attribute_value("prompt_id", None)): label for label in labels
            },
            size=size,
            failure=sample[error] if sample.has_field(error) else None,
            refused=refused,
            otherwise=otherwise,
        )

    def reason(self, prompt_id: str) -> str:
        """Why this prompt has no answer, if it has none."""
        if prompt_id in self.refused:
            return self.refused[prompt_id]
        # Refusals are the whole of a failure that tells of prompts.
        return self.failure if self.failure and not self.refused else self.otherwise


def _no_id(name: str) -> None:
    return None


def _head(
    image_id: Id | None, file_name: str | None, prompt_id: Id | None, prompt_type: str | None
) -> Row:
    return {
        "image_id": image_id,
        "file_name": file_name,
        "prompt_type": prompt_type,
        "prompt_id": prompt_id,
    }


def _row(
    head: Row,
    label: fo.Detection | None,
    size: tuple[int, int] | None,
    category_of: CategoryOf,
    reason: str | None,
    provenance: Provenance,
) -> Row:
    if label is None:
        return _failed(head, size, reason or _UNANSWERED)
    if size is None:
        return _failed(head, size, UNSIZED)
    try:
        check_photograph([label], size)
        crop = crop_of(label, size)
        box = to_xyxy(label.bounding_box, size) if crop is None else crop.box
    except (TypeError, ValueError) as error:
        return _failed(head, size, str(error))
    # A person may draw a box alone; an answer has a mask, or shows nothing.
    drawn = all(label.get_attribute_value(k, None) is None for k in ("prompt_type", "prompt_id"))
    if not (drawn if crop is None else crop.area):
        return _failed(head, size, "the mask is empty")
    note = _BOX if crop is None else _CUT if reaches_over(label, size) else None
    x1, y1, x2, y2 = box
    told = provenance.facts(label)
    return {
        "image_id": head["image_id"],
        "file_name": head["file_name"],
        "category_id": category_of(label.label),
        "category_name": label.label,
        "segmentation": (NOTHING if crop is None else crop).rle(size),
        "bbox": [number(value) for value in (x1, y1, x2 - x1, y2 - y1)],
        # What asked is the file's word, for a label that was read from one.
        "score": rank(label, found=told.get("prompt_type") in FOUND),
        **{key: number(label.get_attribute_value(key, None)) for key in SCORES},
        "top_labels": list(label.get_attribute_value("top_labels", None) or ()),
        "top_scores": [number(v) for v in label.get_attribute_value("top_scores", None) or ()],
        "prompt_type": told.get("prompt_type") or head["prompt_type"],
        "prompt_id": told.get("prompt_id") if head["prompt_id"] is None else head["prompt_id"],
        KEY: told,
        **({} if note is None else {"note": note}),
    }


def _failed(head: Row, size: tuple[int, int] | None, reason: str) -> Row:
    return {
        "image_id": head["image_id"],
        "file_name": head["file_name"],
        "category_id": None,
        "category_name": None,
        "segmentation": NOTHING.rle(size or (0, 0)),
        "bbox": [0.0, 0.0, 0.0, 0.0],
        "score": 0.0,
        **dict.fromkeys(SCORES, 0.0),
        "top_labels": [],
        "top_scores": [],
        "prompt_type": head["prompt_type"],
        "prompt_id": head["prompt_id"],
        "error": reason,
    }
