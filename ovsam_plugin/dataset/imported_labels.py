"""A file's instances as labels on a dataset's samples: another model's, or our own come back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import fiftyone as fo

from ovsam_plugin.annotations import AnnotationFile, read_annotation_file
from ovsam_plugin.annotations.photographs import PathFinder
from ovsam_plugin.annotations.results import Result, read_instances
from ovsam_plugin.annotations.values import text
from ovsam_plugin.dataset.database import in_parts
from ovsam_plugin.dataset.fields import (
    check_storable,
    check_writable,
    declare_attributes,
    describe,
    relative_box,
)
from ovsam_plugin.dataset.image_folder import image_folder
from ovsam_plugin.dataset.internals import is_generated
from ovsam_plugin.dataset.provenance import ATTRIBUTES, attributes_of
from ovsam_plugin.dataset.sizes import measure, other_size
from ovsam_plugin.dataset.targets import Samples, all_images, copies_of, root_dataset
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.prediction.prompts import Box

_DESCRIPTION = "What a file says is there"
_SHOWN = 3


@dataclass(frozen=True)
class ImportedLabels:
    """A file whose instances lie on a dataset's samples.

    Attributes:
        field: of Detections, with the file's scores, and its classes where these have names.
        samples: how many samples have some.
        instances: how many there are.
        problems: instances that are left out, or have no class or no provenance, and why.
    """

    field: str
    samples: int
    instances: int
    problems: tuple[str, ...]


def import_labels(
    samples: Samples,
    path: str | Path,
    *,
    label_field: str = "predictions",
    annotations: str | Path | None = None,
) -> ImportedLabels:
    """Puts a file's instances on the samples of the photographs that it names.

    Of files that `export_clean` or `ovsam label --export` wrote, labels also get what these say of
    them: the `provenance` (model, weights, vocabulary, prompt), the scores, and who decided what
    and when. An instance that is broken, or does not lie on its photograph, is left out alone; one
    whose class or provenance cannot be told goes without.

    Args:
        samples: the dataset that has the photographs, or a view of it.
        path: a COCO or LVIS annotation file, or a results file: a list of objects with a `bbox` or
            a `segmentation`.
        label_field: where they go; one that the same file filled before stays as it is.
        annotations: an annotation file of the same photographs, where results have an `image_id`
            alone and no `file_name`.

    Returns:
        how many came, and what was left out and why.

    Raises:
        TypeError: `samples` is no dataset or view.
        ValueError: no instance can be used, or the field holds something else, also what the file
            said before its classes changed. Nothing is written then.
    """
    dataset = root_dataset(samples)
    if is_generated(samples):
        raise ValueError(copies_of(samples))
    path = Path(path).expanduser()
    results, truth = read_instances(path)
    what = "result" if truth is None else "annotation"
    if annotations is not None:
        if truth is not None:
            raise ValueError(
                f"{path.name} already says what its images are: leave out the annotation file"
            )
        truth = read_annotation_file(annotations)
    problems: list[str] = []

    def left_out(result: Result, why: object) -> None:
        problems.append(f"{what} {result.index} of {path.name}: {why}")

    by_sample: dict[str, list[Result]] = defaultdict(list)
    images = all_images(samples)
    known = dict(zip(*images.values(["filepath", "id"]), strict=True))
    named = {result.index: _photograph(result, truth) for result in results}
    # What a view leaves out must not give its name to a photograph of the view.
    paths = dict.fromkeys((*known, *all_images(dataset).values("filepath")))
    finder = PathFinder(tuple(paths), image_folder(samples))
    fits = finder.find([name for name in named.values() if name is not None])
    for result in results:
        name = named[result.index]
        called = () if name is None else fits[name]
        found = [path for path in called if path in known]
        if result.error is not None:
            left_out(result, result.error)
        elif name is None:
            left_out(result, _nameless(result, truth))
        elif called and not found:
            left_out(result, f"{name} is not in the view")
        elif len(found) != 1:
            left_out(result, f"{len(found) or 'no'} photographs of the dataset are called {name}")
        else:
            by_sample[known[found[0]]].append(result)

    sizes: dict[str, tuple[int, int] | None] = {}
    for part in in_parts(by_sample):
        sizes |= measure(images.select(part))
    values: dict[str, fo.Detections] = {}
    for sample_id, some in by_sample.items():
        labels = []
        for result in some:
            name, unknown = _class_name(result, truth)
            try:
                label = _label(result, sizes[sample_id], truth, name)
            except ValueError as error:
                left_out(result, error)
                continue
            labels.append(label)
            if unknown is not None:
                left_out(result, f"{unknown}; the instance itself is there, without a class")
            try:
                for key, value in attributes_of(result.record).items():
                    label[key] = value
            except ValueError as error:
                left_out(result, f"{error}; the instance itself is there")
        made = fo.Detections(detections=labels)
        try:
            check_storable(made)
        except ValueError as error:
            left_out(some[0], f"{error}; everything on its photograph is left out")
            continue
        if labels:
            values[sample_id] = made
    if not values:
        why = problems[0] if problems else "it is empty"
        raise ValueError(f"no {what} of {path} can be used: {why}")
    _store(dataset, label_field, values, path.name)
    count = sum(len(made.detections) for made in values.values())
    return ImportedLabels(label_field, len(values), count, tuple(problems))


def _photograph(result: Result, truth: AnnotationFile | None) -> str | None:
    image = None if truth is None else truth.image_of(result.image_id)
    return result.file_name if image is None else image.file_name


def _nameless(result: Result, truth: AnnotationFile | None) -> str:
    if truth is not None:
        return f"{truth.path.name} has no image with id {result.image_id!r:.40}"
    return (
        f"it has an image_id, {result.image_id!r:.40}, and no file_name: give the annotation file "
        "of the same photographs too"
    )


def _label(
    result: Result,
    size: tuple[int, int] | None,
    truth: AnnotationFile | None,
    name: str | None,
) -> fo.Detection:
    if size is None:
        raise ValueError("its photograph cannot be read")
    image = None if truth is None else truth.image_of(result.image_id)
    if truth is not None and image is not None and (reason := other_size(image, size, truth.path)):
        raise ValueError(reason)
    height, width = size
    mask = result.mask(size)
    if mask is None:
        x1, y1, x2, y2 = Box(result.box()).on_image(width, height).xyxy
        place = [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]
        drawn = None
    else:
        crop = MaskCrop.at(mask)
        place, drawn = relative_box(crop.box, size), crop.mask
    written = json.dumps([name, result.record], sort_keys=True, default=str)
    told = f"{result.index} {written}".encode(errors="backslashreplace")
    return fo.Detection(
        # Follows from the files, so that the same files give the same ids.
        id=hashlib.sha256(told).hexdigest()[:24],
        label=name,
        bounding_box=place,
        mask=drawn,
        confidence=result.score if result.scored else None,
    )


def _class_name(result: Result, truth: AnnotationFile | None) -> tuple[str | None, str | None]:
    """An instance's class, and why it has none; one that names none needs no reason."""
    category_id, written = (result.record.get(key) for key in ("category_id", "category_name"))
    place = None if truth is None else truth.place_of(category_id)
    if truth is not None and place is not None:
        return truth.categories[place].name, None
    if written:
        name = text(written)
        return name, None if name else f"its category_name is {written!r:.40}, not a name"
    if truth is None or category_id is None:
        return None, None
    return None, truth.class_error(category_id)


def _store(dataset: fo.Dataset, field: str, values: Mapping[str, fo.Detections], file: str) -> None:
    declared = dataset.get_field(field)
    if declared is not None:
        if getattr(declared, "document_type", None) is not fo.Detections:
            raise ValueError(
                f"field {field!r} holds {describe(declared)}, not Detections: choose another field"
            )
        inside = [f"{field}.detections.{name}" for name in ("id", "label")]
        there = all_images(dataset).exists(field).values(["id", *inside])
        before = {i: dict(zip(ids, names)) for i, ids, names in zip(*there) if ids}
        now = {i: {x.id: x.label for x in made.detections} for i, made in values.items()}
        # By their ids alone: a person may have given them other names since.
        others = [i for i in {**before, **now} if set(before.get(i, ())) != set(now.get(i, ()))]
        if not others:
            return
        if before:
            first = others[0]
            name = Path(all_images(dataset)[first].filepath).name
            had, has = (_counted(found.get(first, {})) for found in (before, now))
            same = " with another box, mask or score" if had == has else ""
            raise ValueError(
                f"field {field!r} holds other labels on {len(others)} samples than {file}, such as "
                f"{name}: {had} in the field, {has}{same} in the file. Give another field, or "
                f"clear this one first with dataset.clear_sample_field({field!r})"
            )
        check_writable(dataset, field)
    else:
        dataset.add_sample_field(
            field,
            fo.EmbeddedDocumentField,
            embedded_doc_type=fo.Detections,
            description=_DESCRIPTION,
        )
    labels = [label for made in values.values() for label in made.detections]
    told = [a for a in ATTRIBUTES if any(label.has_field(a.name) for label in labels)]
    declare_attributes(dataset, field, told)
    all_images(dataset).set_values(field, dict(values), key_field="id")


def _counted(labels: Mapping[str, str | None]) -> str:
    """How many labels of each name there are, by their ids."""
    counts = Counter(name or "without a class" for name in labels.values()).most_common()
    shown = [f"{count} {name}" for name, count in counts[:_SHOWN]]
    return ", ".join(shown + ["..."] * (len(counts) > _SHOWN)) or "none"
