"""Examples of a class, as they are written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

_FORM = '"NAME=IMAGE:x1,y1,x2,y2", or "NAME=ID" with the id of a label'


@dataclass(frozen=True)
class PictureExample:
    """What a box shows of an image file.

    Attributes:
        path: the file.
        xyxy: in pixels.
    """

    path: Path
    xyxy: tuple[float, float, float, float]


def picture_example(text: str) -> PictureExample | None:
    """ "IMAGE:x1,y1,x2,y2" taken apart; None for anything else, such as the id of a label."""
    path, _, numbers = text.rpartition(":")
    try:
        corners = [float(number) for number in numbers.split(",")]
    except ValueError:
        return None
    if not path or len(corners) != 4:
        return None
    x1, y1, x2, y2 = corners
    return PictureExample(Path(path).expanduser(), (x1, y1, x2, y2))


def read_examples(texts: Iterable[str]) -> dict[str, list[str]]:
    """Examples by class, as the command line has them.

    Raises:
        ValueError: one is not of its form.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, _, example = text.partition("=")
        if not name.strip() or not example.strip():
            raise ValueError(f"{text!r} is not an example of a class: give {_FORM}")
        found.setdefault(name.strip(), []).append(example.strip())
    return found


def with_examples(vocabulary: Vocabulary, examples: Mapping[str, Sequence[str]]) -> Vocabulary:
    """A vocabulary whose classes have examples, those that it lacks added.

    Args:
        vocabulary: the classes.
        examples: by class name; see `Category.examples`.
    """
    for name, shown in examples.items():
        place = vocabulary.find(name)
        known = Category(name) if place is None else vocabulary.categories[place]
        vocabulary = vocabulary.with_class(replace(known, examples=(*known.examples, *shown)))
    return vocabulary
