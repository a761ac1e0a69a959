"""A folder of images as a dataset, and an annotation file's prompts as labels on its samples."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.media as fom

from ovsam_plugin.annotations import AnnotatedImage, Id
from ovsam_plugin.annotations.photographs import (
    IMAGE_SUFFIXES,
    PathFinder,
    image_paths,
    is_there,
    name_parts,
    named_files,
)
from ovsam_plugin.annotations.values import printable
from ovsam_plugin.dataset.annotations import AnnotationPrompts, Place
from ovsam_plugin.dataset.database import IDS_A_QUERY, in_parts
from ovsam_plugin.dataset.image_folder import kept_folder
from ovsam_plugin.dataset.provenance import attributes_of
from ovsam_plugin.dataset.sizes import measure, other_size
from ovsam_plugin.dataset.stored_prompts import ReplacedPrompts, store_prompts
from ovsam_plugin.dataset.targets import Samples, all_images
from ovsam_plugin.dataset.workers import Worker

logger = logging.getLogger(__name__)

_SHOWN = 5


@dataclass(frozen=True)
class AttachedPrompts:
    """An annotation file whose prompts lie on a dataset's samples.

    Prompts go by their places in `file.prompts`, since a file may give an id twice.

    Attributes:
        file: the annotation file.
        field: the sample field that holds the prompts: `Detections` for boxes, `Keypoints` for
            points, each with its `annotation_id` and what the file says of its provenance, and
            with no class and no mask.
        samples: sample id by image id, for images that have a sample.
        labels: label id by prompt, for prompts that lie on a sample.
        errors: by prompt, why it does not lie on a sample.
        missing: file names of prompted images that are not there.
        replaced: prompts that were there before and had been answered, if there were any.
    """

    file: AnnotationPrompts
    field: str
    samples: Mapping[Id, str]
    labels: Mapping[int, str]
    errors: Mapping[int, str]
    missing: tuple[str, ...]
    replaced: ReplacedPrompts | None = None

    def put_back(self, dataset: fo.Dataset) -> None:
        """Puts the prompts back that these replaced, where nothing has been answered since: a
        labelling that was refused leaves the dataset as it was."""
        if self.replaced is not None:
            self.replaced.put_back(dataset)

    def view(self, dataset: fo.Dataset) -> Samples:
        """The samples that are asked about, in the file's order of images.

        Where they are more than a query holds, those that have prompts, in the dataset's order.
        """
        asked = {prompt.image_id for prompt in self.file.prompts} & self.samples.keys()
        ids = dict.fromkeys(self.samples[i.id] for i in self.file.images if i.id in asked)
        if len(ids) > IDS_A_QUERY:
            return all_images(dataset).exists(self.field)
        return all_images(dataset).select(list(ids), ordered=True)


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
    refused = [reason for path in paths if (reason := why_not(path)) is not None]
    if len(refused) == len(paths):
        raise ValueError(f"no image in {printable(str(directory))} can be used: {refused[0]}")
    if refused:
        logger.warning("left out of %d images: %s", len(paths), "; ".join(refused[:_SHOWN]))
    name = dataset_name(directory)
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
    else:
        dataset = fo.Dataset(name, persistent=True)
        dataset.info["images"] = str(directory)
        dataset.save()
    # One call at a time: two would both add what is new.
    with Worker(dataset, "filepath") as worker, worker.lease("images"):
        known = set(dataset.values("filepath"))
        new = [path for path in paths if path not in known and why_not(path) is None]
        dataset.add_samples([fo.Sample(filepath=path) for path in new], progress=False)
    return dataset


def dataset_name(directory: Path) -> str:
    """The name of a folder's dataset: its last part, and a mark of where it is."""
    mark = hashlib.sha256(os.fsencode(directory)).hexdigest()[:8]
    return f"{printable(directory.name) or 'images'}-{mark}"


def attach_prompts(
    dataset: fo.Dataset,
    annotations: AnnotationPrompts,
    *,
    label_field: str,
    missing_in: str | Path | None = None,
    overwrite: bool = False,
) -> AttachedPrompts:
    """Put an annotation file's prompts on the samples of the images that it names.

    What a file of ours says of an annotation (its provenance, scores and decision) is attached
    too; nothing of it reaches the model.

    See `PathFinder` for which image is the file's. An image of another size than the file says
    gets no prompts: they would lie elsewhere.

    Args:
        dataset: the dataset that has the images.
        annotations: what `read_annotations` gave.
        label_field: the field that will hold the answers; prompts go to `<label_field>_boxes` or
            `<label_field>_points`.
        missing_in: a folder; an image that is not there becomes a sample all the same, under its
            path in this folder, whose labelling fails with the reason. None makes no samples.
        overwrite: whether prompts may change whose answers are there; they will be asked again.

    Raises:
        ValueError: prompts that an earlier run answered would change, or labels that no annotation
            file gave. None is changed then.
    """
    field = f"{label_field}_{'boxes' if annotations.source == 'box' else 'points'}"
    by_image: dict[Id, list[int]] = defaultdict(list)
    errors: dict[int, str] = {}
    for number, prompt in enumerate(annotations.prompts):
        if prompt.error is not None or prompt.image_id is None:
            errors[number] = prompt.error or "it is on no image"
        else:
            by_image[prompt.image_id].append(number)
    images = {image.id: image for image in annotations.images if image.id in by_image}
    found = _find(dataset, images.values(), missing_in)
    for image_id, reason in found.reasons.items():
        errors.update(dict.fromkeys(by_image[image_id], reason))
    wanted = set(found.paths.values())
    new = sorted(wanted - found.known.keys())
    added = dataset.add_samples([fo.Sample(filepath=path) for path in new], progress=False)
    ids = {path: found.known[path] for path in wanted & found.known.keys()} | dict(zip(new, added))
    sizes: dict[str, tuple[int, int] | None] = {}
    for part in in_parts(ids.values()):
        sizes |= measure(all_images(dataset).select(part))
    samples: dict[Id, str] = {}
    labels: dict[int, str] = {}
    values: dict[str, list[fo.Label]] = defaultdict(list)
    repeats: Counter[tuple[Id, Place]] = Counter()
    untold: list[str] = []
    for image_id, path in found.paths.items():
        sample_id = samples[image_id] = ids[path]
        said = images[image_id].size
        size = sizes[sample_id]
        height, width = size or said or (1, 1)
        elsewhere = None if size is None else other_size(images[image_id], size, annotations.path)
        if elsewhere is not None:
            errors.update(dict.fromkeys(by_image[image_id], elsewhere))
            continue
        for number in by_image[image_id]:
            prompt = annotations.prompts[number]
            try:
                place = annotations.place(prompt, (height, width))
            except ValueError as error:
                errors.setdefault(number, str(error))
                continue
            label = _label(prompt.id, place, width, height, again=repeats[prompt.id, place])
            try:
                _tell(label, attributes_of(prompt.record))
            except ValueError as error:
                untold.append(f"annotation {prompt.id}: {error}")
            repeats[prompt.id, place] += 1
            values[sample_id].append(label)
            labels[number] = label.id
    if untold:
        shown = "; ".join(untold[:_SHOWN])
        logger.warning("%d annotations are used without their provenance: %s", len(untold), shown)
    replaced = store_prompts(dataset, field, label_field, samples.values(), values, overwrite)
    return AttachedPrompts(annotations, field, samples, labels, errors, found.missing, replaced)


@dataclass(frozen=True)
class _Found:
    """The ids of samples by their paths; paths by image id; why an image has none, or none that is
    there; and what is not there."""

    known: Mapping[str, str]
    paths: Mapping[Id, str]
    reasons: Mapping[Id, str]
    missing: tuple[str, ...]


def _find(
    dataset: fo.Dataset, images: Collection[AnnotatedImage], missing_in: str | Path | None
) -> _Found:
    known = dict(zip(*all_images(dataset).values(["filepath", "id"]), strict=True))
    # Files that FiftyOne cannot hold are looked through too: what they lack can then be said.
    names = [image.file_name for image in images]
    there = [] if missing_in is None else _files_in(missing_in, names)
    candidates = dict.fromkeys((*known, *there))
    # The folder of other datasets is not known, and of two namesakes there none is guessed.
    root = kept_folder(dataset) if missing_in is None else missing_in
    asked = fits = PathFinder(tuple(candidates), root).find(names)
    # The sample of an image that was not there must not hide one that is.
    while gone := {path for found in fits.values() for path in found if not is_there(path)}:
        candidates = dict.fromkeys(path for path in candidates if path not in gone)
        fits = PathFinder(tuple(candidates), root).find(names)
    paths: dict[Id, str] = {}
    reasons: dict[Id, str] = {}
    missing: list[str] = []
    for image in images:
        found = fits[image.file_name]
        refusal = why_not(found[0]) if len(found) == 1 else None
        if refusal is not None:
            reasons[image.id] = refusal
        elif len(found) == 1:
            paths[image.id] = found[0]
        elif found:
            reasons[image.id] = f"{len(found)} images are called {image.file_name}"
        else:
            reasons[image.id] = f"there is no image {image.file_name}"
            missing.append(image.file_name)
            absent = asked[image.file_name][:1] or _path_in(missing_in, image.file_name)
            if absent and why_not(absent[0]) is None:
                paths[image.id] = absent[0]
    return _Found(known, paths, reasons, tuple(missing))


def _files_in(folder: str | Path, names: Sequence[str]) -> list[str]:
    folder = Path(folder).expanduser().resolve()
    return [*image_paths(folder), *named_files(folder, names)]


def _path_in(folder: str | Path | None, file_name: str) -> tuple[str, ...]:
    """Where an image that is not there would be."""
    if folder is None:
        return ()
    return (str(Path(folder).expanduser().resolve().joinpath(*name_parts(file_name))),)


def why_not(path: str) -> str | None:
    """Why a file cannot be a sample of a dataset of images, or None where it can."""
    name = printable(Path(path).name)
    if printable(path) != path:
        return f"the name of {name} is not in UTF-8, which FiftyOne's database needs: rename it"
    if fom.get_media_type(path) != fom.IMAGE:
        return f"{name} does not end as FiftyOne expects of an image, such as in .jpg: rename it"
    return None


def _label(annotation_id: Id, place: Place, width: int, height: int, *, again: int) -> fo.Label:
    """The prompt as a label whose id follows from it, so that the same file gives the same ids.

    What a file has twice, to the letter, has two ids: `again` counts.
    """
    box, point = (place, None) if len(place) == 4 else (None, place)
    asked = f"{annotation_id!r} {box} {point} {width} {height}" + " again" * again
    label_id = hashlib.sha256(asked.encode(errors="backslashreplace")).hexdigest()[:24]
    if len(place) == 4:
        x1, y1, x2, y2 = place
        relative = [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]
        return fo.Detection(id=label_id, bounding_box=relative, annotation_id=str(annotation_id))
    x, y = place
    return fo.Keypoint(
        id=label_id,
        points=[(x / width, y / height)],
        annotation_id=str(annotation_id),
    )


def _tell(label: fo.Label, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        # A keypoint's confidence is a list, a number a point.
        listed = name == "confidence" and isinstance(label, fo.Keypoint)
        label[name] = [value] if listed else value
