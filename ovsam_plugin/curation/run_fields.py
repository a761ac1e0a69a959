"""Which fields runs of ours have filled, and where one went that was renamed."""

from __future__ import annotations

import fiftyone as fo

from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.fields import FIELD_DESCRIPTION
from ovsam_plugin.dataset.target_field import FIRST
from ovsam_plugin.dataset.targets import Samples, fields_of, near, root_dataset


def run_fields(samples: Samples) -> list[str]:
    """The fields of runs of ours that are there, that of a first run before the others."""
    dataset = root_dataset(samples)
    there = [name for name in runs.fields(dataset) if dataset.get_field(name) is not None]
    return sorted(there, key=lambda name: name != FIRST)


def require_run(dataset: fo.Dataset, field: str, *, gone: bool = False) -> None:
    """Whether a run of ours filled the field.

    Args:
        dataset: the dataset.
        field: the label field.
        gone: whether a run will do whose field has been deleted.

    Raises:
        ValueError: no run of ours is recorded under that name, or its field is gone or was
            renamed; the message says how to give it its name again.
    """
    there = dataset.get_field(field) is not None
    if runs.recorded(dataset, field) is not None:
        orphans = [] if there else _orphans(dataset)
        if there or (gone and not orphans):
            return
        if orphans:
            raise ValueError(
                f"the labels of run {field!r} are not in field {field!r}, and seem to be in "
                f"{' or '.join(map(repr, orphans))}: a run is known by the name of its field, so "
                f"rename the field back with dataset.rename_sample_field({orphans[0]!r}, "
                f"{field!r})"
            )
        raise ValueError(
            f"the labels of run {field!r} have been deleted: nothing is left to work on"
        )
    if not there:
        raise ValueError(f"there is no field {field!r}{near(field, run_fields(dataset))}")
    lost = [name for name in runs.fields(dataset) if dataset.get_field(name) is None]
    if lost and field in _orphans(dataset):
        raise ValueError(
            f"no labelling run is recorded for field {field!r}. If it was called {lost[0]!r} "
            f"before, rename it back: dataset.rename_sample_field({field!r}, {lost[0]!r})"
        )
    raise ValueError(
        f"no labelling run is recorded for field {field!r}{near(field, run_fields(dataset))}. A "
        "dataset cloned from a view, and a cloned field, have none"
    )


def _orphans(dataset: fo.Dataset) -> list[str]:
    """Fields described as ours that no run of ours is recorded for."""
    return [
        name
        for name in fields_of(dataset, (fo.Detections,))
        if dataset.get_field(name).description == FIELD_DESCRIPTION
        and runs.recorded(dataset, name) is None
    ]
