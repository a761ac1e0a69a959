"""A label field that a person fills by clicking: instances added, redrawn, renamed and removed.

Its labels are those of a run: the same attributes, and embeddings, so that search and relabelling
know them. They are decided as well: who clicked them, and when, stands on them as in a review, and
no later labelling replaces them unasked.
"""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
from bson import ObjectId

from ovsam_plugin.curation import attributes, decisions
from ovsam_plugin.dataset import edits, embedding_index, runs, writing
from ovsam_plugin.dataset.embedder import Embedder
from ovsam_plugin.dataset.embedding_spool import EmbeddingSpool
from ovsam_plugin.dataset.embeddings import join
from ovsam_plugin.dataset.fields import (
    Attribute,
    check_field,
    check_storable,
    declare_attributes,
    declare_fields,
    to_detections,
)
from ovsam_plugin.dataset.handles import as_stored
from ovsam_plugin.dataset.internals import sample_documents
from ovsam_plugin.dataset.targets import all_images
from ovsam_plugin.dataset.workers import FIELDS_AND_RUNS, Worker
from ovsam_plugin.dataset.writing import FreshLabels
from ovsam_plugin.interactive.session import Instance
from ovsam_plugin.prediction.predictor import Predictor

PROMPT = Attribute(
    "prompt",
    fo.ListField,
    "x, y and 1 (on it) or 0 (off it) of each click, or x1, y1, x2, y2 of the box, in pixels",
    fo.FloatField,
)


class ClickedField:
    """A label field of a dataset.

    Args:
        dataset: the dataset.
        field: of Detections, or one that is not there yet.
        predictor: that answered the clicks.

    Raises:
        ValueError: the field holds something else, or is read-only.
    """

    def __init__(self, dataset: fo.Dataset, field: str, predictor: Predictor) -> None:
        self._dataset = as_stored(dataset)
        self._field = field
        self._predictor = predictor
        check_field(dataset, field)

    def add(
        self, sample_id: str, instance: Instance, name: str | None = None, by: str | None = None
    ) -> str:
        """Adds an instance to a sample.

        Args:
            sample_id: the sample.
            instance: what was clicked.
            name: what the person calls it; the model's name when None.
            by: who; `reviewer()` when None.

        Returns:
            the label's id.

        Raises:
            ValueError: the sample or its room is gone, or nothing was found.
        """
        self._check_sample(sample_id)
        self._declare(instance)
        labels = self._label(instance, name, by)
        with Worker(self._dataset, self._source) as worker:
            self._spool(worker, sample_id, labels.detections[0].id, instance)
            fresh = [FreshLabels(sample_id, labels)]
            refused = writing.put_labels(self._dataset, self._field, fresh, adds=True)
        if refused:
            raise ValueError(refused[sample_id])
        return str(labels.detections[0].id)

    def redraw(
        self,
        sample_id: str,
        label_id: str,
        instance: Instance,
        name: str | None = None,
        by: str | None = None,
        merged: Sequence[str] = (),
    ) -> None:
        """Gives a label the mask, the box and the scores of an instance. Args: as for `add`.

        Args:
            merged: ids of the sample's labels that are in this one now, and go with the same write.

        Raises:
            ValueError: one of the labels is gone, it does not fit, or nothing was found.
        """
        for one in (label_id, *merged):
            self._check_label(sample_id, one)
        self._declare(instance)
        labels = self._label(instance, name, by)
        made = labels.detections[0].to_mongo()
        kept = ("_id", "_cls", "tags", "attributes", "index")
        values = {key: value for key, value in made.items() if key not in kept}
        with Worker(self._dataset, self._source) as worker:
            self._spool(worker, sample_id, label_id, instance)
            values = {**values, "mask_path": None}
            gone = [one for one in merged if one != label_id]
            writing.merge_labels(self._dataset, self._field, sample_id, label_id, values, gone)

    def rename(self, sample_id: str, label_id: str, name: str, by: str | None = None) -> None:
        """Gives a label a name, as in a review. Raises: as `decisions.rename`."""
        self._check_label(sample_id, label_id)
        decisions.rename(self._dataset, self._field, label_id, name, by=by)

    def remove(self, sample_id: str, label_id: str) -> None:
        """Removes a label. Raises ValueError if it is gone."""
        self._check_label(sample_id, label_id)
        writing.delete_labels(self._dataset, self._field, [(sample_id, label_id)])

    def file(self) -> None:
        """Brings the embeddings into the field's similarity run; worth it after some changes."""
        if self._is_run:
            embedder = Embedder(self._predictor.preset.name, self._predictor.weights_hash)
            embedding_index.refresh(self._dataset, self._source, embedder)

    @property
    def _source(self) -> str:
        """The field whose run the embeddings go with."""
        return runs.origin(self._dataset, self._field)

    @property
    def _is_run(self) -> bool:
        """Whether labels of this network fill the field, so that embeddings go together."""
        recorded = runs.recorded(self._dataset, self._field)
        if recorded is None:
            return False
        return Embedder.of(recorded).fingerprint == self._predictor.weights_hash

    def _declare(self, instance: Instance) -> None:
        dataset, field = self._dataset, self._field
        if dataset.get_field(f"{field}.detections.{PROMPT.name}") is not None:
            return
        with Worker(dataset, field) as worker, worker.lease(FIELDS_AND_RUNS):
            as_stored(dataset)
            is_new = dataset.get_field(field) is None or not len(all_images(dataset).exists(field))
            declare_fields(dataset, field)
            attributes.declare(dataset, field)
            declare_attributes(dataset, field, (PROMPT,))
            if is_new and runs.recorded(dataset, field) is None:
                vocabulary = instance.answers.names.vocabulary
                settings = runs.Settings(
                    preset=self._predictor.preset.name,
                    weights=self._predictor.weights_hash,
                    vocabulary=vocabulary.name,
                    vocabulary_hash=vocabulary.hash,
                )
                runs.register(dataset, field, settings, vocabulary)

    def _label(self, instance: Instance, name: str | None, by: str | None) -> fo.Detections:
        """The label alone, decided and marked."""
        if instance.is_empty:
            raise ValueError("nothing was found there: click elsewhere, or draw a box")
        labels = to_detections(instance.answers.instances, instance.answers.names)
        check_storable(labels)
        (label,) = labels.detections
        label[PROMPT.name] = instance.prompt.numbers()
        decisions.make_ready(self._dataset, self._field)
        for key, value in decisions.decided(label.label, name, by).items():
            label[key] = value
        edits.mark(labels)
        return labels

    def _spool(self, worker: Worker, sample_id: str, label_id: str, instance: Instance) -> None:
        if not self._is_run:
            return
        found = instance.answers.instances
        vectors = join(found.head_embeddings, found.clip_embeddings)
        spool = EmbeddingSpool(self._dataset, self._source)
        spool.put(worker.token, sample_id, [label_id], vectors)

    def _check_sample(self, sample_id: str) -> None:
        if not sample_documents(self._dataset).count_documents({"_id": ObjectId(sample_id)}):
            raise ValueError("this photograph is no longer in the dataset")

    def _check_label(self, sample_id: str, label_id: str) -> None:
        label = ObjectId(label_id) if ObjectId.is_valid(label_id) else None
        there = {"_id": ObjectId(sample_id), f"{self._field}.detections._id": label}
        if label is None or not sample_documents(self._dataset).count_documents(there):
            raise ValueError("this instance is no longer there: somebody has removed it")
