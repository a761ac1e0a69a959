"""How a vocabulary is asked for where there is a dataset: it may be a field's classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import fiftyone as fo

from ovsam_plugin.dataset.targets import classes_present
from ovsam_plugin.vocabulary.sources import load_vocabulary
from ovsam_plugin.vocabulary.vocabulary import Vocabulary

VocabularySpec: TypeAlias = str | Path | Sequence[str] | Vocabulary

_FROM_FIELD = "dataset:"


def vocabulary_of(dataset: fo.Dataset, spec: VocabularySpec) -> Vocabulary:
    """The classes that are meant; "dataset:FIELD" are those present in a label field.

    Raises:
        ValueError: there is no such vocabulary or field, or it is not well formed.
    """
    if isinstance(spec, str) and spec.startswith(_FROM_FIELD):
        return load_vocabulary(classes_present(dataset, spec.removeprefix(_FROM_FIELD)))
    return load_vocabulary(spec)
