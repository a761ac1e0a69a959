"""Classes to choose from: their names, what they are also called, and how they are grouped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

from ovsam_plugin.vocabulary.names import clean_name, joined_key, name_key

Split: TypeAlias = Literal["base", "novel"]
Frequency: TypeAlias = Literal["f", "c", "r"]
_SPLITS, _FREQUENCIES = get_args(Split), get_args(Frequency)


@dataclass(frozen=True)
class Category:
    """One class of a vocabulary.

    Attributes:
        name: the display name, which labels store ("fire hydrant").
        synonyms: what a text tower reads, each as good a name as the others; the name alone when
            none is given.
        split: "base" (seen in training), "novel", or None when in neither group.
        frequency: LVIS's "f" (frequent), "c" (common), "r" (rare), or None.
        id: its number where it comes from: a COCO or LVIS category id, an ImageNet-1k index.
        examples: instances of the class that say what words cannot: ids of labels, or
            "IMAGE:x1,y1,x2,y2", a box in pixels of an image file.
        words: whether its names are read too; False where they say nothing ("type B").

    Raises:
        TypeError: a name, synonym or example is not a string, or the id not an integer.
        ValueError: an empty or overlong name or synonym, an unknown split or frequency, or neither
            words nor examples.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    split: Split | None = None
    frequency: Frequency | None = None
    id: int | None = None
    examples: tuple[str, ...] = ()
    words: bool = True

    def __post_init__(self) -> None:
        name = clean_name(self.name)
        given: object = self.synonyms
        if isinstance(given, str):
            raise TypeError(f"synonyms of {name!r} is a list, got the string {given!r}")
        synonyms = [clean_name(s, f"a synonym of {name!r}") for s in self.synonyms]
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "synonyms", tuple(dict.fromkeys(synonyms)) or (name,))
        for field, value, allowed in (
            ("split", self.split, _SPLITS),
            ("frequency", self.frequency, _FREQUENCIES),
        ):
            if value is not None and value not in allowed:
                choices = ", ".join(map(repr, allowed))
                raise ValueError(f"{field} of {name!r} is {value!r}, allowed: {choices} or none")
        if self.id is not None and (not isinstance(self.id, int) or isinstance(self.id, bool)):
            raise TypeError(f"id of {name!r} must be an integer, got {self.id!r}")
        shown: object = self.examples
        if isinstance(shown, str) or not all(isinstance(one, str) for one in self.examples):
            raise TypeError(f"examples of {name!r} is a list of label ids, got {shown!r:.60}")
        object.__setattr__(self, "examples", tuple(dict.fromkeys(map(str, self.examples))))
        if not self.words and not self.examples:
            raise ValueError(f"{name!r} has neither words nor examples to be known by")


@dataclass(frozen=True)
class Vocabulary:
    """Classes with distinct names, in a fixed order: a class index is a place in `categories`.

    Attributes:
        name: "lvis", a file's name, or "custom"; does not take part in `hash`.
        categories: the K classes.

    Raises:
        ValueError: no class, or two names that differ only in case, spaces, `_` or `-`.
    """

    name: str
    categories: tuple[Category, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))
        if not self.categories:
            raise ValueError(f"vocabulary {self.name!r} has no class: give at least one name")
        seen: dict[str, str] = {}
        for category in self.categories:
            other = seen.setdefault(name_key(category.name), category.name)
            if other is not category.name:
                raise ValueError(
                    f"vocabulary {self.name!r} has {other!r} and {category.name!r}, which are the "
                    "same name but for case, spaces, '_' or '-': remove or rename one"
                )

    def __len__(self) -> int:
        return len(self.categories)

    def __iter__(self) -> Iterator[Category]:
        return iter(self.categories)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The K display names."""
        return tuple(category.name for category in self.categories)

    @cached_property
    def by_example(self) -> tuple[int, ...]:
        """The places of the classes that have examples."""
        return tuple(i for i, category in enumerate(self.categories) if category.examples)

    def with_class(self, category: Category) -> Vocabulary:
        """The same with one more class, or with another in place of the one of its name."""
        key = name_key(category.name)
        others = [c for c in self.categories if name_key(c.name) != key]
        if len(others) < len(self.categories):
            kept = (category if name_key(c.name) == key else c for c in self.categories)
            return Vocabulary(_varied(self.name), tuple(kept))
        return Vocabulary(_varied(self.name), (*self.categories, category))

    @cached_property
    def hash(self) -> str:
        """SHA-256, 64 hex digits, over everything that changes a result: all but `name`."""
        facts: list[list[Any]] = [
            [c.name, c.synonyms, c.split, c.frequency, c.id]
            + ([c.examples, c.words] if c.examples else [])
            for c in self.categories
        ]
        text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def find(self, name: str) -> int | None:
        """The index of the class called so, or None.

        A class's own name counts before another's synonym; case, spaces, `_` and `-` do not
        count, so LVIS's "fire_hydrant" finds "fire hydrant". Where nothing is called so, words may
        run together: VOC's "diningtable" finds "dining table". That is for finding alone. A text
        tower never reads such words, so they are in no table of synonyms.
        """
        found = self._index.get(name_key(name))
        return self._joined.get(joined_key(name)) if found is None else found

    @cached_property
    def _index(self) -> dict[str, int]:
        index = {name_key(c.name): i for i, c in enumerate(self.categories)}
        for i, category in enumerate(self.categories):
            for synonym in category.synonyms:
                index.setdefault(name_key(synonym), i)
        return index

    @cached_property
    def _joined(self) -> dict[str, int | None]:
        """By joined key, names before synonyms; None where two classes share it."""
        found: dict[str, int | None] = {}
        for texts in ([(c.name,) for c in self.categories], [c.synonyms for c in self.categories]):
            claims: dict[str, set[int]] = {}
            for i, synonyms in enumerate(texts):
                for synonym in synonyms:
                    claims.setdefault(joined_key(synonym), set()).add(i)
            for key, classes in claims.items():
                found.setdefault(key, next(iter(classes)) if len(classes) == 1 else None)
        return found


def _varied(name: str) -> str:
    """The name of a vocabulary that is no longer the one that is known by it."""
    return name if name.endswith("+examples") else f"{name}+examples"
