"""What a person needs in the App to curate a run: `setup_workspace` makes it all at once.

Everything made is written down in a run of its own, `<field>_workspace`, so that a second call
brings it up to date and `remove_workspace` takes away exactly that. What a person has made under
the same name is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from dataclasses import field as default
from typing import Any

import fiftyone as fo
from fiftyone.core.utils import to_slug

from ovsam_plugin.curation import attributes, colours, sidebar, views
from ovsam_plugin.curation.run_fields import require_run
from ovsam_plugin.dataset import runs
from ovsam_plugin.dataset.fields import error_field
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset
from ovsam_plugin.renaming import renamed

WORKSPACE = "OVSAM curation"
"""The name of the saved workspace, one for all runs of a dataset."""

REVIEW_PANEL = "review"

_METHOD = "ovsam/workspace"
_COLOUR = "#ff6d04"
_WORKSPACE_DESCRIPTION = "Photographs beside the review queue and histograms"
_INDEXED = ("label", "confidence", "review")


@dataclass(frozen=True)
class WorkspaceReport:
    """What one call of `setup_workspace` has made or brought up to date.

    Attributes:
        field: the label field.
        views: names of saved views.
        workspace: the name of the saved workspace, or None.
        indexes: paths with a database index.
        summary_fields: fields with a sample's classes and their counts, and its confidences.
        sidebar_group: the group of the run in the sidebar.
        colour_by: "label" or "review", or None where a person's own colours are kept.
        left_out: what was not made, each with the reason.
    """

    field: str
    views: tuple[str, ...] = ()
    workspace: str | None = None
    indexes: tuple[str, ...] = ()
    summary_fields: tuple[str, ...] = ()
    sidebar_group: str = ""
    colour_by: str | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """What `setup_workspace` has made for one field, as it is kept with the dataset.

    Attributes:
        views, indexes, summary_fields: names.
        workspace: whether the saved workspace is ours.
        group: the sidebar group.
        default_groups: whether the sidebar had no groups of its own before.
        taken: by path, the sidebar group and place that it was taken from.
        colours: what `add_colours` gave, or None.
    """

    views: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    summary_fields: tuple[str, ...] = ()
    workspace: bool = False
    group: str = ""
    default_groups: bool = False
    taken: Mapping[str, sidebar.Place] = default(default_factory=dict)
    colours: dict[str, bool] | None = None


@renamed(field="pred_field")
def setup_workspace(
    samples: Samples, pred_field: str = "ovsam", *, colour_by: str = "label"
) -> WorkspaceReport:
    """Makes saved views, a workspace, colours, indexes, a sidebar group and summary fields.

    Called again it brings them up to date: the summaries are counted anew, and views that needed
    scores are added once there are some.

    Args:
        samples: the dataset, or a view of it.
        pred_field: the field of a run of ours.
        colour_by: "label", or "review" for what was decided.

    Returns:
        what was made, and what was left out and why.

    Raises:
        ValueError: no run of ours filled the field, or it cannot be coloured so.
    """
    dataset = root_dataset(samples)
    by = colours.check_colour_by(colour_by)
    require_run(dataset, pred_field)
    attributes.declare(dataset, pred_field)
    kept = recorded(dataset, pred_field) or Record()
    left_out: list[str] = []
    summaries = _free_summaries(dataset, pred_field, kept, left_out)
    paths = [f"{pred_field}.detections.{name}" for name in _INDEXED]
    made = replace(
        kept,
        indexes=tuple(p for p in paths if p in kept.indexes or p not in dataset.list_indexes()),
        summary_fields=tuple(summaries),
        group=f"{pred_field} run",
        default_groups=kept.default_groups
        or dataset.app_config.sidebar_groups is None
        or any(other.default_groups for other in _others(dataset, pred_field)),
    )
    # Written down before anything is made, so that nothing is left without an owner.
    _keep(dataset, pred_field, made)

    for name, path in summaries.items():
        _summarize(dataset, name, path)
    for path in made.indexes:
        dataset.create_index(path)
    made = replace(made, taken={**_group(dataset, pred_field, made), **kept.taken})
    made = replace(made, colours=_colour(dataset, pred_field, by, kept, left_out))
    made = replace(made, views=_save_views(dataset, pred_field, kept, left_out))
    made = replace(made, workspace=_save_workspace(dataset, pred_field, kept, left_out))
    _keep(dataset, pred_field, made)
    return WorkspaceReport(
        field=pred_field,
        views=made.views,
        workspace=WORKSPACE if made.workspace else None,
        indexes=tuple(paths),
        summary_fields=made.summary_fields,
        sidebar_group=made.group,
        colour_by=None if made.colours is None else by,
        left_out=tuple(left_out),
    )


def remove_workspace(samples: Samples, field: str) -> bool:
    """Takes away what `setup_workspace` made for a field, and nothing else.

    Args:
        samples: the dataset, or a view of it.
        field: the label field, which may be gone itself.

    Returns:
        Whether there was anything.
    """
    dataset = root_dataset(samples)
    made = recorded(dataset, field)
    if made is None:
        return False
    others = _others(dataset, field)
    for name in saved_views(dataset, field):
        dataset.delete_saved_view(name)
    needed = any(other.workspace for other in others)
    if made.workspace and not needed and dataset.has_workspace(WORKSPACE):
        dataset.delete_workspace(WORKSPACE)
    if made.colours is not None:
        last = not any(other.colours for other in others)
        colours.remove_colours(dataset, field, made.colours, last=last)
    sidebar.remove_group(dataset, made.group, _listed(dataset, field, made), dict(made.taken))
    dataset.delete_summary_fields([n for n in made.summary_fields if dataset.get_field(n)])
    for path in made.indexes:
        dataset.drop_index(path)
    if made.default_groups and not others:
        sidebar.forget_default_groups(dataset)
    dataset.delete_run(_key(field))
    return True


def recorded(dataset: fo.Dataset, field: str) -> Record | None:
    """What `setup_workspace` has made for a field, or None."""
    key = _key(field)
    if not dataset.has_run(key):
        return None
    config = dataset.get_run_info(key).config.serialize()
    if config.get("method") != _METHOD:
        return None
    known: dict[str, Any] = {n: config[n] for n in Record.__dataclass_fields__ if n in config}
    known |= {k: tuple(v) for k, v in known.items() if isinstance(v, list)}
    return Record(**known)


def saved_views(dataset: fo.Dataset, field: str) -> list[str]:
    """The names of saved views that `setup_workspace` made for a field, renamed ones too."""
    made = recorded(dataset, field) or Record()
    return [
        view["name"]
        for view in dataset.list_saved_views(info=True)
        if view["name"] in made.views or (view["description"] or "").endswith(_mark(field))
    ]


def shares_workspace(dataset: fo.Dataset, field: str) -> bool:
    """Whether the workspace serves another run too."""
    return any(other.workspace for other in _others(dataset, field))


def _others(dataset: fo.Dataset, field: str) -> list[Record]:
    found = (recorded(dataset, other) for other in runs.fields(dataset) if other != field)
    return [record for record in found if record is not None]


def _key(field: str) -> str:
    return f"{field}_workspace"


def _mark(field: str) -> str:
    return f"(made by OVSAM for the run {field})"


def _keep(dataset: fo.Dataset, field: str, made: Record) -> None:
    config = dataset.init_run(method=_METHOD, **asdict(made))
    dataset.register_run(_key(field), config, overwrite=True)


def _free_summaries(
    dataset: fo.Dataset, field: str, kept: Record, left_out: list[str]
) -> dict[str, str]:
    """What each summary field sums up, those left out whose name a field of a person has."""
    names = {
        f"{field}_labels": f"{field}.detections.label",
        f"{field}_confidence": f"{field}.detections.confidence",
    }
    for name in [n for n in names if n not in kept.summary_fields and dataset.get_field(n)]:
        left_out.append(f"summary field {name!r}: the dataset has a field of that name")
        del names[name]
    return names


def _summarize(dataset: fo.Dataset, name: str, path: str) -> None:
    """Made anew rather than updated: an update leaves samples as they were that lost all labels."""
    counts = path.endswith(".label")
    if dataset.get_field(name) is not None:
        dataset.delete_summary_field(name)
    dataset.create_summary_field(path, name, sidebar_group=False, include_counts=counts)
    summary = dataset.get_field(name)
    what = "classes and how many instances each has" if counts else "lowest and highest confidence"
    summary.description = f"{what}, of the run {path.partition('.')[0]}"
    summary.save(_enforce_read_only=False)


def _listed(dataset: fo.Dataset, field: str, made: Record) -> list[str]:
    """The paths of the run's sidebar group."""
    error = error_field(field)
    own = [error] if dataset.get_field(error) is not None else []
    return [field, *made.summary_fields, *own]


def _group(dataset: fo.Dataset, field: str, made: Record) -> dict[str, sidebar.Place]:
    return sidebar.add_group(dataset, made.group, _listed(dataset, field, made))


def _colour(
    dataset: fo.Dataset, field: str, by: colours.ColourBy, kept: Record, left_out: list[str]
) -> dict[str, bool] | None:
    if kept.colours is None and colours.has_colours(dataset, field):
        left_out.append(f"colours: the colour scheme already has some for {field!r}")
        return None
    made = colours.add_colours(dataset, field, by)
    for earlier in (kept.colours, *(other.colours for other in _others(dataset, field))):
        # What one run made, the last one takes away.
        made = {key: value or bool((earlier or {}).get(key)) for key, value in made.items()}
    return made


def _save_views(
    dataset: fo.Dataset, field: str, kept: Record, left_out: list[str]
) -> tuple[str, ...]:
    ours = saved_views(dataset, field)
    others = {to_slug(name) for name in dataset.list_saved_views() if name not in ours}
    saved = []
    for title, (text, make) in _views(dataset, field).items():
        name = f"{field}: {title}"
        if to_slug(name) in others:
            left_out.append(f"view {name!r}: the dataset has one of that name")
            continue
        try:
            view = make()
        except ValueError as error:
            left_out.append(f"view {name!r}: {error}")
            continue
        dataset.save_view(
            name, view, description=f"{text} {_mark(field)}", color=_COLOUR, overwrite=True
        )
        saved.append(name)
    return tuple(saved)


def _views(dataset: fo.Dataset, field: str) -> dict[str, tuple[str, Callable[[], views.View]]]:
    images = all_images(dataset)

    def doubtful() -> views.View:
        try:
            return views.doubtful(images, field)
        except ValueError:  # no scores yet
            return views.doubtful(images, field, by="confidence")

    rare = f"Instances of classes that had fewer than {views.FEWER_THAN} instances"
    return {
        "not reviewed": ("Instances not reviewed yet", lambda: views.not_reviewed(images, field)),
        "doubtful": (f"The most doubtful instances, {views.DOUBTFUL_PERCENT:g} %", doubtful),
        "rare here": (rare, lambda: views.rare_here(images, field)),
        "rare in LVIS": (
            "Instances of classes rare in LVIS",
            lambda: views.rare_in_lvis(images, field),
        ),
        "novel": ("Instances of classes novel by the split", lambda: views.novel(images, field)),
        "unknown": ("Instances that no class explains", lambda: views.unknown(images, field)),
    }


def _save_workspace(dataset: fo.Dataset, field: str, kept: Record, left_out: list[str]) -> bool:
    ours = kept.workspace or shares_workspace(dataset, field)
    if dataset.has_workspace(WORKSPACE):
        if not ours:
            left_out.append(f"workspace {WORKSPACE!r}: the dataset has one of that name")
        return ours  # a person may have arranged it since
    dataset.save_workspace(WORKSPACE, _space(), description=_WORKSPACE_DESCRIPTION, color=_COLOUR)
    return True


def _space() -> fo.Space:
    samples = fo.Panel(type="Samples", pinned=True)
    review, histograms = fo.Panel(type=REVIEW_PANEL), fo.Panel(type="Histograms")
    return fo.Space(
        orientation="horizontal",
        children=[
            fo.Space(children=[samples], active_child=samples.component_id),
            fo.Space(children=[review, histograms], active_child=review.component_id),
        ],
        sizes=[0.6, 0.4],
    )
