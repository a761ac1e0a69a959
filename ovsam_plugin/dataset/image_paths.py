"""Images in a folder, and how an annotation file's names for them are found there."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

IMAGE_SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
)


def image_paths(directory: Path) -> list[str]:
    """The images in a folder and its subfolders, hidden ones left out, in a stable order."""
    found = []
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [
            str(Path(folder) / name)
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
        ]
    return found


class PathFinder:
    """Paths of images by the end of their names.

    Args:
        paths: the images there are.
        root: the folder that names are relative to; None where there is none.
    """

    def __init__(self, paths: Sequence[str], root: str | Path | None) -> None:
        self.paths = tuple(paths)
        self._root = None if root is None else Path(root).expanduser().resolve()
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            self._by_name[Path(path).name].append(path)

    def find(self, file_name: str) -> list[str]:
        """The paths that fit a name best; more than one where it cannot be told."""
        asked = PurePosixPath(file_name).parts
        same_name = self._by_name.get(asked[-1], [])
        if self._root is not None:
            exact = str(self._root / file_name)
            if exact in same_name:
                return [exact]
        fits = {path: self._fit(path, asked) for path in same_name}
        best = max(fits.values(), default=0)
        return [path for path, fit in fits.items() if fit == best > 0]

    def _fit(self, path: str, asked: tuple[str, ...]) -> int:
        """How many parts of the names agree, when one is the end of the other; else 0."""
        if Path(path).parts[-len(asked) :] == asked:
            return len(asked)
        if self._root is not None and Path(path).is_relative_to(self._root):
            parts = Path(path).relative_to(self._root).parts
            if asked[-len(parts) :] == parts:
                return len(parts)
        return 0
