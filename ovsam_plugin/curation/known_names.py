"""The names that a person is likely to want: those of a run's vocabulary and of its dataset."""

from __future__ import annotations

from ovsam_plugin.dataset.runs import recorded_vocabulary
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset

# What a browser is sent at most: a menu of tens of thousands of names is megabytes.
_MOST = 2000


def known_names(samples: Samples, field: str) -> list[str]:
    """Class names to choose from: those in the field, then the rest of its vocabulary, sorted.

    The first two thousand of them, for menus in which any other name can be typed.
    """
    dataset = root_dataset(samples)
    labels = all_images(dataset).distinct(f"{field}.detections.label")
    present = sorted(n for n in labels if n)
    vocabulary = recorded_vocabulary(dataset, field)
    rest = sorted(vocabulary.names) if vocabulary is not None else []
    return list(dict.fromkeys([*present, *rest]))[:_MOST]
