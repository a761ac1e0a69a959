"""What has been reviewed, as clean ground truth: COCO, LVIS, or a FiftyOne dataset on disk."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import fiftyone as fo

from ovsam_plugin.curation.attributes import DECISION, check_detections
from ovsam_plugin.curation.decisions import ACCEPTED, KINDS, REJECTED, RENAMED
from ovsam_plugin.dataset.export import common_folder, size_of, whole_file
from ovsam_plugin.dataset.runs import recorded_vocabulary
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset
from ovsam_plugin.evaluation.label_masks import crop_of
from ovsam_plugin.vocabulary.names import name_key
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

Format: TypeAlias = Literal["coco", "lvis", "fiftyone"]
FORMATS: tuple[Format, ...] = get_args(Format)
GROUND_TRUTH = "ground_truth"
"""The label field of an exported FiftyOne dataset."""

_DECISIONS = tuple(a.name for a in DECISION)
# LVIS's groups, by the number of images that a class is in (Gupta et al. 2019, section 3.1).
_RARE, _COMMON = 10, 100
_SHOWN = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CleanExport:
    """What was written.

    Attributes:
        path: the file or folder.
        images: how many, those in which every instance was rejected among them.
        instances: how many.
        categories: names of the classes that have instances, sorted.
        open: undecided instances on these images that are not in the export.
        left_out: why instances that should have been in it are not, a line each.
    """

    path: Path
    images: int
    instances: int
    categories: tuple[str, ...]
    open: int
    left_out: tuple[str, ...]


def export_clean(
    samples: Samples,
    field: str,
    path: str | Path,
    format: Format = "coco",
    *,
    undecided_above: float | None = None,
    only_finished: bool = False,
    vocabulary: str | Path | Vocabulary | None = None,
    overwrite: bool = False,
) -> CleanExport:
    """Writes accepted and renamed instances; rejected ones are left out.

    Masks are written exactly, as run lengths at their image's own size. An image is in the export
    once something was decided on it, or one of its instances is taken undecided. In LVIS, classes
    of which an image has instances that are not in the file, being open, outside the view or
    without a mask, stand in its `not_exhaustive_category_ids`. A mask whose box somebody has
    resized is stretched over it, as the App draws it.

    Args:
        samples: the dataset, or a view of it.
        field: a field of Detections.
        path: the JSON file; for "fiftyone" a folder.
        format: "coco", "lvis", or "fiftyone" (`fo.types.FiftyOneDataset`; images stay where they
            are, the labels are in `ground_truth`).
        undecided_above: also take undecided instances whose confidence is at least this, 0..1.
        only_finished: leave out images that still have open instances.
        vocabulary: gives category ids, synonyms and frequencies; by default the one that the
            field was labelled with. A synonym counts as its class; names that it lacks get ids
            after its largest.
        overwrite: replace what is at `path`.

    Raises:
        ValueError: there is no such field or format, nothing would be in the export, a number is
            out of range, or something is at `path` already. Nothing is written then.
    """
    check_detections(samples, field)
    target = _target(path, format, overwrite)
    if undecided_above is not None and not 0 <= undecided_above <= 1:
        raise ValueError(f"undecided_above is {undecided_above}, must be 0 to 1")
    known = (
        recorded_vocabulary(root_dataset(samples), field)
        if vocabulary is None
        else load_vocabulary(vocabulary)
    )
    if known is None and format != "fiftyone":
        logger.warning(
            "no run is recorded for field %r (renamed, or cloned from a view?): its categories are "
            "numbered from 1. vocabulary=... gives them the ids of a vocabulary",
            field,
        )
    collected = _Collected()
    for clean in _clean(samples, field, undecided_above, only_finished):
        collected.add(clean, needs_masks=format != "fiftyone")
    if not collected.images and collected.left_out:
        shown = "; ".join(collected.left_out[:_SHOWN])
        raise ValueError(f"nothing of {field!r} can be written: {shown}")
    if not collected.images:
        raise ValueError(
            f"no instance of {field!r} is accepted or renamed"
            + (", on an image without open ones" if only_finished else "")
            + ": review some first, or take undecided ones with undecided_above"
        )
    if format == "fiftyone":
        _write_fiftyone(collected, target)
    else:
        _write_json(collected, target, known, lvis=format == "lvis")
    return CleanExport(
        path=target,
        images=len(collected.images),
        instances=sum(collected.instances.values()),
        categories=tuple(sorted(collected.instances)),
        open=sum(len(image.open) for image in collected.images),
        left_out=tuple(collected.left_out),
    )


@dataclass(frozen=True)
class _Image:
    """One image of the export: its clean labels, the names of those that are still open, and of
    clean ones that are not among the labels."""

    sample: fo.Sample
    labels: list[fo.Detection]
    open: list[str]
    missing: list[str]


class _Collected:
    """Images with their labels, annotations of masks, and counts."""

    def __init__(self) -> None:
        self.images: list[_Image] = []
        self.sizes: list[tuple[int, int]] = []
        self.annotations: list[tuple[int, str, dict[str, Any]]] = []
        self.instances: Counter[str] = Counter()
        self.left_out: list[str] = []

    def add(self, image: _Image, *, needs_masks: bool) -> None:
        size = size_of(image.sample) if needs_masks else (0, 0)
        if size is None:
            self.left_out.append(f"{image.sample.filepath}: the image gives no size")
            return
        written = 0
        for label in image.labels:
            if needs_masks:
                reason = self._annotate(label, size)
                if reason is not None:
                    self.left_out.append(f"{image.sample.filepath}, label {label.id}: {reason}")
                    image.missing.append(label.label)
                    continue
            self.instances[label.label] += 1
            written += 1
        if image.labels and not written:  # it would look like one where everything was rejected
            return
        self.images.append(image)
        self.sizes.append(size)

    def _annotate(self, label: fo.Detection, size: tuple[int, int]) -> str | None:
        """Adds a label's annotation to the image that is being added, or says why it cannot."""
        try:
            crop = crop_of(label, size, resize_masks=True)
        except ValueError as error:
            return str(error)
        if crop is None or not crop.area:
            return "it has no mask" if crop is None else "its mask is empty"
        x1, y1, x2, y2 = crop.box
        annotation = {
            "segmentation": crop.rle(size),
            "area": crop.area,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "iscrowd": 0,
        }
        self.annotations.append((len(self.images), label.label, annotation))
        return None


def _clean(
    samples: Samples, field: str, undecided_above: float | None, only_finished: bool
) -> Iterator[_Image]:
    """The images of the export; those that nobody has looked at are passed over.

    What a view hides of an image's labels is not exported, and not forgotten either.
    """
    ids = samples.values(["id", f"{field}.detections.id"])
    asked = {sample_id: set(row or ()) for sample_id, row in zip(*ids)}
    dataset = root_dataset(samples)
    for sample in all_images(dataset).select(list(asked), ordered=True).select_fields(field):
        value = sample[field]
        labels: list[fo.Detection] = []
        still_open: list[str] = []
        missing: list[str] = []
        decided = False
        for label in () if value is None else value.detections:
            review = label.get_attribute_value("review", None)
            shown = label.id in asked[sample.id]
            decided = decided or (shown and review in KINDS)
            if review == REJECTED or label.label is None:
                continue
            sure = (
                undecided_above is not None
                and label.confidence is not None
                and label.confidence >= undecided_above
            )
            if review not in (ACCEPTED, RENAMED) and not sure:
                still_open.append(label.label)
            elif shown:
                labels.append(label)
            else:
                missing.append(label.label)
        if (decided or labels) and not (only_finished and still_open):
            yield _Image(sample, labels, still_open, missing)


def _write_json(
    collected: _Collected, path: Path, vocabulary: Vocabulary | None, *, lvis: bool
) -> None:
    def key_of(name: str) -> str:
        """Of its class: a synonym's is that of the class."""
        found = None if vocabulary is None else vocabulary.find(name)
        return name_key(name if vocabulary is None or found is None else vocabulary.names[found])

    classes = {key_of(name): name for name in sorted(collected.instances)}
    categories = _categories(classes, vocabulary)
    ids = {name_key(category.name): category.id or 0 for category in categories}
    images_of: dict[str, set[int]] = {}
    instances: Counter[str] = Counter()
    for index, name, _ in collected.annotations:
        images_of.setdefault(key_of(name), set()).add(index)
        instances[key_of(name)] += 1
    root = common_folder([image.sample.filepath for image in collected.images])
    images = []
    for number, (image, (height, width)) in enumerate(
        zip(collected.images, collected.sizes), start=1
    ):
        name = Path(image.sample.filepath).relative_to(root).as_posix()
        record = {"id": number, "file_name": name, "width": width, "height": height}
        if lvis:
            absent = map(key_of, (*image.open, *image.missing))
            unsure = sorted({ids[key] for key in absent if key in ids})
            record |= {
                "coco_url": name,
                "neg_category_ids": [],
                "not_exhaustive_category_ids": unsure,
            }
        images.append(record)
    annotations = [
        {"id": number, "image_id": index + 1, "category_id": ids[key_of(name)], **annotation}
        for number, (index, name, annotation) in enumerate(collected.annotations, start=1)
    ]
    records = []
    for category in categories:
        name, key = category.name, name_key(category.name)
        record = {"id": category.id, "name": name, "supercategory": ""}
        if lvis:
            count = len(images_of.get(key, ()))
            record |= {
                "synonyms": list(category.synonyms),
                "synset": name,
                "def": "",
                "frequency": category.frequency or _frequency(count),
                "image_count": count,
                "instance_count": instances[key],
            }
        records.append(record)
    now = datetime.now(timezone.utc)
    content = {
        "info": {
            "description": "reviewed instances",
            "year": now.year,
            "date_created": now.isoformat(timespec="seconds"),
        },
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": records,
    }
    with whole_file(path) as file:
        json.dump(content, file, ensure_ascii=False, allow_nan=False)


def _categories(names: Mapping[str, str], vocabulary: Vocabulary | None) -> list[Category]:
    """The classes of the export with an id each, in the ids' order.

    A vocabulary whose classes have numbers gives them all; otherwise the names that occur are
    numbered from 1.

    Args:
        names: of the classes that occur, by their keys.
        vocabulary: where there is one.
    """
    known = {name_key(c.name): c for c in vocabulary.categories} if vocabulary is not None else {}
    numbers = {c.id for c in known.values()}
    found = dict(known) if len(numbers) == len(known) and None not in numbers else {}
    following = max((c.id for c in found.values() if c.id is not None), default=0) + 1
    for key, name in names.items():
        if key not in found:
            found[key] = replace(known.get(key) or Category(name), id=following)
            following += 1
    return sorted(found.values(), key=lambda category: category.id or 0)


def _frequency(images: int) -> str:
    return "r" if images <= _RARE else "c" if images <= _COMMON else "f"


def _write_fiftyone(collected: _Collected, folder: Path) -> None:
    made = fo.Dataset()
    try:
        for image in collected.images:
            sample = fo.Sample(
                filepath=image.sample.filepath,
                tags=list(image.sample.tags),
                metadata=image.sample.metadata,
            )
            labels = [_ground_truth(label) for label in image.labels]
            sample[GROUND_TRUTH] = fo.Detections(detections=labels)
            made.add_sample(sample, dynamic=True)
        made.export(
            export_dir=str(folder),
            dataset_type=fo.types.FiftyOneDataset,
            export_media=False,
            overwrite=True,
            progress=False,
        )
    finally:
        made.delete()


def _ground_truth(label: fo.Detection) -> fo.Detection:
    decided = {name: label.get_attribute_value(name, None) for name in _DECISIONS}
    return fo.Detection(
        label=label.label,
        bounding_box=list(label.bounding_box),
        mask=label.get_mask(),
        **{name: value for name, value in decided.items() if value is not None},
    )


def _target(path: str | Path, format: str, overwrite: bool) -> Path:
    if format not in FORMATS:
        choices = ", ".join(map(repr, FORMATS))
        raise ValueError(f"format is {format!r}, must be one of {choices}")
    target = Path(path).expanduser()
    is_folder = target.is_dir()
    if format == "fiftyone" and target.exists() and not is_folder:
        raise ValueError(f"{target} is a file, and a FiftyOne dataset is a folder")
    if format != "fiftyone" and is_folder:
        raise ValueError(f"{target} is a folder: give the JSON file, such as {target}/clean.json")
    if not target.exists() or (is_folder and not any(target.iterdir())):
        return target
    if not overwrite:
        raise ValueError(f"{target} is there already: choose another place, or overwrite=True")
    if is_folder and not (target / "samples.json").is_file():
        raise ValueError(f"{target} holds other things than a FiftyOne dataset: choose another")
    return target
