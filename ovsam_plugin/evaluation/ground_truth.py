"""COCO and LVIS annotation files as the truth that answers are held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ovsam_plugin.dataset.annotations import (
    AnnotatedImage,
    Id,
    box_corners,
    checked_id,
    image_record,
    load_json,
    records_of,
    reject_duplicates,
)
from ovsam_plugin.mask_crop import MaskCrop
from ovsam_plugin.vocabulary.names import clean_name
from ovsam_plugin.vocabulary.tables import texts
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary


@dataclass(frozen=True, eq=False)
class Truth:
    """One annotation.

    Attributes:
        id: the annotation's id.
        category: its class, a place in `GroundTruth.categories`.
        crowd: whether it is a crowd, which is never asked about and costs no detection.
        record: the annotation as written.
    """

    id: Id
    category: int
    crowd: bool
    record: Mapping[str, Any]

    def mask(self, image_size: tuple[int, int]) -> MaskCrop:
        """Its mask on an image of (height, width).

        Raises:
            ValueError: the segmentation is missing, broken, empty, or of another size.
        """
        crop = MaskCrop.of_segmentation(self.record.get("segmentation"), image_size)
        if not crop.area:
            raise ValueError("the segmentation has no pixel")
        return crop

    @property
    def box(self) -> tuple[float, float, float, float]:
        """xyxy in pixels, as written.

        Raises:
            ValueError: it is missing or broken.
        """
        return box_corners(self.record.get("bbox"))


@dataclass(frozen=True, eq=False)
class FederatedLists:
    """What LVIS says of an image beside its annotations, as places in `categories`.

    Attributes:
        negative: classes that were looked for and are not there.
        not_exhaustive: classes of which not every instance is annotated.
    """

    negative: tuple[int, ...]
    not_exhaustive: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """One annotation file.

    Attributes:
        path: where it was read.
        images: all images, with or without annotations.
        truths: by image id, in the file's order.
        categories: the file's classes under their own names, with its synonyms and frequencies.
        category_ids: the file's own id of each.
        federated: by image id; None where the file is not LVIS's.
    """

    path: Path
    images: tuple[AnnotatedImage, ...]
    truths: Mapping[Id, Sequence[Truth]]
    categories: Vocabulary
    category_ids: tuple[Id, ...]
    federated: Mapping[Id, FederatedLists] | None


def read_ground_truth(path: str | Path) -> GroundTruth:
    """Read a COCO or LVIS annotation file, masks still as written.

    Raises:
        ValueError: there is no such file, it is not JSON, not an annotation file, has no classes,
            or annotates an image or a class that it does not list.
    """
    path = Path(path).expanduser()
    content = load_json(path)
    records = records_of(content, "images", path)
    images = tuple(image_record(record, i, path) for i, record in enumerate(records))
    reject_duplicates([image.id for image in images], "images", path)
    known = {image.id for image in images}
    category_records = records_of(content, "categories", path)
    if not category_records:
        raise ValueError(
            f'"categories" of {path} is empty: without names of classes no answer can be right; '
            "take the annotation file of a data set with classes"
        )
    ids = tuple(checked_id(r.get("id"), f"categories[{i}]", path)
                for i, r in enumerate(category_records))  # fmt: skip
    reject_duplicates(ids, "categories", path)
    place = {category_id: i for i, category_id in enumerate(ids)}
    truths: dict[Id, list[Truth]] = defaultdict(list)
    annotations = records_of(content, "annotations", path)
    for i, record in enumerate(annotations):
        what = f"annotations[{i}] of {path}"
        if record.get("image_id") not in known:
            raise ValueError(f"{what} is on image {record.get('image_id')!r}, which is not listed")
        if record.get("category_id") not in place:
            raise ValueError(
                f"{what} is of class {record.get('category_id')!r}, which is not listed in its "
                '"categories": the file is cut short or put together from two'
            )
        truth = Truth(
            id=checked_id(record.get("id"), f"annotations[{i}]", path),
            category=place[record["category_id"]],
            crowd=bool(record.get("iscrowd")),
            record=record,
        )
        truths[record["image_id"]].append(truth)
    reject_duplicates([t.id for of_image in truths.values() for t in of_image], "annotations", path)
    federated = None
    if records and all("neg_category_ids" in record for record in records):
        federated = {image.id: _federated(r, place) for image, r in zip(images, records)}
    categories = tuple(_category(record, i, path) for i, record in enumerate(category_records))
    return GroundTruth(path, images, truths, Vocabulary(path.name, categories), ids, federated)


def _category(record: Mapping[str, Any], index: int, path: Path) -> Category:
    where = f"categories[{index}] of {path}"
    name = clean_name(record.get("name"), where)
    synonyms = record.get("synonyms") or ()
    if not isinstance(synonyms, list | tuple) or not all(isinstance(s, str) for s in synonyms):
        raise ValueError(f'{where}: "synonyms" is {synonyms!r:.60}, need a list of texts')
    frequency = record.get("frequency")
    if frequency not in ("f", "c", "r"):
        frequency = None
    return Category(name, texts(name, synonyms), frequency=cast(Any, frequency))


def _federated(record: Mapping[str, Any], place: Mapping[Id, int]) -> FederatedLists:
    lists = (record.get(key) or () for key in ("neg_category_ids", "not_exhaustive_category_ids"))
    return FederatedLists(*(tuple(place[i] for i in ids if i in place) for ids in lists))
