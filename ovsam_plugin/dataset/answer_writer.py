"""Writes what a model answered: embeddings into the spool, then each sample in one update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import fiftyone as fo
import numpy as np
from bson import ObjectId

from ovsam_plugin.dataset.database import patient, patiently
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
from ovsam_plugin.dataset.embeddings import join
from ovsam_plugin.dataset.internals import sample_documents
from ovsam_plugin.dataset.label_tally import LabelTally
from ovsam_plugin.dataset.loading import Loaded
from ovsam_plugin.dataset.model import Answer
from ovsam_plugin.dataset.sample_prompts import left_out
from ovsam_plugin.dataset.unanswered_prompts import Places, still_refused
from ovsam_plugin.dataset.writing import FreshLabels, put_labels
from ovsam_plugin.prediction.instances import Instances


class AnswerWriter:
    """Writes the answers of one worker, and waits where the database is away.

    Args:
        dataset: the samples' dataset.
        field: the label field, declared.
        token: the worker's.
        embeddings: whether they are spooled.
        tally: counts what is written; a new one when None.

    Attributes:
        tally: as given.
    """

    def __init__(
        self,
        dataset: fo.Dataset,
        field: str,
        token: str,
        *,
        embeddings: bool,
        tally: LabelTally | None = None,
    ) -> None:
        self._dataset = dataset
        self._field = field
        self._token = token
        self._spool = EmbeddingSpool(dataset, field) if embeddings else None
        self.tally = LabelTally() if tally is None else tally

    def write(
        self,
        items: Mapping[str, Loaded],
        answers: Mapping[str, Answer],
        asked: Mapping[str, Places],
        *,
        adds: bool,
    ) -> None:
        """Writes labels of some samples, and why others have none.

        Args:
            items: what was loaded, by sample id.
            answers: to them.
            asked: of those that were asked by prompts, where these lay.
            adds: as for `writing.put_labels`.

        Raises:
            FieldGoneError: the field was deleted or renamed meanwhile.
        """
        before = {}
        if adds:
            before = patiently(lambda: still_refused(self._dataset, self._field, asked))
        fresh = []
        for sample_id, answer in answers.items():
            if self._spool is not None and answer.instances is not None:
                label_ids = [label.id for label in answer.detections.detections]
                self.keep(sample_id, label_ids, answer.instances)
            told = None if _failed(items[sample_id], answer) else asked.get(sample_id)
            error, reasons = answer.error, answer.refused
            if told is not None and sample_id in before:
                others, total = before[sample_id]
                reasons = (*others, *reasons)
                error = left_out(reasons, total)
            fresh.append(FreshLabels(sample_id, answer.detections, error, told, reasons))
        refused = patiently(lambda: put_labels(self._dataset, self._field, fresh, adds=adds))
        failed = refused or any(answer.error for answer in answers.values())
        paths = self._paths([*answers]) if failed else {}
        for sample_id, answer in answers.items():
            why = refused.get(sample_id, answer.error)
            count = 0 if sample_id in refused else len(answer.detections.detections)
            self.tally.count(sample_id, paths.get(sample_id, ""), count, why)

    def keep(self, sample_id: str, label_ids: Sequence[str], instances: Instances) -> int:
        """Spools the embeddings of a sample's labels; those with an empty mask have none.

        Args:
            sample_id: the sample.
            label_ids: one of each instance.
            instances: with their embeddings.

        Returns:
            of how many labels.
        """
        assert self._spool is not None
        solid = np.flatnonzero(~instances.empty).tolist()
        vectors = join(instances.head_embeddings[solid], instances.clip_embeddings[solid])
        spool, kept = self._spool, [label_ids[i] for i in solid]
        patiently(lambda: spool.put(self._token, sample_id, kept, vectors))
        return len(solid)

    @patient
    def _paths(self, ids: Sequence[str]) -> dict[str, str]:
        chosen = {"_id": {"$in": [ObjectId(i) for i in ids]}}
        rows = sample_documents(self._dataset).find(chosen, {"filepath": True})
        return {str(row["_id"]): row.get("filepath") or "" for row in rows}


def _failed(item: Loaded, answer: Answer) -> bool:
    """Whether the sample as a whole could not be labelled, and not only some of its prompts."""
    return item.frame is None or (
        bool(item.asked and item.asked.prompts) and answer.instances is None
    )
