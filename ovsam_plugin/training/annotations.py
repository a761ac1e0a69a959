"""COCO and LVIS annotation files as training takes them: pycocotools' own object."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from ovsam_plugin.annotations import Annotation, AnnotationFile, read_annotation_file
from ovsam_plugin.annotations.masks import Size, mask_of, plain_segmentation
from ovsam_plugin.annotations.photographs import canonical_name, find_photograph, written_name
from ovsam_plugin.images.rle import encode_crop
from ovsam_plugin.vocabulary.names import name_key
from ovsam_plugin.vocabulary.vocabulary import Vocabulary


def load_annotations(path: str | Path) -> COCO:
    """A COCO or LVIS annotation file whose every record can be used.

    Records keep what else they hold. Annotations without a mask, a class or an image are left out,
    which a warning tells.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `read_annotation_file`; or nothing is left.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no annotation file at {path}")
    file = read_annotation_file(path)
    sizes, ids = _sizes(file), _class_ids(file)
    problems = list(file.notes)
    problems += [f"image {i.id} has no width and height" for i in file.images if i.id not in sizes]
    annotations = []
    for annotation in file.annotations:
        try:
            annotations.append(_record(annotation, sizes, ids))
        except ValueError as error:
            problems.append(f"annotation {annotation.id}: {error}")
    if not annotations:
        why = problems[0] if problems else "it has none"
        raise ValueError(f"no annotation of {path} can be trained on: {why}")
    if problems:
        warnings.warn(
            f"{path}: {len(problems)} of its records are left out, such as {problems[0]}",
            stacklevel=2,
        )
    coco = COCO()
    coco.dataset = {
        **file.content,
        "images": [
            {**image.record, "id": image.id, "file_name": image.file_name,
             "height": sizes[image.id][0], "width": sizes[image.id][1]}
            for image in file.images if image.id in sizes
        ],
        "annotations": annotations,
        "categories": [
            {**category.record, "id": i, "name": category.name}
            for i, category in zip(ids, file.categories)
        ],
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _class_ids(file: AnnotationFile) -> list[int]:
    """An id for every class: the file's own where those are distinct integers."""
    ids = [category.id for category in file.categories]
    own = [i for i in ids if isinstance(i, int)]
    return own if len(set(own)) == len(ids) else list(range(len(ids)))


def _sizes(file: AnnotationFile) -> dict[Any, Size]:
    """(height, width) by image id, from run lengths where the image does not say."""
    sizes = {image.id: image.size for image in file.images if image.size is not None}
    for annotation in file.annotations:
        image_id = annotation.image_id
        if annotation.error is None and image_id is not None and image_id not in sizes:
            with contextlib.suppress(ValueError):
                plain = plain_segmentation(annotation.record.get("segmentation"))
                if isinstance(plain, Mapping):
                    sizes[image_id] = (plain["size"][0], plain["size"][1])
    return sizes


def _record(
    annotation: Annotation, sizes: Mapping[Any, Size], class_ids: Sequence[int]
) -> dict[str, Any]:
    """An annotation as pycocotools takes it.

    Raises:
        ValueError: it cannot be used.
    """
    error = annotation.error or annotation.class_error
    if error is not None or annotation.category is None:
        raise ValueError(error)
    if annotation.image_id not in sizes:
        raise ValueError("its image has no width and height")
    segmentation, area = _segmentation(annotation, sizes[annotation.image_id])
    return {
        **annotation.record,
        "id": annotation.id,
        "image_id": annotation.image_id,
        "category_id": class_ids[annotation.category],
        "segmentation": segmentation,
        "area": area,
        "iscrowd": int(annotation.crowd),
    }


def _segmentation(annotation: Annotation, size: Size) -> tuple[Any, float]:
    """Polygons as they are, all else as run lengths that add up; and the area.

    Raises:
        ValueError: there is no mask.
    """
    written, area = annotation.record.get("segmentation"), annotation.area
    if area is not None and _are_polygons(written):
        polygons = [polygon for polygon in plain_segmentation(written) if len(polygon) >= 6]
        if polygons:
            return polygons, area
    mask = mask_of(written, size)
    found = float(mask.sum())
    return encode_crop(mask, (0, 0), size), found if area is None else area


def _are_polygons(segmentation: object) -> bool:
    if not isinstance(segmentation, list) or not segmentation:
        return False
    return not any(isinstance(part, Mapping) for part in segmentation)


def file_of(record: Mapping[str, Any]) -> str:
    """The file that an image record names; LVIS has an address in place of a name.

    Raises:
        ValueError: it names none.
    """
    name = written_name(record)
    if name is None:
        raise ValueError(f'image {record.get("id")!r} has neither a "file_name" nor a "coco_url"')
    return name


def find_image(folder: Path, name: str) -> Path | None:
    """The photograph in a folder, with or without the folders of its name."""
    return find_photograph(Path(folder), name)


def not_of_split(coco: COCO, vocabulary: Vocabulary, split: str) -> frozenset[int]:
    """The category ids that a vocabulary does not place in a split."""
    names = {name_key(c.name) for c in vocabulary.categories if c.split == split}
    return frozenset(i for i, c in coco.cats.items() if name_key(c["name"]) not in names)


def is_validation(name: str, share: float = 0.15, salt: str = "") -> bool:
    """Whether a photograph is kept back, decided by its canonical name alone.

    Args:
        name: the photograph's, with or without folders, or its address.
        share: of photographs that are kept back.
        salt: makes another choice of photographs.
    """
    return is_in_share(name, share, salt)


def is_in_share(name: str, share: float, salt: str) -> bool:
    """Whether a photograph is among a share of all there are, decided by its canonical name alone;
    those of a smaller share are among those of a larger one.

    Args:
        name: the photograph's, with or without folders, or its address.
        share: 0..1.
        salt: makes another choice of photographs.
    """
    digest = hashlib.sha256((salt + canonical_name(name)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < share
