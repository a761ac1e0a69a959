"""A folder of images as a dataset, and an annotation file's prompts as labels on its samples."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import fiftyone as fo

from ovsam_plugin.dataset.annotations import AnnotatedPrompt, AnnotationFile, Id
from ovsam_plugin.dataset.image_paths import IMAGE_SUFFIXES, PathFinder, image_paths
from ovsam_plugin.dataset.runs import recorded_settings
from ovsam_plugin.dataset.sizes import measure

_EXCHANGED = ": are its sizes those of the picture before its EXIF orientation is applied?"


@dataclass(frozen=True)
class AttachedPrompts:
    """An annotation file whose prompts lie on a dataset's samples.

    Attributes:
        file: the annotation file.
        field: the sample field that holds the prompts: `Detections` for boxes, `Keypoints` for
            points, each with its `annotation_id`, and with no class and no mask.
        samples: sample id by image id, for images that have a sample.
        labels: label id by annotation id, for prompts that lie on a sample.
        errors: by annotation id, why a prompt does not lie on a sample.
        missing: file names of prompted images that are not there.
    """

    file: AnnotationFile
    field: str
    samples: Mapping[Id, str]
    labels: Mapping[Id, str]
    errors: Mapping[Id, str]
    missing: tuple[str, ...]

    def view(self, dataset: fo.Dataset) -> fo.DatasetView:
        """The samples that are asked about, in the file's order of images."""
        asked = {prompt.image_id for prompt in self.file.prompts}
        ids = [self.samples[i.id] for i in self.file.images if i.id in asked & set(self.samples)]
        return dataset.select(list(dict.fromkeys(ids)), ordered=True)


def import_images(directory: str | Path) -> fo.Dataset:
    """The persistent dataset of a folder of images, made or brought up to date.

    Its name follows from the folder alone, so a second call finds the first one's labels, and adds
    what has come to the folder since. Subfolders are searched; hidden ones are not.

    Raises:
        ValueError: there is no such folder, or no image in it.
    """
    directory = Path(directory).expanduser().resolve()
    if not directory.is_dir():
        raise ValueError(f"there is no folder {directory}")
    paths = image_paths(directory)
    if not paths:
        raise ValueError(
            f"{directory} holds no images (looked for {', '.join(sorted(IMAGE_SUFFIXES))}, "
            "in subfolders too)"
        )
    name = dataset_name(directory)
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
    else:
        dataset = fo.Dataset(name, persistent=True)
        dataset.info["images"] = str(directory)
        dataset.save()
    known = set(dataset.values("filepath"))
    dataset.add_samples(
        [fo.Sample(filepath=path) for path in paths if path not in known], progress=False
    )
    return dataset


def dataset_name(directory: Path) -> str:
    """The name of a folder's dataset: its last part, and a mark of where it is."""
    mark = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
    return f"{directory.name or 'images'}-{mark}"


def attach_prompts(
    dataset: fo.Dataset,
    annotations: AnnotationFile,
    *,
    label_field: str,
    missing_in: str | Path | None = None,
    overwrite: bool = False,
) -> AttachedPrompts:
    """Put an annotation file's prompts on the samples of the images that it names.

    An image is the file's when its path ends in the file's name for it, or the other way round; so
    names with and without folders both fit. An image of
    another size than the file says gets no prompts: they would lie elsewhere.

    Args:
        dataset: the dataset that has the images.
        annotations: what `read_annotations` gave.
        label_field: the field that will hold the answers; prompts go to `<label_field>_boxes` or
            `<label_field>_points`.
        missing_in: a folder; an image that is not there becomes a sample all the same, under its
            path in this folder, whose labelling fails with the reason. None makes no samples.
        overwrite: whether prompts may change whose answers are there; they will be asked again.

    Raises:
        ValueError: prompts that an earlier run answered would change. None is changed then.
    """
    field = f"{label_field}_{'boxes' if annotations.source == 'box' else 'points'}"
    by_image: dict[Id, list[AnnotatedPrompt]] = defaultdict(list)
    errors: dict[Id, str] = {}
    for prompt in annotations.prompts:
        if prompt.error is None:
            by_image[prompt.image_id].append(prompt)
        else:
            errors[prompt.id] = prompt.error
    asked = {prompt.image_id for prompt in annotations.prompts}
    images = {image.id: image for image in annotations.images if image.id in asked}

    finder = PathFinder(dataset.values("filepath"), missing_in)
    paths: dict[Id, str] = {}
    missing: list[str] = []
    for image_id, image in images.items():
        found = finder.find(image.file_name)
        there = [path for path in found if Path(path).exists()]
        if len(there) == 1:
            paths[image_id] = there[0]
            continue
        reason = f"{len(there)} images are called {image.file_name}"
        if not there:
            reason = f"there is no image {image.file_name}"
            missing.append(image.file_name)
            if found:
                paths[image_id] = found[0]
            elif missing_in is not None:
                paths[image_id] = _inside(Path(missing_in).expanduser().resolve(), image.file_name)
        for prompt in by_image[image_id]:
            errors[prompt.id] = reason
    new = set(paths.values()) - set(finder.paths)
    dataset.add_samples([fo.Sample(filepath=path) for path in sorted(new)], progress=False)
    view = dataset.match(fo.ViewField("filepath").is_in(sorted(set(paths.values()))))
    sizes = measure(view)
    ids = dict(zip(*view.values(["filepath", "id"]), strict=True))
    samples: dict[Id, str] = {}
    labels: dict[Id, str] = {}
    values: dict[str, list[fo.Label]] = defaultdict(list)
    for image_id, path in paths.items():
        sample_id = samples[image_id] = ids[path]
        said = images[image_id].size
        size = sizes[sample_id]
        height, width = size or said or (1, 1)
        if size is not None and said is not None and said != size:
            reason = (
                f"{images[image_id].file_name} is {width} x {height}, "
                f"{annotations.path.name} says {said[1]} x {said[0]}"
                + (_EXCHANGED if said == size[::-1] else "")
            )
            errors.update({prompt.id: reason for prompt in by_image[image_id]})
            continue
        made = [_label(prompt, width, height) for prompt in by_image[image_id]]
        values[sample_id] += made
        labels.update({p.id: label.id for p, label in zip(by_image[image_id], made, strict=True)})
    _store(dataset, field, None if overwrite else label_field, samples.values(), values)
    return AttachedPrompts(annotations, field, samples, labels, errors, tuple(missing))


def _inside(root: Path, file_name: str) -> str:
    path = Path(os.path.normpath(root / file_name))
    return str(path if path.is_relative_to(root) else root / PurePosixPath(file_name).name)


def _label(prompt: AnnotatedPrompt, width: int, height: int) -> fo.Label:
    """The prompt as a label whose id follows from it, so that the same file gives the same ids."""
    asked = f"{prompt.id!r} {prompt.box} {prompt.point} {width} {height}"
    label_id = hashlib.sha256(asked.encode()).hexdigest()[:24]
    annotation_id = str(prompt.id)
    if prompt.box is not None:
        x1, y1, x2, y2 = prompt.box
        box = [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]
        return fo.Detection(id=label_id, bounding_box=box, annotation_id=annotation_id)
    assert prompt.point is not None
    point = (prompt.point[0] / width, prompt.point[1] / height)
    return fo.Keypoint(id=label_id, points=[point], annotation_id=annotation_id)


def _store(
    dataset: fo.Dataset,
    field: str,
    answers: str | None,
    sample_ids: Iterable[str],
    values: Mapping[str, list[fo.Label]],
) -> None:
    """Write the prompts of samples where they differ from those there.

    Raises:
        ValueError: some that would change were answered in the field `answers`.
    """
    kind = fo.Detections if field.endswith("_boxes") else fo.Keypoints
    slot = "detections" if kind is fo.Detections else "keypoints"
    if not dataset.has_sample_field(field):
        dataset.add_sample_field(
            field,
            fo.EmbeddedDocumentField,
            embedded_doc_type=kind,
            description="What an annotation file asks: places only, no classes and no masks",
        )
        dataset.add_sample_field(
            f"{field}.{slot}.annotation_id",
            fo.StringField,
            description="The id of the annotation that asks",
        )
    ids = list(dict.fromkeys(sample_ids))
    stored = dict(zip(*dataset.select(ids).values(["id", f"{field}.{slot}.id"]), strict=True))
    changed = {
        sample_id: kind(**{slot: values.get(sample_id, [])})
        for sample_id in ids
        if stored[sample_id] != [label.id for label in values.get(sample_id, [])]
    }
    if not changed:
        return
    recorded = recorded_settings(dataset, answers) if answers is not None else None
    if recorded is not None and field in recorded.get("prompt_fields", {}).values():
        answered = len(dataset.select(list(changed)).exists(answers))
        if answered:
            raise ValueError(
                f"field {answers!r} holds answers of {answered} images to other prompts than the "
                "annotation file's; use overwrite=True or another field"
            )
    dataset.set_values(field, changed, key_field="id")
