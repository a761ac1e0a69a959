"""Takes a run away again, with all that was made from it and for it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import fiftyone as fo

from ovsam_plugin.counting import counted
from ovsam_plugin.curation import sidebar
from ovsam_plugin.curation.groups import forget_names
from ovsam_plugin.curation.run_fields import require_run
from ovsam_plugin.curation.workspace import (
    WORKSPACE,
    Record,
    recorded,
    remove_workspace,
    saved_views,
    shares_workspace,
)
from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
from ovsam_plugin.dataset.fields import check_writable, delete_fields, error_field
from ovsam_plugin.dataset.handles import as_stored
from ovsam_plugin.dataset.internals import aggregate, stages_of_views
from ovsam_plugin.dataset.samples_in_memory import edits_kept
from ovsam_plugin.dataset.targets import Samples, all_images, root_dataset
from ovsam_plugin.dataset.workers import FIELDS_AND_RUNS, Worker
from ovsam_plugin.renaming import renamed


@dataclass(frozen=True)
class RunTraces:
    """Everything that goes with a run.

    Attributes:
        field: the label field.
        labels: how many labels it holds.
        reviewed: how many of them a person has decided about.
        fields: sample fields: the labels, reasons of failure, summaries.
        evaluations: evaluations that the labels are one side of.
        brain_runs: the index of the embeddings, and other brain runs over the labels.
        kept_index: the index of the embeddings where another run needs it, or None.
        sharers: the runs that need it.
        views: saved views that were made for the run.
        workspace: the saved workspace, or None where there is none or another run uses it.
        indexes: database indexes that were made for the run.
        sidebar_group: its group in the sidebar, or None.
        coloured: whether the field was given colours.
        broken_views: a person's own saved views that ask about the field. They stay, and do not
            load without it.
    """

    field: str
    labels: int
    reviewed: int
    fields: tuple[str, ...]
    evaluations: tuple[str, ...]
    brain_runs: tuple[str, ...]
    kept_index: str | None
    sharers: tuple[str, ...]
    views: tuple[str, ...]
    workspace: str | None
    indexes: tuple[str, ...]
    sidebar_group: str | None
    coloured: bool
    broken_views: tuple[str, ...]

    def lines(self) -> list[str]:
        """What will be removed or has been, and what stays, each in words."""
        decided = f", {self.reviewed} of them decided by a person" if self.reviewed else ""
        colours = "colours" if self.coloured else None
        said = [
            f"{counted(self.labels, 'label')}{decided}",
            _listed("field", self.fields),
            _listed("evaluation", self.evaluations),
            _listed("brain run", self.brain_runs),
            _listed("saved view", self.views),
            _listed("workspace", (self.workspace,) if self.workspace else ()),
            _listed("database index", self.indexes),
            _listed("sidebar group", (self.sidebar_group,) if self.sidebar_group else ()),
            colours,
        ]
        if self.kept_index:
            others = ", ".join(self.sharers)
            said.append(f"stays: the embeddings {self.kept_index!r}, needed by {others}")
        said += [f"stays, but will not load: your view {name!r}" for name in self.broken_views]
        return [line for line in said if line]


def run_traces(samples: Samples, field: str) -> RunTraces:
    """What `remove_run` would remove; changes nothing.

    Args:
        samples: the dataset, or a view of it.
        field: the field of a run of ours. Its labels may have been deleted by hand.

    Raises:
        ValueError: no run of ours filled the field, or it was renamed.
    """
    dataset = root_dataset(samples)
    require_run(dataset, field, gone=True)
    made = recorded(dataset, field) or Record()
    index, sharers = _index(dataset, field)
    over_labels = [
        key
        for key in dataset.list_brain_runs()
        if getattr(dataset.get_brain_info(key).config, "patches_field", None) == field
    ]
    brain_runs = {*over_labels, *([index] if index else [])}
    if sharers:
        brain_runs.discard(index)
    views = saved_views(dataset, field)
    labels, reviewed = _counts(dataset, field)
    return RunTraces(
        field=field,
        labels=labels,
        reviewed=reviewed,
        fields=tuple(
            name
            for name in (field, error_field(field), *made.summary_fields)
            if dataset.get_field(name) is not None
        ),
        evaluations=tuple(k for k in dataset.list_evaluations() if _evaluates(dataset, k, field)),
        brain_runs=tuple(sorted(brain_runs)),
        kept_index=index if sharers else None,
        sharers=tuple(sharers),
        views=tuple(views),
        workspace=WORKSPACE
        if made.workspace
        and dataset.has_workspace(WORKSPACE)
        and not shares_workspace(dataset, field)
        else None,
        indexes=made.indexes,
        sidebar_group=made.group or None,
        coloured=made.colours is not None,
        broken_views=tuple(v for v in _views_about(dataset, field) if v not in views),
    )


@renamed(field="label_field")
def remove_run(samples: Samples, label_field: str) -> RunTraces:
    """Removes a run's labels, a person's decisions on them, and all that was made from them.

    What it was before labelling, the dataset is after it. A call that was interrupted is finished
    by the same call.

    Args:
        samples: the dataset, or a view of it; the run is removed from the whole dataset.
        label_field: the field of a run of ours. Its labels may have been deleted by hand.

    Returns:
        What has been removed.

    Raises:
        ValueError: no run of ours filled the field, it was renamed, what would be changed is
            read-only, or a call is labelling it now. Nothing is removed then.
    """
    dataset = root_dataset(samples)
    # A call that is about to label waits for the lease, then finds no run.
    with Worker(dataset, label_field) as worker, worker.lease(FIELDS_AND_RUNS):
        if others := worker.others():
            raise ValueError(
                f"{others} call{'s are' if others > 1 else ' is'} labelling field "
                f'{label_field!r} now: end that first (stop_labeling, or "Stop labelling" in the '
                "App), then remove the run"
            )
        return _removed(as_stored(dataset), label_field)


def _removed(dataset: fo.Dataset, label_field: str) -> RunTraces:
    traces = run_traces(dataset, label_field)
    _check_removable(dataset, traces)
    with edits_kept(dataset):
        remove_workspace(dataset, label_field)
        for key in traces.evaluations:
            dataset.delete_evaluation(key)
        if traces.evaluations:
            sidebar.forget_default_groups(dataset)
        _forget_embeddings(dataset, traces)
        for key in traces.brain_runs:
            if dataset.has_brain_run(key):
                dataset.delete_brain_run(key)
        delete_fields(dataset, (label_field, error_field(label_field)))
    # Last, so that what is left can be found as long as anything is.
    runs.delete(dataset, label_field)
    return traces


def _check_removable(dataset: fo.Dataset, traces: RunTraces) -> None:
    """Whether nothing of it is read-only; summaries are by nature, and can be deleted."""
    for name in (traces.field, error_field(traces.field)):
        check_writable(dataset, name)
    for key in traces.evaluations:
        for outcome in ("tp", "fp", "fn"):
            check_writable(dataset, f"{key}_{outcome}")
        config = dataset.get_evaluation_info(key).config
        for side in ("pred_field", "gt_field"):
            if evaluated := getattr(config, side, None):
                check_writable(dataset, evaluated, (key, f"{key}_id", f"{key}_iou"))


def _index(dataset: fo.Dataset, field: str) -> tuple[str | None, list[str]]:
    """The index that the run's embeddings are in, and the other runs that need it."""
    key = embedding_index.key_of(dataset, runs.origin(dataset, field))
    return (None, []) if key is None else (key, runs.sharers(dataset, field))


def _forget_embeddings(dataset: fo.Dataset, traces: RunTraces) -> None:
    """Removes the embeddings, or hands them to a run that needs them."""
    EmbeddingSpool(dataset, traces.field).clear()
    forget_names(dataset, traces.field)
    if traces.kept_index is not None:
        _hand_over(dataset, traces.kept_index, traces.field, traces.sharers[0])
        return
    embedding_index.forget(dataset, runs.origin(dataset, traces.field))


def _hand_over(dataset: fo.Dataset, key: str, field: str, heir: str) -> None:
    """FiftyOne's search reads the labels of the field that an index names: it must be there."""
    config = dataset.get_brain_info(key).config
    if config.patches_field == field:
        config.patches_field = heir
        config.build().update_run_config(dataset, key, config)
        dataset.clear_cache()


def _evaluates(dataset: fo.Dataset, key: str, field: str) -> bool:
    config = dataset.get_evaluation_info(key).config
    return field in (getattr(config, "pred_field", None), getattr(config, "gt_field", None))


def _views_about(dataset: fo.Dataset, field: str) -> list[str]:
    """Saved views in whose stages the field, or a path below it, is named."""
    path = re.compile(rf'"\$*{re.escape(field)}(\.[^"]*)?"')
    return [
        name
        for name, stages in stages_of_views(dataset).items()
        if path.search(json.dumps(list(map(json.loads, stages)), ensure_ascii=False))
    ]


def _counts(dataset: fo.Dataset, field: str) -> tuple[int, int]:
    """How many labels there are, and how many of them a person has decided about."""
    labels = f"{field}.detections"
    decided = {"$filter": {"input": f"${labels}.review", "cond": {"$gt": ["$$this", None]}}}
    rows = aggregate(
        all_images(dataset),
        [
            {"$match": {f"{labels}.0": {"$exists": True}}},
            {"$project": {f"{labels}._id": True, f"{labels}.review": True}},
            {
                "$group": {
                    "_id": None,
                    "labels": {"$sum": {"$size": f"${labels}"}},
                    "decided": {"$sum": {"$size": decided}},
                }
            },
        ],
    )
    found = next(iter(rows), {"labels": 0, "decided": 0})
    return int(found["labels"]), int(found["decided"])


def _listed(what: str, names: tuple[str, ...]) -> str | None:
    plural = {"database index": "database indexes"}.get(what, f"{what}s")
    return f"{what if len(names) == 1 else plural} {', '.join(names)}" if names else None
