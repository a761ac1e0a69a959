"""Which classes are base, which are novel, and how two lists of classes are the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ovsam_plugin.annotations.reader import load_json
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.tables import built_in
from ovsam_plugin.vocabulary.vocabulary import Category, Split, Vocabulary

BUILT_IN_SPLITS = {"coco-48-17": "coco", "lvis-rare": "lvis"}
"""The published splits, and the built-in vocabulary that holds each."""

_SHOWN = 10


def match_classes(classes: Vocabulary, vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
    """Where each class stands in another vocabulary, found by its name, then by its synonyms.

    Args:
        classes: K classes.
        vocabulary: to find them in; see `Vocabulary.find` for what counts as the same name.

    Returns:
        (K,) places in `vocabulary`, -1 for a class that it does not have.
    """
    places = []
    for category in classes:
        names = (category.name, *category.synonyms)
        found = (vocabulary.find(name) for name in names)
        places.append(next((place for place in found if place is not None), -1))
    return np.array(places, dtype=np.int64)


def require_classes(
    classes: Vocabulary, vocabulary: Vocabulary, used: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int64]:
    """`match_classes`, where every class that is used must be found.

    Args:
        classes: K classes.
        vocabulary: to find them in.
        used: (K,) classes that matter; all when not given.

    Raises:
        ValueError: some are not found; the message lists them.
    """
    places = match_classes(classes, vocabulary)
    missing = (places < 0) if used is None else (places < 0) & used
    if missing.any():
        names = [classes.names[i] for i in np.flatnonzero(missing)]
        raise ValueError(
            f"{len(names)} of the classes of {classes.name} are not in the vocabulary "
            f"{vocabulary.name!r}, by no synonym either: {_listed(names)}. "
            "Give a vocabulary that has them, such as the annotation file itself"
        )
    return places


def fitting_vocabulary(classes: Vocabulary) -> Vocabulary:
    """COCO's or LVIS's own vocabulary if it has all of these classes, each as a class of its own;
    else just these."""
    for name in BUILT_IN_SPLITS.values():
        places = match_classes(classes, built_in(name))
        if (places >= 0).all() and len(np.unique(places)) == len(places):
            return built_in(name)
    return classes


def merged_classes(
    classes: Vocabulary,
    places: npt.NDArray[np.int64],
    vocabulary: Vocabulary,
    used: npt.NDArray[np.bool_] | None = None,
) -> tuple[str, ...]:
    """What to say of classes that a vocabulary has under one name, as COCO "man" and "woman".

    Args:
        classes: K classes.
        places: (K,) of them in `vocabulary`, -1 for those that do not matter.
        vocabulary: that has them.
        used: (K,) classes that matter; all when not given.

    Returns:
        A sentence for each class of the vocabulary that several of these are.
    """
    there = (places >= 0) if used is None else (places >= 0) & used
    found, counts = np.unique(places[there], return_counts=True)
    return tuple(
        f"{_listed([classes.names[i] for i in np.flatnonzero(there & (places == place))])} are one "
        f"class of the vocabulary {vocabulary.name!r}, {vocabulary.names[place]!r}: no answer is "
        "wrong for taking one for another. Give a vocabulary that has each of them to tell them "
        "apart"
        for place in found[counts > 1]
    )


def apply_split(vocabulary: Vocabulary, split: str | Path) -> Vocabulary:
    """The vocabulary with each class's `split` set anew: base, novel or neither.

    Args:
        vocabulary: classes.
        split: "coco-48-17"; "lvis-rare", which calls LVIS's rare classes novel and all others base,
            and gives each class its frequency; or a file: JSON `{"base": [names], "novel":
            [names]}` or `{name: "base" or "novel"}`, or a vocabulary file whose entries have a
            `split`.

    Raises:
        ValueError: there is no such split, the file is not of these, names a class that the
            vocabulary lacks, or no class of the vocabulary is in it.
    """
    source = _split_classes(split)
    places = match_classes(vocabulary, source)
    if str(split) not in BUILT_IN_SPLITS:
        named = match_classes(source, vocabulary)
        unknown = [source.names[i] for i in np.flatnonzero(named < 0)]
        if unknown:
            raise ValueError(
                f"{len(unknown)} classes of the split {split} are not in the vocabulary "
                f"{vocabulary.name!r}: {_listed(unknown)}. Correct their names, or leave them out"
            )
    if (places < 0).all():
        raise ValueError(
            f"no class of {vocabulary.name!r} is in the split {split}: it is of other classes, "
            f"such as {_listed(list(source.names[:3]))}; choose another split, or none"
        )
    return Vocabulary(vocabulary.name, tuple(
        _with_split(category, source.categories[place] if place >= 0 else None)
        for category, place in zip(vocabulary, places)
    ))  # fmt: skip


def split_only(vocabulary: Vocabulary) -> Vocabulary:
    """The classes that are base or novel, as the published evaluation takes them."""
    return Vocabulary(vocabulary.name, tuple(c for c in vocabulary if c.split is not None))


def _with_split(category: Category, found: Category | None) -> Category:
    if found is None:
        return replace(category, split=None)
    return replace(category, split=found.split, frequency=found.frequency or category.frequency)


def _split_classes(split: str | Path) -> Vocabulary:
    """Classes that are base or novel, or neither."""
    if str(split) in BUILT_IN_SPLITS:
        return built_in(BUILT_IN_SPLITS[str(split)])
    path = Path(split).expanduser()
    if not path.is_file():
        known = ", ".join(BUILT_IN_SPLITS)
        raise ValueError(f"there is no split {str(split)!r}: there are {known}, or a file")
    groups = _split_groups(path) if path.suffix.lower() == ".json" else None
    if groups is None:
        found = load_vocabulary(path)
    else:
        found = Vocabulary(path.name, tuple(Category(n, split=part) for n, part in groups.items()))
    if not any(category.split for category in found):
        raise ValueError(
            f'{path} calls no class base or novel: give JSON with the lists "base" and '
            '"novel", or a CSV file with the columns name and split'
        )
    return found


def _split_groups(path: Path) -> dict[str, Split] | None:
    """Classes by name of the two plain JSON forms; None where it is a vocabulary file."""
    content = load_json(path, "split")
    if not isinstance(content, Mapping) or isinstance(content.get("categories"), list):
        return None
    if set(content) <= {"base", "novel"}:
        content = {name: part for part, names in content.items() for name in names}
    wrong = {part for part in content.values() if part not in ("base", "novel")}
    if wrong:
        raise ValueError(
            f"{path} calls classes {', '.join(map(repr, sorted(map(str, wrong))))}: "
            'a class is "base" or "novel"'
        )
    return dict(content)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more
