"""A run's own group in the App's sidebar; other groups stay as a person has arranged them."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo

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
    for other in [g for g in groups if g.name != name]:
        taken |= {p: (other.name, i) for i, p in enumerate(other.paths) if p in paths}
        left = [p for p in other.paths if not _is_within(p, paths)]
        if other.paths and not left and other.name in paths:
            groups.remove(other)  # by default, a field with fields of its own is a group
        other.paths = left
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
    for path in sorted(back, key=lambda p: taken[p][1]):
        other = _named(dataset, taken[path][0])
        if other is not None:
            other.paths.insert(_place(dataset, other, path, taken[path][1]), path)
    dataset.save()


def shown_groups(dataset: fo.Dataset) -> list[dict[str, object]]:
    """The groups as the App takes them; none where it is to make its own."""
    return [
        {"name": group.name, "paths": list(group.paths), "expanded": group.expanded}
        for group in dataset.app_config.sidebar_groups or []
    ]


def forget_default_groups(dataset: fo.Dataset) -> None:
    """Drops groups that say no more than the App shows by itself.

    FiftyOne writes all of them down as soon as one is added, and never takes them back.
    """
    groups = dataset.app_config.sidebar_groups
    if groups is None:
        return
    shown = _default(dataset)
    filled = [group for group in groups if group.paths]
    names = [group.name for group in filled]
    # Fields that were added since are in the default groups alone.
    plain = names == [name for name in shown if name in names] and all(
        group.expanded is None and _in_order(group, shown[group.name]) for group in filled
    )
    if plain:
        dataset.app_config.sidebar_groups = None
        dataset.save()


def _default(dataset: fo.Dataset) -> dict[str, list[str]]:
    groups = fo.DatasetAppConfig.default_sidebar_groups(dataset)
    return {group.name: list(group.paths) for group in groups}


def _in_order(group: fo.SidebarGroupDocument, shown: list[str]) -> bool:
    return list(group.paths) == [path for path in shown if path in group.paths]


def _place(dataset: fo.Dataset, group: fo.SidebarGroupDocument, path: str, before: int) -> int:
    """Where a path goes back: by the App's own order where that is kept, else where it was."""
    shown = _default(dataset).get(group.name, [])
    if path not in shown or not _in_order(group, shown):
        return before
    return sum(shown.index(other) < shown.index(path) for other in group.paths)


def _is_within(path: str, fields: Sequence[str]) -> bool:
    return any(path == field or path.startswith(f"{field}.") for field in fields)


def _named(dataset: fo.Dataset, name: str) -> fo.SidebarGroupDocument | None:
    groups = dataset.app_config.sidebar_groups or []
    return next((group for group in groups if group.name == name), None)
