"""The one reader of COCO and LVIS annotation files.

Tools write ids as integers, floats or text, leave keys out, repeat ids, and keep annotations whose
image is gone. Each oddity costs at most its own annotation, which stays in the list with its
reason; the file is refused where nothing in it could be used.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ovsam_plugin.annotations.photographs import contradict, name_parts, written_name
from ovsam_plugin.annotations.records import (
    AnnotatedCategory,
    AnnotatedImage,
    Annotation,
    AnnotationFile,
    place_in,
)
from ovsam_plugin.annotations.values import Id, flag, id_key, in_words, read_id, whole
from ovsam_plugin.vocabulary.names import clean_name, name_key

_Record = Mapping[str, Any]
_GZIP = b"\x1f\x8b"


def read_annotation_file(path: str | Path, *, crowds: bool = False) -> AnnotationFile:
    """Read a COCO or LVIS annotation file.

    Args:
        path: the JSON file, as UTF-8, or as UTF-16 with a byte-order mark.
        crowds: whether annotations that are marked as crowds are instances like the others.

    Raises:
        ValueError: there is no such file, it is not JSON, not an annotation file, or none of its
            images or annotations is one.
    """
    path = Path(path).expanduser()
    file = annotation_file(path, load_object(path))
    return file.with_crowds() if crowds else file


def annotation_file(path: Path, content: Mapping[str, Any]) -> AnnotationFile:
    """The same of a file that is read already.

    Args:
        path: the file.
        content: the object that it holds.

    Raises:
        ValueError: as for `read_annotation_file`.
    """
    notes: list[str] = []
    records = _records(content, "annotations", path, notes)
    images, missing = _images(_records(content, "images", path, notes), records, path, notes)
    written = _records(content, "categories", path, notes) if content.get("categories") else []
    categories, places = read_categories(written, records, notes)
    by_key = {id_key(image.id): image for image in images}
    annotations = tuple(
        _annotation(record, index, by_key, missing, places) for index, record in records
    )
    return AnnotationFile(path, images, annotations, categories, tuple(notes), content, places)


def read_classes(path: str | Path) -> tuple[tuple[AnnotatedCategory, ...], tuple[str, ...]]:
    """The classes of a file alone, and what was left out of them.

    Raises:
        ValueError: there is no such file, or it is not JSON or has no list of classes.
    """
    path = Path(path).expanduser()
    content = load_object(path)
    notes: list[str] = []
    annotations = _records(content, "annotations", path, []) if content.get("annotations") else []
    written = _records(content, "categories", path, notes)
    categories, _ = read_categories(written, annotations, notes)
    return categories, tuple(notes)


def load_object(path: Path) -> Mapping[str, Any]:
    """The object that an annotation file holds.

    Raises:
        ValueError: there is no such file, or it is not JSON or not an object.
    """
    content = load_json(path)
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path} holds a {type(content).__name__}: an annotation file is an object with "
            '"images", "annotations" and "categories" (a list alone is a results file)'
        )
    return content


def load_json(path: Path, what: str = "annotation file") -> Any:
    """What a JSON file holds, also a gzipped one; a byte-order mark tells its encoding, else it is
    UTF-8.

    Bytes that are not UTF-8 are kept as `os.fsdecode` keeps those of file names, so that names in
    another encoding still find their files.

    Raises:
        ValueError: there is no such file, or it is not JSON.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
        text = data.decode(json.detect_encoding(data), "surrogateescape")
        return json.loads(text)
    except FileNotFoundError:
        raise ValueError(f"there is no {what} {path}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file: {error}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def _records(
    content: _Record, key: str, path: Path, notes: list[str]
) -> Sequence[tuple[int, _Record]]:
    """The objects of one of the file's lists, each with its place there.

    Raises:
        ValueError: there is no such list, or no object in it.
    """
    if content.get(key) is None:
        raise ValueError(
            f'{path} has no "{key}": a COCO or LVIS annotation file has "images", "annotations" '
            f'and "categories"; this one has {", ".join(sorted(map(str, content))) or "nothing"}'
        )
    records = content[key]
    if not isinstance(records, list):
        raise ValueError(f'"{key}" of {path} is not a list of objects')
    found = [(i, record) for i, record in enumerate(records) if isinstance(record, Mapping)]
    if records and not found:
        raise ValueError(f'"{key}" of {path} is not a list of objects: it has {records[0]!r:.60}')
    others = len(records) - len(found)
    if others:
        notes.append(f"{others} of {key} are not objects")
    return found


def _images(
    records: Sequence[tuple[int, _Record]],
    annotations: Sequence[tuple[int, _Record]],
    path: Path,
    notes: list[str],
) -> tuple[tuple[AnnotatedImage, ...], dict[Id, str]]:
    """The images, and why there is none for an id that the file has.

    Raises:
        ValueError: there are records, and none is an image.
    """
    spelled = _spellings(annotations, "image_id")
    found: dict[Id, AnnotatedImage] = {}
    missing: dict[Id, str] = {}
    for index, record in records:
        key, name = id_key(record.get("id")), written_name(record)
        if key is None:
            notes.append(f"images[{index}] has the id {record.get('id')!r:.40}: no annotation")
            continue
        if name is None:
            missing.setdefault(
                key, f'image {record["id"]!r} has neither a "file_name" nor a "coco_url"'
            )
            continue
        written = read_id(record["id"])
        assert written is not None
        image = AnnotatedImage(spelled.get(key, written), name, _size(record), record)
        first = found.setdefault(key, image)
        if contradict(name_parts(first.file_name), name_parts(name)):
            # Which of the two an annotation is of cannot be told.
            missing[key] = f"two images have the id {image.id!r}: {first.file_name} and {name}"
    images = tuple(image for key, image in found.items() if key not in missing)
    notes += missing.values()
    if records and not images:
        raise ValueError(f"{path} has no image that can be used: {notes[0]}")
    return images, missing


def _spellings(records: Sequence[tuple[int, _Record]], name: str) -> dict[Id, Id]:
    """How annotations spell the ids that they refer to."""
    found: dict[Id, Id] = {}
    for _, record in records:
        key, written = id_key(record.get(name)), read_id(record.get(name))
        if key is not None and written is not None:
            found.setdefault(key, written)
    return found


def _size(record: _Record) -> tuple[int, int] | None:
    height, width = whole(record.get("height")), whole(record.get("width"))
    if height is None or width is None or height <= 0 or width <= 0:
        return None
    return height, width


def read_categories(
    records: Sequence[tuple[int, _Record]],
    annotations: Sequence[tuple[int, _Record]],
    notes: list[str],
) -> tuple[tuple[AnnotatedCategory, ...], dict[Id, int | str]]:
    """The classes, those that share a name as one.

    Args:
        records: of "categories".
        annotations: of "annotations", which decide how an id is spelled.
        notes: where it is said what was left out.

    Returns:
        The classes, and by id the place of each, or why an id has none.
    """
    spelled = _spellings(annotations, "category_id")
    used = Counter(id_key(record.get("category_id")) for _, record in annotations)
    places: dict[Id, int | str] = {}
    groups: dict[str, int] = {}
    found: list[AnnotatedCategory] = []
    for index, record in records:
        key, written = id_key(record.get("id")), read_id(record.get("id"))
        try:
            name = _class_name(record.get("name"), f"the name of categories[{index}]")
        except (TypeError, ValueError) as error:
            notes.append(str(error))
            if key is not None:
                places.setdefault(key, str(error))
            continue
        place = groups.setdefault(name_key(name), len(found))
        own = None if key is None else spelled.get(key, written)
        category = AnnotatedCategory(
            own, name, _synonyms(record.get("synonyms")), _frequency(record), record
        )
        if place == len(found):
            found.append(category)
        elif used[key] > used[id_key(found[place].id)]:
            found[place] = replace(found[place], id=own)
        if key is None:
            continue
        before = places.setdefault(key, place)
        if before != place:
            other = found[before].name if isinstance(before, int) else "another"
            places[key] = f"two categories have the id {own!r}: {other!r} and {name!r}"
            notes.append(str(places[key]))
    return tuple(found), places


def _class_name(name: object, where: str) -> str:
    if isinstance(name, int | float) and not isinstance(name, bool):
        name = str(name)
    return clean_name(in_words(name) if isinstance(name, str) else name, where)


def _synonyms(written: object) -> tuple[str, ...]:
    names = [written] if isinstance(written, str) else written
    if not isinstance(names, list | tuple):
        return ()
    words = (in_words(name) if isinstance(name, str) else name for name in names)
    return tuple(name for name in words if _is_name(name))


def _is_name(written: object) -> bool:
    try:
        clean_name(written)
    except (TypeError, ValueError):
        return False
    return True


def _frequency(record: _Record) -> str | None:
    frequency = record.get("frequency")
    return frequency if isinstance(frequency, str) and frequency in ("f", "c", "r") else None


def _annotation(
    record: _Record,
    index: int,
    images: Mapping[Id | None, AnnotatedImage],
    missing: Mapping[Id, str],
    places: Mapping[Id, int | str],
) -> Annotation:
    written, key = read_id(record.get("image_id")), id_key(record.get("image_id"))
    image = None if key is None else images.get(key)
    crowd = flag(record.get("iscrowd"))
    error = None
    if key is None:
        error = f"its image_id is {record.get('image_id')!r:.40}: it is on no image"
    elif image is None:
        error = missing.get(key, f"the file has no image with id {written!r}")
    elif crowd is None:
        error = f"its iscrowd is {record['iscrowd']!r:.40}: 0 or 1 was expected"
    place, class_error = place_in(places, record.get("category_id"))
    own = read_id(record.get("id"))
    return Annotation(
        id=f"annotations[{index}]" if own is None else own,
        image_id=written if image is None else image.id,
        category=place,
        crowd=bool(crowd),
        record=record,
        error=error,
        class_error=class_error,
    )
