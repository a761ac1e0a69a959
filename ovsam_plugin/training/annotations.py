"""COCO and LVIS annotation files, read with care."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from ovsam_plugin.vocabulary.names import name_key
from ovsam_plugin.vocabulary.vocabulary import Vocabulary


def load_annotations(path: Path) -> COCO:
    """A COCO or LVIS annotation file, read and looked over.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, or a part is missing; the message says which.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no annotation file at {path}")
    try:
        content: Any = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    needed = {
        "images": {"id", "width", "height"},
        "annotations": {"id", "image_id", "category_id", "segmentation"},
        "categories": {"id", "name"},
    }
    for part, keys in needed.items():
        rows = content.get(part) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not rows:
            raise ValueError(
                f"{path} has no {part!r}: expected a COCO or LVIS file of instances, an object "
                f"with {', '.join(needed)}"
            )
        for row in rows:
            absent = keys - row.keys() if isinstance(row, dict) else keys
            if absent:
                raise ValueError(
                    f"{path}: one of {part!r} has no {sorted(absent)[0]!r}: {row!r:.80}"
                )
    for what, part in (("image", "images"), ("category", "categories")):
        known = {row["id"] for row in content[part]}
        stray = next((a for a in content["annotations"] if a[f"{what}_id"] not in known), None)
        if stray is not None:
            raise ValueError(
                f"{path}: annotation {stray['id']} is of {what} {stray[f'{what}_id']}, "
                "which it does not list"
            )
    unnamed = next((r for r in content["images"] if not r.keys() & {"file_name", "coco_url"}), None)
    if unnamed is not None:
        raise ValueError(f"{path}: image {unnamed['id']} has no 'file_name' and no 'coco_url'")
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def file_of(record: dict[str, Any]) -> str:
    """The file that an image record names; LVIS has an address in place of a name."""
    return str(record.get("file_name") or "/".join(record["coco_url"].split("/")[-2:]))


def find_image(folder: Path, name: str) -> Path | None:
    """The photograph in a folder, with or without the folders of its name."""
    return next((p for p in (folder / name, folder / Path(name).name) if p.is_file()), None)


def not_of_split(coco: COCO, vocabulary: Vocabulary, split: str) -> frozenset[int]:
    """The category ids that a vocabulary does not place in a split."""
    names = {name_key(c.name) for c in vocabulary.categories if c.split == split}
    return frozenset(i for i, c in coco.cats.items() if name_key(c["name"]) not in names)


def is_validation(name: str, share: float = 0.15) -> bool:
    """Whether a photograph is kept back, decided by its file name alone."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < share
