"""What a label field holds before a run writes to it: gone on with, cleared or refused."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict

import fiftyone as fo
from bson import ObjectId

from ovsam_plugin.consent import OVERWRITE, ConsentError
from ovsam_plugin.dataset import embedding_index, runs
from ovsam_plugin.dataset.database import in_parts
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.fields import declare_fields, error_field
from ovsam_plugin.dataset.internals import sample_documents
from ovsam_plugin.dataset.model import OvsamModel
from ovsam_plugin.dataset.overwriting import Overwrite, check_replaceable, decided
from ovsam_plugin.dataset.samples_in_memory import edits_kept
from ovsam_plugin.dataset.targets import all_images
from ovsam_plugin.dataset.workers import Worker

logger = logging.getLogger(__name__)


def prepare_field(
    dataset: fo.Dataset,
    ids: Sequence[str],
    field: str,
    settings: runs.Settings,
    model: OvsamModel,
    overwrite: Overwrite,
    worker: Worker,
) -> None:
    """Clears or keeps what the field holds, and registers the run.

    Args:
        dataset: that is labelled.
        ids: of the samples that are to be labelled.
        field: the label field.
        settings: that labels are made with now.
        model: that makes them.
        overwrite: which labels that are there are made again.
        worker: the call's, which holds the lease of fields and runs.

    Raises:
        ValueError: the field holds labels that this run must not mix with or remove, or another
            call is labelling it now.
    """
    recorded = runs.recorded_settings(dataset, field)
    if recorded is not None and runs.rename_prompts(dataset, field, settings):
        recorded = {**recorded, "prompt_fields": settings.prompt_fields}
    changed = [] if recorded is None else settings.differences(recorded)
    same = recorded is not None and not changed
    filled = 0 if dataset.get_field(field) is None else len(all_images(dataset).exists(field))
    if same and not overwrite:
        declare_fields(dataset, field)
        runs.keep_classes(dataset, field, model.vocabulary, model.examples)
        return
    if worker.others():
        what = f"with other settings ({'; '.join(changed)})" if changed else "now"
        raise ValueError(
            f"another call is labelling field {field!r} {what}: wait until it is done, or use "
            "another field"
        )
    if filled and not same:
        why = (
            f"they were made with other settings ({'; '.join(changed)})"
            if recorded
            else "no labelling run made them"
        )
        inside = _filled(dataset, ids, field)
        if not overwrite:
            raise ConsentError(
                f"field {field!r} holds labels of {filled} samples, and {why}",
                "use another field",
                OVERWRITE,
            )
        if inside < filled:
            raise ValueError(
                f"{filled - inside} samples outside this view have labels in field {field!r}, and "
                f"{why}: label the whole dataset, or use another field"
            )
    if overwrite and filled:
        # Once more: models take their time to load, and people decide meanwhile.
        check_replaceable(dataset, field, overwrite, ids)
        _clear(dataset, ids, field)
    if not same:
        _forget_embeddings(dataset, field, settings)
    declare_fields(dataset, field)
    if not same:
        runs.register(dataset, field, settings, model.vocabulary, model.examples)


def _forget_embeddings(dataset: fo.Dataset, field: str, settings: runs.Settings) -> None:
    """Those of an earlier run, unless relabelled fields need them and another's can join them."""
    needed = runs.sharers(dataset, field)
    embedder = Embedder.of(asdict(settings))
    records = ((name, runs.recorded(dataset, name)) for name in needed)
    others = [n for n, made in records if made and not embedder.goes_with(Embedder.of(made))]
    if needed and not others:
        return
    if others:
        logger.warning(
            "field %s can no longer be searched or relabelled: the embeddings that it was named "
            "from were not made by %r",
            ", ".join(map(repr, others)),
            embedder.name,
        )
    embedding_index.forget(dataset, field)


def _filled(dataset: fo.Dataset, ids: Sequence[str], field: str) -> int:
    """How many of these samples have labels."""
    return sum(
        sample_documents(dataset).count_documents({"_id": {"$in": part}, field: {"$ne": None}})
        for part in in_parts(map(ObjectId, ids))
    )


def _clear(dataset: fo.Dataset, ids: Sequence[str], field: str) -> None:
    if removed := decided(dataset, field, ids):
        logger.warning(
            "the decisions about %d labels in field %r were removed, as requested", removed, field
        )
    names = [n for n in (field, error_field(field)) if dataset.get_field(n) is not None]
    with edits_kept(dataset):
        for part in in_parts(ids):
            all_images(dataset).select(part).clear_sample_fields(names)
