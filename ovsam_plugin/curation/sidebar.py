"""A run's own group in the App's sidebar; other groups stay as a person has arranged them."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo

from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.fields import error_field

# Where a path stood before: the name of its group, and its place in it.
Place = tuple[str, int]


def add_group(
    dataset: fo.Dataset, name: str, paths: Sequence[str], after: str = "labels"
) -> dict[str, Place]:
    """Puts paths into a group of their own, made if it is not there.

    Args:
        dataset: its `app_config` is saved.
        name: of the group.
        paths: fields, in their order in the group.
        after: the group that a new one comes behind; the last if there is none of that name.

    Returns:
        Where paths that other groups listed have been taken from.
    """
    config = dataset.app_config
    if config.sidebar_groups is None:
        config.sidebar_groups = fo.DatasetAppConfig.default_sidebar_groups(dataset)
    groups = config.sidebar_groups
    taken: dict[str, Place] = {}
    for other in groups:
        if other.name != name:
            places = {p: (other.name, i) for i, p in enumerate(other.paths) if p in paths}
            taken |= places
            other.paths = [p for p in other.paths if p not in places]
    group = _named(dataset, name)
    if group is None:
        group = fo.SidebarGroupDocument(name=name, paths=[])
        behind = [i for i, other in enumerate(groups) if other.name == after]
        groups.insert(behind[0] + 1 if behind else len(groups), group)
    group.paths = [*paths, *(p for p in group.paths if p not in paths)]
    dataset.save()
    return taken


def remove_group(
    dataset: fo.Dataset, name: str, paths: Sequence[str], taken: dict[str, Place]
) -> None:
    """Undoes `add_group`; paths that a person has put into the group keep it.

    Args:
        dataset: its `app_config` is saved.
        name: of the group.
        paths: that were put into it.
        taken: what `add_group` gave; what is gone since is not put back.
    """
    group = _named(dataset, name)
    if group is None:
        return
    back = [p for p in paths if p in group.paths and p in taken and dataset.get_field(p)]
    group.paths = [p for p in group.paths if p not in paths]
    if not group.paths:
        dataset.app_config.sidebar_groups.remove(group)
    order = {name: i for i, name in enumerate(dataset.get_field_schema())}
    of_runs = set(runs.fields(dataset)) | {error_field(f) for f in runs.fields(dataset)}
    for path in sorted(back, key=lambda p: taken[p][1]):
        other = _named(dataset, taken[path][0])
        if other is None:
            continue
        at = taken[path][1]
        # Another run's fields were out of their places when this one was taken from its own.
        while at < len(other.paths) and other.paths[at] in of_runs:
            if order.get(other.paths[at], 0) > order[path]:
                break
            at += 1
        other.paths.insert(at, path)
    dataset.save()


def forget_default_groups(dataset: fo.Dataset) -> None:
    """Drops groups that say no more than the App shows by itself.

    FiftyOne writes all of them down as soon as one is added, and never takes them back.
    """
    groups = dataset.app_config.sidebar_groups
    if groups is None:
        return
    default = fo.DatasetAppConfig.default_sidebar_groups(dataset)
    shown = {group.name: list(group.paths) for group in default}
    # FiftyOne leaves empty groups behind when it takes a summary field away.
    groups = [group for group in groups if group.paths or group.name in shown]
    plain = [group.name for group in groups] == list(shown) and all(
        group.expanded is None
        # Fields that were added since are in the default groups alone.
        and list(group.paths) == [path for path in shown[group.name] if path in group.paths]
        for group in groups
    )
    if plain:
        dataset.app_config.sidebar_groups = None
        dataset.save()


def _named(dataset: fo.Dataset, name: str) -> fo.SidebarGroupDocument | None:
    groups = dataset.app_config.sidebar_groups or []
    return next((group for group in groups if group.name == name), None)
