"""The names that a person is likely to want: those of a run's vocabulary and of its dataset."""

from __future__ import annotations

from collections.abc import Iterable

from ovsam_plugin.dataset.runs import recorded_vocabulary
from ovsam_plugin.dataset.targets import Samples, root_dataset
from ovsam_plugin.vocabulary.names import name_key


def known_names(samples: Samples, field: str) -> list[str]:
    """Class names to choose from: those in the field, then the rest of its vocabulary, sorted."""
    dataset = root_dataset(samples)
    present = sorted(n for n in dataset.distinct(f"{field}.detections.label") if n)
    vocabulary = recorded_vocabulary(dataset, field)
    rest = sorted(vocabulary.names) if vocabulary is not None else []
    return list(dict.fromkeys([*present, *rest]))


def matching_names(names: Iterable[str], text: str, limit: int = 50) -> list[str]:
    """The first names that fit what has been typed: those that begin so, then those that hold it.

    Args:
        names: in the order of preference.
        text: case, spaces, `_` and `-` do not count; empty fits every name.
        limit: how many at most.
    """
    key = name_key(text)
    begin: list[str] = []
    hold: list[str] = []
    for name in names:
        at = name_key(name).find(key)
        if at == 0:
            begin.append(name)
        elif at > 0:
            hold.append(name)
    return [*begin, *hold][:limit]
