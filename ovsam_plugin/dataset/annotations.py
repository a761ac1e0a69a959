"""COCO and LVIS annotation files as prompts: where to look, and nothing of what is there.

A file's masks and classes are read for two ends only: to find the point deepest inside a mask, and
to give predictions the file's own category ids when they are written. Neither reaches the model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlparse

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ovsam_plugin.rle import decode_segmentation

PromptSource: TypeAlias = Literal["box", "center-point"]
Id: TypeAlias = int | str


@dataclass(frozen=True)
class AnnotatedImage:
    """One image record.

    Attributes:
        id: the file's own id.
        file_name: path with forward slashes, as written, or the last part of `coco_url` where the
            file gives no name (LVIS).
        size: (height, width) in pixels, or None where the file does not say.
    """

    id: Id
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class AnnotatedPrompt:
    """What one annotation asks.

    Attributes:
        id: the annotation's id.
        image_id: its image's id.
        box: (x1, y1, x2, y2) pixels, as written, right or wrong; None for a point.
        point: (x, y) pixels; None for a box.
        error: why there is nothing to ask; box and point are then None.
    """

    id: Id
    image_id: Id
    box: tuple[float, float, float, float] | None = None
    point: tuple[float, float] | None = None
    error: str | None = None


@dataclass(frozen=True)
class AnnotatedCategory:
    """A class of the file: its id, its name, and other names that it lists (LVIS)."""

    id: Id
    name: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnnotationFile:
    """Images, prompts and categories of one file, each in the file's order.

    Attributes:
        path: where it was read.
        source: what each annotation was turned into.
        images: all images, with or without annotations.
        prompts: one an annotation, crowds left out.
        categories: may be empty.
        crowds: how many annotations were left out for being crowds.
    """

    path: Path
    source: PromptSource
    images: tuple[AnnotatedImage, ...]
    prompts: tuple[AnnotatedPrompt, ...]
    categories: tuple[AnnotatedCategory, ...]
    crowds: int


def read_annotations(path: str | Path, source: PromptSource) -> AnnotationFile:
    """Read a COCO or LVIS annotation file as one prompt an annotation.

    An annotation that cannot be asked (no box, a broken segmentation, an unknown image) stays in
    the list with its `error`, so that answers can be counted against the file.

    Args:
        path: the JSON file.
        source: "box" asks with each annotation's `bbox`; "center-point" with the pixel deepest
            inside its mask.

    Raises:
        ValueError: there is no such file, it is not JSON, or not an annotation file.
    """
    path = Path(path).expanduser()
    content = load_json(path)
    images = tuple(
        image_record(record, index, path)
        for index, record in enumerate(records_of(content, "images", path))
    )
    reject_duplicates([image.id for image in images], "images", path)
    sizes = {image.id: image.size for image in images}
    records = records_of(content, "annotations", path)
    crowds = [record for record in records if record.get("iscrowd")]
    prompts = tuple(
        _prompt(record, index, sizes, source, path)
        for index, record in enumerate(records)
        if not record.get("iscrowd")
    )
    reject_duplicates([prompt.id for prompt in prompts], "annotations", path)
    return AnnotationFile(
        path=path,
        source=source,
        images=images,
        prompts=prompts,
        categories=categories_of(content, path),
        crowds=len(crowds),
    )


def deepest_point(mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The centre of the pixel that lies deepest inside a mask.

    Deepest by the exact Euclidean distance to the nearest pixel that is not of the mask, where all
    that lies beyond the image's border counts as not of the mask. Of several equally deep pixels
    the topmost is taken, and of those the leftmost.

    Args:
        mask: (H, W) bool.

    Returns:
        (x + 0.5, y + 0.5) in pixels: the pixel in column x and row y covers x to x + 1 and y to
        y + 1, so this is its middle.

    Raises:
        ValueError: the mask has no pixel.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("the mask has no pixel")
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    # One ring of outside around the mask's own box decides the same distances as the whole image.
    depth = ndimage.distance_transform_edt(np.pad(crop, 1))[1:-1, 1:-1]
    # Squared distances are whole numbers, so rounding makes ties exact.
    row, column = divmod(int(np.argmax(np.rint(depth**2))), crop.shape[1])
    return left + column + 0.5, top + row + 0.5


def load_json(path: Path) -> Mapping[str, Any]:
    """The object that an annotation file holds.

    Raises:
        ValueError: there is no such file, or it is not JSON or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"there is no annotation file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as text: {error}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path} holds a {type(content).__name__}: an annotation file is an object with "
            '"images", "annotations" and "categories" (a list alone is a results file)'
        )
    return content


def records_of(content: Mapping[str, Any], key: str, path: Path) -> Sequence[Mapping[str, Any]]:
    """One of the file's lists of objects, such as its "images".

    Raises:
        ValueError: there is none, or it is not such a list.
    """
    if key not in content:
        raise ValueError(
            f'{path} has no "{key}": a COCO or LVIS annotation file has "images", "annotations" '
            f'and "categories"; this one has {", ".join(sorted(map(str, content))) or "nothing"}'
        )
    records = content[key]
    if not isinstance(records, list) or not all(isinstance(r, Mapping) for r in records):
        raise ValueError(f'"{key}" of {path} is not a list of objects')
    return records


def checked_id(value: object, what: str, path: Path) -> Id:
    """An id that may be used as one.

    Raises:
        ValueError: it is neither a whole number nor a text.
    """
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise ValueError(f"{what} of {path} has id {value!r}: an id is a whole number or a text")


def reject_duplicates(ids: Sequence[Id], key: str, path: Path) -> None:
    """Whether ids differ.

    Raises:
        ValueError: two do not.
    """
    if len(set(ids)) == len(ids):
        return
    seen: set[Id] = set()
    twice = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
    raise ValueError(f'"{key}" of {path} has id {twice!r} more than once; ids must differ')


def image_record(record: Mapping[str, Any], index: int, path: Path) -> AnnotatedImage:
    """An entry of "images".

    Raises:
        ValueError: it has no id, or neither a file name nor an address.
    """
    what = f"images[{index}]"
    image_id = checked_id(record.get("id"), what, path)
    name = record.get("file_name")
    if not name and isinstance(record.get("coco_url"), str):
        name = urlparse(record["coco_url"]).path.rsplit("/", 1)[-1]
    if not isinstance(name, str) or not name.strip("/\\ "):
        raise ValueError(f'{what} of {path} has neither a "file_name" nor a "coco_url"')
    height, width = record.get("height"), record.get("width")
    known = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
    size = (int(height), int(width)) if known else None  # type: ignore[arg-type]
    return AnnotatedImage(id=image_id, file_name=name.replace("\\", "/"), size=size)


def _prompt(
    record: Mapping[str, Any],
    index: int,
    sizes: Mapping[Id, tuple[int, int] | None],
    source: PromptSource,
    path: Path,
) -> AnnotatedPrompt:
    what = f"annotations[{index}]"
    prompt_id = checked_id(record.get("id"), what, path)
    image_id = checked_id(record.get("image_id"), f"the image of {what}", path)
    if image_id not in sizes:
        return AnnotatedPrompt(
            prompt_id, image_id, error=f"the file has no image with id {image_id!r}"
        )
    try:
        if source == "box":
            return AnnotatedPrompt(prompt_id, image_id, box=box_corners(record.get("bbox")))
        mask = decode_segmentation(record.get("segmentation"), sizes[image_id])
        return AnnotatedPrompt(prompt_id, image_id, point=deepest_point(mask))
    except ValueError as error:
        return AnnotatedPrompt(prompt_id, image_id, error=str(error))


def box_corners(bbox: object) -> tuple[float, float, float, float]:
    """COCO's [x, y, width, height] as (x1, y1, x2, y2).

    Raises:
        ValueError: it is not four finite numbers.
    """
    if not isinstance(bbox, list | tuple) or len(bbox) != 4:
        raise ValueError(f"bbox {bbox!r} is not [x, y, width, height]")
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in bbox):
        raise ValueError(f"bbox {bbox!r} has a value that is not a finite number")
    x, y, width, height = map(float, bbox)
    return x, y, x + width, y + height


def categories_of(content: Mapping[str, Any], path: Path) -> tuple[AnnotatedCategory, ...]:
    """The file's classes, in its order; none where it lists none.

    Raises:
        ValueError: one has no id or no name.
    """
    if not content.get("categories"):
        return ()
    categories = []
    for index, record in enumerate(records_of(content, "categories", path)):
        what = f"categories[{index}]"
        name, synonyms = record.get("name"), record.get("synonyms") or ()
        if not isinstance(name, str) or not isinstance(synonyms, list | tuple):
            raise ValueError(f'{what} of {path} needs a text "name" and a list of "synonyms"')
        categories.append(
            AnnotatedCategory(
                id=checked_id(record.get("id"), what, path),
                name=name,
                synonyms=tuple(map(str, synonyms)),
            )
        )
    return tuple(categories)
