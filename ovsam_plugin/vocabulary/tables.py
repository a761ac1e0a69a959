"""The vocabularies that come with the package.

- `coco`: 80 classes with synonyms and COCO's category ids; split 48 base, 17 novel, 15 neither.
- `lvis`: LVIS v1's 1,203 with synonyms, r/c/f and ids; the 337 rare are novel, the others base. A
  name is LVIS's with spaces for underscores, so `bow_(weapon)` and `bow_(decorative_ribbons)` stay
  two: "bow (weapon)", "bow (decorative ribbons)". A text tower reads the words in brackets too,
  which tells it the sense.
- `imagenet-1k`: open_clip's names, WordNet's lemmas as synonyms, the class index as id.
- `imagenet-21k`: 21,843 WordNet synsets; `build_tables` says how words that several share are
  told apart. The id is the number in the WordNet id (n02084071 is 2084071).
- `open-22k`: COCO, then LVIS, then ImageNet-21k. A class joins the first earlier one that it has a
  name or synonym in common with (so "car (automobile)" is "car"), and adds the synonyms that no
  other class has (`build_tables` does this). Split and frequency are LVIS's. No ids, since three
  numberings meet.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import cast

from ovsam_plugin.vocabulary.names import name_key, phrase
from ovsam_plugin.vocabulary.vocabulary import Category, Frequency, Split, Vocabulary

BUILT_IN = ("coco", "lvis", "imagenet-1k", "imagenet-21k", "open-22k")


@cache
def built_in(name: str) -> Vocabulary:
    """One of `BUILT_IN`; read once a process.

    Raises:
        KeyError: no such name (`load_vocabulary` says it better).
    """
    if name not in BUILT_IN:
        raise KeyError(name)
    return Vocabulary(name, tuple(_category(name, row) for row in _rows(name)))


def _rows(table: str) -> list[dict[str, str]]:
    text = (files(__package__) / "tables" / f"{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _category(table: str, row: dict[str, str]) -> Category:
    frequency = cast("Frequency | None", row.get("frequency") or None)
    split = cast("Split | None", row.get("split") or None)
    if frequency is not None:
        split = "novel" if frequency == "r" else "base"
    return Category(
        name=row["name"],
        synonyms=texts(row["name"], row["synonyms"].split("|")),
        split=split,
        frequency=frequency,
        id=int(row["id"].lstrip("n")) if row.get("id") else None,
    )


def texts(name: str, synonyms: Iterable[str]) -> tuple[str, ...]:
    """What a text tower reads: the name's own phrase first, then those of the synonyms."""
    spoken = [phrase(name), *(phrase(synonym) for synonym in synonyms if synonym.strip())]
    distinct: dict[str, str] = {}
    for text in spoken:
        distinct.setdefault(name_key(text), text)
    return tuple(distinct.values())
