"""How the App shows labelled photographs at first, where nobody has chosen it."""

from __future__ import annotations

import fiftyone as fo


def colour_classes(dataset: fo.Dataset) -> None:
    """Has labels coloured by their values, where nobody has chosen how; by default all labels of a
    field have one colour."""
    scheme = dataset.app_config.color_scheme
    if scheme is None:
        dataset.app_config.color_scheme = fo.ColorScheme(color_by="value")
    elif scheme.color_by is None:
        scheme.color_by = "value"
    else:
        return
    dataset.save()
