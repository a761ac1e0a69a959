"""Which prompts a run has answered, and which it has not yet.

With a sample's labels stands, in `<field>.asked`, what was asked: each prompt's id and where it
lay. A prompt that is not there was hidden by a view, or attached or drawn since; one that lies
elsewhere now was moved. What was asked is asked once, also where its answer was deleted or left
out, and where it got none: why not stands in `<field>.refused`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import fiftyone as fo
from bson import ObjectId
from fiftyone import ViewField as F
from pymongo import UpdateOne

from ovsam_plugin.dataset.database import in_parts
from ovsam_plugin.dataset.expressions import list_at
from ovsam_plugin.dataset.fields import error_field
from ovsam_plugin.dataset.internals import aggregate, list_in, sample_documents
from ovsam_plugin.dataset.prompt_kinds import kind_of
from ovsam_plugin.dataset.refusal import Refusal
from ovsam_plugin.dataset.sample_prompts import left_out
from ovsam_plugin.dataset.shapes import PARTS, shape_of
from ovsam_plugin.dataset.targets import Samples, all_images
from ovsam_plugin.dataset.writing import AHEAD, ASKED, REFUSED

# By the key that `prompt_key` makes, where the prompt lay.
Places = dict[str, int]

_SAMPLES = 5_000


def prompt_key(key: str, label_id: object) -> str:
    """What a prompt is kept under: its kind, since one label may be asked as box and as mask."""
    return f"{kind_of(key).name}:{label_id}"


def prompts_of(
    samples: Samples, prompt_fields: Mapping[str, str], sample_ids: Sequence[str]
) -> Iterator[tuple[str, Places]]:
    """The prompts that there are on some samples now.

    Args:
        samples: a dataset or view; of a view, what it shows of the prompts.
        prompt_fields: field names by keywords of `apply_model`.
        sample_ids: samples of it.
    """
    wanted: dict[str, Any] = {}
    for kind, name in prompt_fields.items():
        labels = _labels_of(samples, name)
        wanted[kind] = {part: f"${labels}.{part}" for part in ("_id", *PARTS)}
        if labels != name:
            each = {part: f"$$d.{part}" for part in ("_id", *PARTS)}
            wanted[kind] = {"$map": {"input": list_at(labels), "as": "d", "in": each}}
    for start in range(0, len(sample_ids), _SAMPLES):
        chosen = samples.select(sample_ids[start : start + _SAMPLES])
        for row in aggregate(chosen, [{"$project": wanted}]):
            found: Places = {}
            for kind in prompt_fields:
                some = row.get(kind) or []
                for label in some if isinstance(some, list) else [some]:
                    if "_id" in label:
                        found[prompt_key(kind, label["_id"])] = shape_of(label)
            yield str(row["_id"]), found


def unanswered(
    samples: Samples,
    dataset: fo.Dataset,
    field: str,
    prompt_fields: Mapping[str, str],
    sample_ids: Sequence[str],
    since: datetime | None,
) -> dict[str, Places]:
    """By its id, the prompts on each labelled sample that have no answer where they lie now.

    Where an earlier version of this package, which kept no record, labelled a sample, its answers
    and the time of the last call tell what was asked; the record is made up for from them.

    Args:
        samples: as for `prompts_of`.
        dataset: theirs.
        field: the label field.
        prompt_fields, sample_ids: as for `prompts_of`.
        since: when the last call began that came to its end, or None.

    Returns:
        where these prompts lie by their keys, samples without a new one left out.
    """
    fresh: dict[str, Places] = {}
    for start in range(0, len(sample_ids) if prompt_fields else 0, _SAMPLES):
        ids = sample_ids[start : start + _SAMPLES]
        there = dict(prompts_of(samples, prompt_fields, ids))
        updates = []
        for row in _labelled(dataset, field, ids):
            prompts, labels = there.get(str(row["_id"]), {}), row[field]
            asked = labels.get(ASKED)
            if asked is None:
                answers = {str(label.get("prompt_id")) for label in labels.get("detections") or ()}
                asked = {k: v for k, v in prompts.items() if _was_asked(k, answers, since)}
                made_up = {"_id": row["_id"], field: {"$ne": None}}
                updates.append(UpdateOne(made_up, {"$set": {f"{field}.{ASKED}": asked}}))
            if new := {k: v for k, v in prompts.items() if asked.get(k) != v}:
                fresh[str(row["_id"])] = new
        if updates:
            sample_documents(dataset).bulk_write(updates, ordered=False)
    return fresh


def to_be_labelled(field: str) -> dict[str, Any]:
    """Which samples are labelled anew as a whole, as MongoDB takes it.

    Those without labels, those to which a person alone has added some, and those that could not be
    labelled, where nothing was decided since.
    Those of which some prompts were refused are done: these ask again once they are changed.
    """
    decided = {"$elemMatch": {"review": {"$ne": None}}}
    failed = {
        error_field(field): {"$ne": None},
        f"{field}.{ASKED}": None,
        f"{field}.detections": {"$not": decided},
    }
    return {"$or": [{field: None}, {f"{field}.{AHEAD}": True}, failed]}


def unfinished(dataset: fo.Dataset, field: str, sample_ids: Sequence[str]) -> list[str]:
    """Those of some samples that are to be labelled as a whole, in the same order."""
    return _matching(dataset, to_be_labelled(field), sample_ids)


def untried(dataset: fo.Dataset, field: str, sample_ids: Sequence[str]) -> list[str]:
    """The same without those that none could label."""
    return _matching(dataset, {**to_be_labelled(field), error_field(field): None}, sample_ids)


def _matching(
    dataset: fo.Dataset, wanted: Mapping[str, Any], sample_ids: Sequence[str]
) -> list[str]:
    found: set[str] = set()
    for part in in_parts(sample_ids):
        chosen = {"_id": {"$in": [ObjectId(i) for i in part]}, **wanted}
        rows = sample_documents(dataset).find(chosen, {"_id": True})
        found.update(str(row["_id"]) for row in rows)
    return [i for i in sample_ids if i in found]


def still_refused(
    dataset: fo.Dataset, field: str, fresh: Mapping[str, Places]
) -> dict[str, tuple[list[Refusal], int]]:
    """What stays of the reasons on samples when some of their prompts are asked.

    Args:
        dataset: the samples'.
        field: the label field.
        fresh: by sample id, the prompts that are asked.

    Returns:
        by sample id, the reasons of other prompts, and how many prompts there are in all.
    """
    chosen = {"_id": {"$in": [ObjectId(i) for i in fresh]}}
    shown = {f"{field}.{ASKED}": True, f"{field}.{REFUSED}": True}
    found = {}
    for row in sample_documents(dataset).find(chosen, shown):
        labels, now = row.get(field) or {}, fresh[str(row["_id"])]
        again = {key.partition(":")[2] for key in now}
        before = map(Refusal.read, labels.get(REFUSED) or ())
        kept = [refusal for refusal in before if refusal.label_id not in again]
        found[str(row["_id"])] = kept, len({*(labels.get(ASKED) or ()), *now})
    return found


def forget_refusals(
    dataset: fo.Dataset, field: str, prompt_fields: Mapping[str, str], sample_ids: Sequence[str]
) -> None:
    """Takes the reasons of refused prompts that have been deleted since off their samples.

    Args:
        dataset: the samples'.
        field: the label field.
        prompt_fields, sample_ids: as for `prompts_of`.
    """
    for start in range(0, len(sample_ids) if prompt_fields else 0, _SAMPLES):
        chosen = {"$in": [ObjectId(i) for i in sample_ids[start : start + _SAMPLES]]}
        refused = {"_id": chosen, f"{field}.{REFUSED}.0": {"$exists": True}}
        rows = list(sample_documents(dataset).find(refused, {f"{field}.{REFUSED}": True}))
        ids = [str(row["_id"]) for row in rows]
        there = dict(prompts_of(all_images(dataset), prompt_fields, ids))
        updates = []
        for row in rows:
            prompts = there.get(str(row["_id"]), {})
            asking = {key.partition(":")[2] for key in prompts}
            before = row[field][REFUSED]
            kept = [why for why in map(Refusal.read, before) if why.label_id in asking]
            if len(kept) < len(before):
                now = {f"{field}.{REFUSED}": [*map(str, kept)]}
                reason = {error_field(field): left_out(kept, len(prompts))}
                same = {"_id": row["_id"], f"{field}.{REFUSED}": before}
                updates.append(UpdateOne(same, {"$set": {**now, **reason}}))
        if updates:
            sample_documents(dataset).bulk_write(updates, ordered=False)


def asking(
    samples: Samples, prompt_fields: Mapping[str, str], prompts: Mapping[str, Places]
) -> Samples:
    """Some samples, where these prompts alone ask.

    Args:
        samples: a dataset or view that holds them.
        prompt_fields: as above.
        prompts: some of what `unanswered` gave.
    """
    view = samples.select(list(prompts))
    keys = {key for some in prompts.values() for key in some}
    for kind, name in prompt_fields.items():
        prefix = prompt_key(kind, "")
        ids = [ObjectId(key.removeprefix(prefix)) for key in keys if key.startswith(prefix)]
        view = view.filter_labels(name, F("_id").is_in(ids), only_matches=False)
    return view


def _labels_of(samples: Samples, name: str) -> str:
    """The path of a field's labels: below it where it holds a list of them."""
    field = samples.get_field(name)
    if field is None:
        raise ValueError(f"field {name!r}, which asks, has been deleted or renamed meanwhile")
    if not isinstance(field, fo.EmbeddedDocumentField):
        raise ValueError(
            f"field {name!r}, which asks, has been made a {type(field).__name__} meanwhile"
        )
    inner = list_in(field.document_type)
    return name if inner is None else f"{name}.{inner}"


def _labelled(dataset: fo.Dataset, field: str, sample_ids: Sequence[str]) -> Iterator[Any]:
    """What was asked on the samples that are labelled and will not be labelled anew."""
    chosen = {"$in": [ObjectId(i) for i in sample_ids]}
    done = {"_id": chosen, "$nor": [to_be_labelled(field)]}
    shown = {f"{field}.{ASKED}": True, f"{field}.detections.prompt_id": True}
    yield from sample_documents(dataset).find(done, shown)


def _was_asked(key: str, answers: set[str], since: datetime | None) -> bool:
    label_id = key.partition(":")[2]
    return label_id in answers or since is None or ObjectId(label_id).generation_time <= since
