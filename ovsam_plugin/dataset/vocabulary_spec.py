"""How a vocabulary is asked for where there is a dataset: it may be a field's classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import fiftyone as fo

from ovsam_plugin.dataset.targets import classes_present
from ovsam_plugin.vocabulary.example import with_examples
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

VocabularySpec: TypeAlias = str | Path | Sequence[str] | Vocabulary

_FROM_FIELD = "dataset:"


Examples: TypeAlias = Mapping[str, Sequence[str]]


def vocabulary_of(
    dataset: fo.Dataset, spec: VocabularySpec, examples: Examples | None = None
) -> Vocabulary:
    """The classes that are meant; "dataset:FIELD" are those present in a label field.

    Args:
        dataset: where they are used.
        spec: as for `load_vocabulary`, and the above.
        examples: of classes, by their names; see `with_examples`.

    Raises:
        ValueError: there is no such vocabulary or field, or it is not well formed.
    """
    if isinstance(spec, str) and spec.startswith(_FROM_FIELD):
        spec = classes_present(dataset, spec.removeprefix(_FROM_FIELD))
    return with_examples(load_vocabulary(spec), examples or {})
