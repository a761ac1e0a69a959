"""Prompts that were drawn on photographs after these had been labelled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from bson import ObjectId
from fiftyone import ViewField as F

from ovsam_plugin.dataset.fields import error_field
from ovsam_plugin.dataset.targets import Samples

# How far another machine's clock may be ahead.
_SKEW = timedelta(hours=1)


def drawn_since(
    samples: Samples, field: str, prompt_fields: Mapping[str, str], since: datetime | None
) -> dict[str, list[ObjectId]]:
    """By its id, the prompts on each labelled sample that are newer than the last call.

    A prompt's id tells when it was made: an older one without an answer had one that was deleted,
    or left out. Ids that are no times, as those of annotation files, lie outside of the time since.

    Args:
        samples: a dataset or view; of a view, what it shows of the prompts.
        field: the label field.
        prompt_fields: field names by the keys of `prompt_fields.KEYS`.
        since: when the last call began; None when there was none.

    Returns:
        ids of the new prompts by the ids of their samples, those without a new one left out.
    """
    if since is None or not prompt_fields:
        return {}
    until = datetime.now(timezone.utc) + _SKEW
    lists = {name: _list_of(samples, name) for name in prompt_fields.values()}
    # Ids are ordered by their times: the database hands over only samples with some of that time.
    recent = {"$gte": ObjectId.from_datetime(since), "$lt": ObjectId.from_datetime(until + _SKEW)}
    drawn = [
        {f"{name}._id": recent} if inner is None else {inner: {"$elemMatch": {"_id": recent}}}
        for name, inner in lists.items()
    ]
    labelled = (F(field) != None) & (F(error_field(field)) == None)  # noqa: E711
    done = samples.match({"$or": drawn}).match(labelled)
    paths = [f"{inner or name}.id" for name, inner in lists.items()]
    answers, ids, *asked = done.values([f"{field}.detections.prompt_id", "id", *paths])
    fresh: dict[str, list[ObjectId]] = {}
    for answered, sample_id, *prompts in zip(answers, ids, *asked):
        flat = [p for some in prompts for p in (some if isinstance(some, list) else [some])]
        news = [ObjectId(p) for p in flat if p is not None and p not in (answered or ())]
        if news := [p for p in news if since < p.generation_time <= until]:
            fresh[sample_id] = news
    return fresh


def _list_of(samples: Samples, name: str) -> str | None:
    """The path of a field's labels where it holds a list of them."""
    inner = getattr(samples.get_field(name).document_type, "_LABEL_LIST_FIELD", None)
    return None if inner is None else f"{name}.{inner}"


def asking(
    samples: Samples, prompt_fields: Mapping[str, str], prompts: Mapping[str, list[ObjectId]]
) -> Samples:
    """The same samples, where these prompts alone ask.

    Args:
        samples: some of those in `prompts`.
        prompt_fields: as above.
        prompts: what `drawn_since` gave.
    """
    chosen = [p for sample_id in samples.values("id") for p in prompts[sample_id]]
    for name in prompt_fields.values():
        samples = samples.filter_labels(name, F("_id").is_in(chosen), only_matches=False)
    return samples
