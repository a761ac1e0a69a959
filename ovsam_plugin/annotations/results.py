"""Results files of COCO and LVIS: a list of what a detector or segmenter found.

Whole annotation files can be read as such a list, too: what each says stands in the same keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ovsam_plugin.annotations.masks import Corners, Mask, Size, box_corners, box_of, mask_of
from ovsam_plugin.annotations.photographs import written_name
from ovsam_plugin.annotations.reader import annotation_file, load_json
from ovsam_plugin.annotations.records import Annotation, AnnotationFile
from ovsam_plugin.annotations.values import number


@dataclass(frozen=True, eq=False)
class Result:
    """One instance that was found, or annotated.

    Attributes:
        index: its place in the file.
        record: as written.
        score: as written; 1 where there is none.
        scored: whether the score means something: not where an annotation has none.
        error: why nothing can be done with it, or None.
    """

    index: int
    record: Mapping[str, Any]
    score: float = 1.0
    error: str | None = None
    scored: bool = True

    @property
    def image_id(self) -> object:
        """As written."""
        return self.record.get("image_id")

    @property
    def file_name(self) -> str | None:
        """Of its photograph, where the file says it."""
        return written_name(self.record)

    def box(self) -> Corners:
        """(x1, y1, x2, y2) in pixels, as written.

        Raises:
            ValueError: it is missing or broken.
        """
        return box_corners(self.record.get("bbox"))

    def mask(self, size: Size) -> Mask | None:
        """(H, W) bool on a photograph of (height, width); None where there is none.

        Raises:
            ValueError: it is broken, of another size, or has no pixel.
        """
        if not self.record.get("segmentation"):
            return None
        mask = mask_of(self.record["segmentation"], size)
        box_of(mask)
        return mask


def read_results(path: str | Path) -> tuple[Result, ...]:
    """All results of a file, in its order, also those with an `error`.

    Raises:
        ValueError: there is no such file, or it is no list of results.
    """
    path = Path(path).expanduser()
    return _results(path, load_json(path, "results file"))


def read_instances(path: str | Path) -> tuple[tuple[Result, ...], AnnotationFile | None]:
    """All instances of a results file, or of an annotation file, which is then given, too.

    A crowd is no instance: it stays with an `error` that says so.

    Raises:
        ValueError: there is no such file, or it is neither.
    """
    path = Path(path).expanduser()
    content = load_json(path, "results or annotation file")
    if not isinstance(content, Mapping):
        return _results(path, content), None
    file = annotation_file(path, content)
    return tuple(_annotated(i, each) for i, each in enumerate(file.annotations)), file


def _results(path: Path, rows: Any) -> tuple[Result, ...]:
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(
            f"{path} is not a list of results: each has an image_id, a bbox [x, y, width, height] "
            "or a segmentation, a category_id and a score"
        )
    return tuple(_result(i, row) for i, row in enumerate(rows))


def _annotated(index: int, annotation: Annotation) -> Result:
    error = annotation.error or ("it is a crowd" if annotation.crowd else None)
    if error is not None:
        return Result(index, annotation.record, error=error)
    found = _result(index, annotation.record)
    return replace(found, scored=annotation.record.get("score") is not None)


def _result(index: int, row: Mapping[str, Any]) -> Result:
    if row.get("error"):
        return Result(index, row, error=f"it says {row['error']!r:.200}")
    score = 1.0 if row.get("score") is None else number(row["score"])
    if score is None:
        why = f"score {row['score']!r:.40} is not a finite number"
        return Result(index, row, error=why)
    return Result(index, row, score)
