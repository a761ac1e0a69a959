"""What clean ground truth is written as: a COCO or LVIS file, or a FiftyOne dataset on disk.

Instances go to disk as they come, so that memory does not grow with them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import fiftyone as fo

from ovsam_plugin.curation.attributes import DECISION
from ovsam_plugin.dataset.provenance import KEY, Provenance, scores_of
from ovsam_plugin.dataset.record_spool import RecordSpool
from ovsam_plugin.dataset.sizes import size_of, sized
from ovsam_plugin.files import whole_file
from ovsam_plugin.images.mask_crop import MaskCrop
from ovsam_plugin.vocabulary.names import name_key
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

GROUND_TRUTH = "ground_truth"
"""The label field of an exported FiftyOne dataset."""

_DECISIONS = tuple(a.name for a in DECISION)
# LVIS's groups, by the number of images that a class is in (Gupta et al. 2019, section 3.1).
_RARE, _COMMON = 10, 100


@dataclass(frozen=True)
class CleanInstance:
    """An instance to be written; its mask on the image, where the file wants one."""

    label: fo.Detection
    crop: MaskCrop | None


@dataclass(frozen=True)
class _Image:
    """What is kept of an image: its path, (height, width), and the names of instances that it has
    and the file has not."""

    filepath: str
    size: tuple[int, int]
    absent: Sequence[str]


class JsonFile:
    """A COCO or LVIS annotation file.

    Args:
        path: the file.
        folder: which the names of photographs are relative to.
        vocabulary: where ids, synonyms and frequencies come from, if there is one.
        provenance: of the labels.
        lvis: whether to write what LVIS has and COCO has not.
    """

    needs_masks = True

    def __init__(
        self,
        path: Path,
        folder: Path,
        vocabulary: Vocabulary | None,
        provenance: Provenance,
        *,
        lvis: bool,
    ) -> None:
        self._path, self._folder, self._vocabulary, self._lvis = path, folder, vocabulary, lvis
        self._provenance = provenance
        self._images: list[_Image] = []
        self._annotations = RecordSpool()

    def add(
        self,
        sample: fo.Sample,
        size: tuple[int, int] | None,
        instances: Sequence[CleanInstance],
        absent: Sequence[str],
    ) -> None:
        """An image with what is to be written, and the names of what is not.

        Args:
            sample: the image.
            size: its (height, width).
            instances: with their masks.
            absent: names of other instances of the image.
        """
        assert size is not None
        for instance in instances:
            assert instance.crop is not None
            x1, y1, x2, y2 = instance.crop.box
            annotation = {
                "segmentation": instance.crop.rle(size),
                "area": instance.crop.area,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "iscrowd": 0,
                **scores_of(instance.label),
                KEY: self._provenance.facts(instance.label),
            }
            self._annotations.append((len(self._images), instance.label.label, annotation))
        self._images.append(_Image(sample.filepath, size, absent))

    def write(self) -> None:
        """All of it, into its place."""
        names: set[str] = set()
        images_of: dict[str, set[int]] = {}
        instances: Counter[str] = Counter()
        for image, name, _ in self._annotations:
            names.add(name)
            images_of.setdefault(self._key_of(name), set()).add(image)
            instances[self._key_of(name)] += 1
        classes = {self._key_of(name): name for name in sorted(names)}
        categories = _categories(classes, self._vocabulary)
        ids = {name_key(category.name): category.id or 0 for category in categories}
        now = datetime.now(timezone.utc)
        with whole_file(self._path) as file:
            content = {
                "info": {
                    "description": "reviewed instances",
                    "year": now.year,
                    "date_created": now.isoformat(timespec="seconds"),
                },
                "licenses": [],
                "images": self._image_records(ids),
                "annotations": self._annotation_records(ids),
                "categories": (
                    self._category_record(c, len(images_of.get(k, ())), instances[k])
                    for c, k in ((c, name_key(c.name)) for c in categories)
                ),
            }
            _write_object(content, file)

    def close(self) -> None:
        """Forgets what was not written."""
        self._annotations.close()

    def _key_of(self, name: str) -> str:
        """Of its class: a synonym's is that of the class."""
        if self._vocabulary is None:
            return name_key(name)
        found = self._vocabulary.find(name)
        return name_key(name if found is None else self._vocabulary.names[found])

    def _image_records(self, ids: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        for number, image in enumerate(self._images, start=1):
            name = Path(image.filepath).relative_to(self._folder).as_posix()
            height, width = image.size
            record = {"id": number, "file_name": name, "width": width, "height": height}
            if self._lvis:
                unsure = {ids[key] for key in map(self._key_of, image.absent) if key in ids}
                record |= {
                    "coco_url": name,
                    "neg_category_ids": [],
                    "not_exhaustive_category_ids": sorted(unsure),
                }
            yield record

    def _annotation_records(self, ids: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        for number, (image, name, annotation) in enumerate(self._annotations, start=1):
            category = ids[self._key_of(name)]
            yield {"id": number, "image_id": image + 1, "category_id": category, **annotation}

    def _category_record(self, category: Category, images: int, instances: int) -> dict[str, Any]:
        record: dict[str, Any] = {"id": category.id, "name": category.name, "supercategory": ""}
        if self._lvis:
            record |= {
                "synonyms": list(category.synonyms),
                "synset": category.name,
                "def": "",
                "frequency": category.frequency or _frequency(images),
                "image_count": images,
                "instance_count": instances,
            }
        return record


class FiftyOneFolder:
    """A `fo.types.FiftyOneDataset`; images stay where they are.

    Args:
        path: the folder.
    """

    needs_masks = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = fo.Dataset()

    def add(
        self,
        sample: fo.Sample,
        size: tuple[int, int] | None,
        instances: Sequence[CleanInstance],
        absent: Sequence[str],
    ) -> None:
        """As `JsonFile.add`; masks and sizes are not needed."""
        metadata, size = sample.metadata, size_of(sample)
        if metadata is not None and size is not None:
            metadata = sized(metadata, size)
        made = fo.Sample(filepath=sample.filepath, tags=list(sample.tags), metadata=metadata)
        labels = [_ground_truth(instance.label) for instance in instances]
        made[GROUND_TRUTH] = fo.Detections(detections=labels)
        self._made.add_sample(made, dynamic=True)

    def write(self) -> None:
        """All of it, into its place; what else lies in the folder, such as photographs, stays."""
        self._path.mkdir(parents=True, exist_ok=True)
        # FiftyOne deletes the folder that it exports into, before it is sure of the new one.
        with TemporaryDirectory(prefix=".", suffix=".part", dir=self._path) as draft:
            self._made.export(
                export_dir=draft,
                dataset_type=fo.types.FiftyOneDataset,
                export_media=False,
                overwrite=True,
                progress=False,
            )
            for file in Path(draft).iterdir():
                file.replace(self._path / file.name)

    def close(self) -> None:
        """Forgets what was not written."""
        self._made.delete()


def _write_object(content: Mapping[str, Any], file: TextIO) -> None:
    """A JSON object whose iterators are written as lists, an element a line."""
    separator = "{"
    for key, value in content.items():
        file.write(f"{separator}{json.dumps(key)}: ")
        separator = ",\n"
        if isinstance(value, Iterator):
            _write_list(value, file)
        else:
            file.write(json.dumps(value, ensure_ascii=False))
    file.write("}\n")


def _write_list(elements: Iterator[Any], file: TextIO) -> None:
    separator = "["
    for element in elements:
        file.write(separator + json.dumps(element, ensure_ascii=False, allow_nan=False))
        separator = ",\n"
    file.write("[]" if separator == "[" else "]")


def _categories(names: Mapping[str, str], vocabulary: Vocabulary | None) -> list[Category]:
    """The classes of the export with an id each, in the ids' order.

    A vocabulary with numbers gives all its classes, and those of its classes that have none, or
    another's, follow the largest; then come the names that it lacks. Without numbers, the names
    that occur are numbered from 1.

    Args:
        names: of the classes that occur, by their keys.
        vocabulary: where there is one.
    """
    known = {name_key(c.name): c for c in vocabulary.categories} if vocabulary is not None else {}
    numbered: dict[int, str] = {}
    for key, category in known.items():
        if category.id is not None:
            numbered.setdefault(category.id, key)
    found = {key: known[key] for key in numbered.values()}
    following = count(max(numbered, default=0) + 1)
    for key in (*(known if numbered else ()), *names):
        if key not in found:
            found[key] = replace(known.get(key) or Category(names[key]), id=next(following))
    return sorted(found.values(), key=lambda category: category.id or 0)


def _frequency(images: int) -> str:
    return "r" if images <= _RARE else "c" if images <= _COMMON else "f"


def _ground_truth(label: fo.Detection) -> fo.Detection:
    decided = {name: label.get_attribute_value(name, None) for name in _DECISIONS}
    return fo.Detection(
        label=label.label,
        bounding_box=list(label.bounding_box),
        mask=label.get_mask(),
        **{name: value for name, value in decided.items() if value is not None},
    )
