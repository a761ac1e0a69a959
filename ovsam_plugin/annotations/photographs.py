"""What annotation files call their photographs, and how those are found on a disk.

A photograph has one *name* wherever a file is read: its `file_name` with forward slashes, or the
last folder and name of its address (LVIS has a `coco_url` alone). Its *canonical name*, the last
part of that, is what every split by name looks at, so that `000000000144.jpg`,
`train2017/000000000144.jpg` and its address fall on one side.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote, unquote_to_bytes, urlparse

from ovsam_plugin.annotations.values import printable

IMAGE_SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif",
     ".tiff", ".webp")
)  # fmt: skip

# Of other kinds of picture, which a photograph may have been when it was annotated.
_FOREIGN_SUFFIXES = frozenset((".arw", ".cr2", ".dng", ".jp2", ".jpe", ".nef", ".raw", ".tga"))

# In which names are written on disks whose own are not UTF-8.
_ENCODINGS = ("cp1252", "cp437", "cp1250", "cp1251", "shift_jis", "gb18030", "big5", "euc_kr")

Parts: TypeAlias = tuple[str, ...]


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


def named_files(directory: Path, names: Iterable[str]) -> list[str]:
    """The files of a folder that names point at, whatever their ending, each with its folders."""
    found: dict[str, None] = {}
    for name in names:
        parts = name_parts(name)
        for path in (directory.joinpath(*parts), directory.joinpath(*parts[-1:])):
            if parts and is_there(path):
                found[str(path)] = None
    return list(found)


def is_there(path: str | Path) -> bool:
    """Whether there is such a file; what cannot be a path names none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def find_in(directory: Path, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The paths in a folder that fit each name best: see `PathFinder`."""
    directory, names = directory.expanduser().resolve(), tuple(names)
    paths = dict.fromkeys((*image_paths(directory), *named_files(directory, names)))
    return PathFinder(tuple(paths), directory).find(names)


def written_name(record: Mapping[str, Any]) -> str | None:
    """What an image record calls its photograph; None where it has no name and no address."""
    for name in (record.get("file_name"), record.get("coco_url")):
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if isinstance(name, str) and name_parts(name := _of_address(name)):
            return printable(name).replace("\\", "/")
    return None


def _of_address(name: str) -> str:
    """The end of an address: the last folder tells LVIS's train2017 from val2017."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        return name
    return "/".join(unquote(urlparse(name).path).strip("/").split("/")[-2:])


def name_parts(name: str) -> Parts:
    """Folders and name, as they are compared.

    Back slashes part them too, a Windows drive and "." and ".." are left out, and letters are in
    Unicode NFC.
    """
    plain = unicodedata.normalize("NFC", re.sub(r"^[A-Za-z]:(?=/)", "", name.replace("\\", "/")))
    return tuple(printable(p) for p in plain.split("/") if p.strip() and p not in (".", ".."))


def canonical_name(name: str) -> str:
    """What a photograph is called whatever folder it is in: the last part, its ending lower case.

    Raises:
        ValueError: there is nothing in the name.
    """
    parts = name_parts(name)
    if not parts:
        raise ValueError(f"a photograph cannot be called {name!r}")
    suffix = PurePosixPath(parts[-1]).suffix
    return parts[-1].removesuffix(suffix) + suffix.lower()


def contradict(one: Parts, other: Parts) -> bool:
    """Whether two names cannot be of one photograph: neither is the end of the other."""
    shared = min(len(one), len(other))
    return one[len(one) - shared :] != other[len(other) - shared :]


Fold: TypeAlias = Callable[[Parts], Parts]


class _Place(NamedTuple):
    """A path as it is compared: all its parts, and how many of them lie below the root."""

    path: str
    parts: Parts
    depth: int


class PathFinder:
    """Paths of images by the names that an annotation file has for them.

    A path fits a name when one is the end of the other below the root. A name that is the same to
    the letter comes first, then one that differs in case, then in its ending; then paths, and at
    last names, that are in another encoding or have %20 for a space. A path that several names
    could mean goes to the one that agrees in most folders, and to none where that cannot be told.

    Args:
        paths: the images there are.
        root: the folder that names are relative to: a path that is called so from there comes
            before those that end so. When None it is not known, and the deepest folder that holds
            all paths bounds them.
    """

    def __init__(self, paths: Sequence[str], root: str | Path | None = None) -> None:
        self.paths = tuple(paths)
        self._rooted = root is not None
        roots = [_common(self.paths)] if root is None else _spellings(root)
        plain, decoded = [], []
        for path in self.paths:
            parts = name_parts(path)
            above = max((len(root) for root in roots if parts[: len(root)] == root), default=0)
            depth = len(parts) - above
            plain.append(_Place(path, parts, depth))
            decoded += [_Place(path, name_parts(text), depth) for text in _readings(path)]
        self._tiers: list[tuple[Fold, list[_Place]]] = [
            (fold, places)
            for places in (plain, decoded)
            for fold in (_same, _any_case, _any_ending)
            if places
        ]

    def find(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The paths that fit each name best: one, none, or several where it cannot be told."""
        found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
        taken: set[str] = set()
        self._fill(found, {name: name_parts(name) for name in found}, taken)
        for encoding in ("utf-8", *_ENCODINGS):
            quoted = {name: _unquoted(name, encoding) for name, paths in found.items() if not paths}
            parts = {name: name_parts(text) for name, text in quoted.items() if text is not None}
            self._fill(found, parts, taken)
        return found

    def _fill(
        self, found: dict[str, tuple[str, ...]], parts: Mapping[str, Parts], taken: set[str]
    ) -> None:
        """Finds what is not found yet of names with these parts, among paths that are not taken."""
        for fold, places in self._tiers:
            asked = {name: fold(some) for name, some in parts.items() if not found[name]}
            if not asked:
                return
            fits = self._fits(asked, [_folded(p, fold) for p in places if p.path not in taken])
            for name, agree in _undisputed(parts, fits).items():
                best = max(agree.values())
                found[name] = tuple(path for path, n in agree.items() if n == best)
                taken.update(found[name])

    def _fits(
        self, asked: Mapping[str, Parts], places: Sequence[_Place]
    ) -> dict[str, dict[str, int]]:
        """By name, the paths that fit it, and in how many parts each agrees with it."""
        lengths = {len(parts) for parts in asked.values()}
        ends: dict[Parts, list[_Place]] = defaultdict(list)
        below: dict[Parts, list[_Place]] = defaultdict(list)
        for place in places:
            below[place.parts[len(place.parts) - place.depth :]].append(place)
            for length in lengths:
                if 0 < length <= len(place.parts):
                    ends[place.parts[-length:]].append(place)
        fits: dict[str, dict[str, int]] = defaultdict(dict)
        for name, parts in asked.items():
            exact = below.get(parts, ()) if self._rooted else ()
            shorter = [p for k in range(1, len(parts)) for p in below.get(parts[-k:], ())]
            for place in exact or [*ends.get(parts, ()), *shorter]:
                agree = _agreeing(parts, place.parts)
                fits[name][place.path] = max(agree, fits[name].get(place.path, 0))
        return fits


def _folded(place: _Place, fold: Fold) -> _Place:
    return place._replace(parts=fold(place.parts))


def _undisputed(
    parts: Mapping[str, Parts], fits: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """What is left where names that cannot be of one photograph claim the same path.

    A name keeps a path unless one that agrees with it at least as well contradicts it.
    """
    claims: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name, paths in fits.items():
        for path, agree in paths.items():
            claims[path].append((agree, name))
    kept: dict[str, dict[str, int]] = defaultdict(dict)
    for path, claimed in claims.items():
        # How many are called so, and how many end so: each pair is not compared.
        called: Counter[Parts] = Counter()
        ending: Counter[Parts] = Counter()
        for agree, level in groupby(sorted(claimed, reverse=True), key=itemgetter(0)):
            names = [name for _, name in level]
            for name in names:
                called[parts[name]] += 1
                ending.update(_ends(parts[name]))
            for name in names:
                shorter = sum(called[end] for end in _ends(parts[name])[1:])
                if ending[parts[name]] + shorter == called.total():
                    kept[name][path] = agree
    return kept


def _ends(parts: Parts) -> list[Parts]:
    """What a name ends with, the longest first: itself."""
    return [parts[i:] for i in range(len(parts))]


def _same(parts: Parts) -> Parts:
    return parts


def _any_case(parts: Parts) -> Parts:
    return tuple(part.casefold() for part in parts)


def _any_ending(parts: Parts) -> Parts:
    suffix = PurePosixPath(parts[-1]).suffix if parts else ""
    if suffix.lower() in IMAGE_SUFFIXES | _FOREIGN_SUFFIXES:
        parts = (*parts[:-1], parts[-1].removesuffix(suffix))
    return _any_case(parts)


def _agreeing(one: Parts, other: Parts) -> int:
    """How many parts agree, counted from the end."""
    count = 0
    for a, b in zip(reversed(one), reversed(other)):
        if a != b:
            break
        count += 1
    return count


def _spellings(folder: str | Path) -> list[Parts]:
    """A folder as paths in it may begin: as it is called, and with its links followed."""
    given = Path(folder).expanduser()
    return [name_parts(str(p)) for p in (given, given.absolute(), given.resolve())]


def _common(paths: Sequence[str]) -> Parts:
    folders = [name_parts(path)[:-1] for path in paths]
    if not folders:
        return ()
    first, last = min(folders), max(folders)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first))]


def _readings(path: str) -> Iterator[str]:
    """What a path may mean whose bytes are not UTF-8."""
    if printable(path) == path:
        return
    data = os.fsencode(path)
    for encoding in _ENCODINGS:
        try:
            yield data.decode(encoding)
        except UnicodeDecodeError:
            continue


def _unquoted(name: str, encoding: str) -> str | None:
    """What a name means whose bytes stand as %E9 in it; None where it has none, or other bytes."""
    if "%" not in name:
        return None
    try:
        text = unquote_to_bytes(name).decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if text == name else text


@lru_cache(maxsize=8)
def _listed(folder: Path, changed: int) -> PathFinder:
    return PathFinder(image_paths(folder), folder)


def find_photograph(folder: Path, name: str) -> Path | None:
    """The photograph of a folder that a file calls so; None where there is none, or several.

    Where a file's names are at hand, ask `PathFinder` for all at once: it sees which belong
    together.
    """
    parts = name_parts(name)
    for path in (folder.joinpath(*parts), folder.joinpath(*parts[-1:])):
        if parts and is_there(path):
            return path
    if not parts or not folder.is_dir():
        return None
    paths = _listed(folder, folder.stat().st_mtime_ns).find([name])[name]
    return Path(paths[0]) if len(paths) == 1 else None
